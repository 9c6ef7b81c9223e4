"""Run MLflow's command line with the log of this service: `python -m tinybench.service.launcher LOG_CONFIG …`.

What MLflow prints becomes a part of the log, so that no line of it is in another format or has a secret.
"""

from __future__ import annotations

import json
import logging
import logging.config
import sys
from contextlib import closing, redirect_stderr, redirect_stdout
from pathlib import Path

from tinybench.web.log_lines import LogLines

_log = logging.getLogger("tinybench.service.launcher")


def main(log_config: str, *words: str) -> int:
    """Run MLflow's command line.

    Args:
        log_config: JSON file with the configuration of the log.
        words: The words of the command line.

    Returns:
        The exit code.
    """
    logging.config.dictConfig(json.loads(Path(log_config).read_text("utf-8")))
    with (
        closing(LogLines(_log, logging.INFO)) as output,
        closing(LogLines(_log, logging.WARNING)) as errors,
        redirect_stdout(output),
        redirect_stderr(errors),
    ):
        try:
            from mlflow import cli

            cli.cli(args=list(words), prog_name="mlflow")
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else int(end.code is not None)
        except Exception:
            _log.critical("MLflow's server failed.", exc_info=True)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
