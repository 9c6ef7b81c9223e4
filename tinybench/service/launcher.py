"""Run MLflow's command line with the log of this service: `python -m tinybench.service.launcher LOG_CONFIG …`.

What MLflow prints becomes a part of the log, so that no line of it is in another format or has a secret. The server
ends as well if `tinybench server` is killed: its end of the standard input is closed then.
"""

from __future__ import annotations

import json
import logging
import logging.config
import os
import shutil
import signal
import sys
from contextlib import closing, redirect_stderr, redirect_stdout
from pathlib import Path
from threading import Thread

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
    Thread(target=_end_with_parent, args=(Path(log_config).parent,), daemon=True).start()
    with (
        closing(LogLines(_log, logging.INFO)) as output,
        closing(LogLines(_log, logging.WARNING)) as errors,
        redirect_stdout(output),
        redirect_stderr(errors),
    ):
        try:
            from mlflow import cli

            from tinybench.tracking import store

            store.create_database(os.environ.get("MLFLOW_BACKEND_STORE_URI", ""))
            cli.cli(args=list(words), prog_name="mlflow")
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else int(end.code is not None)
        except Exception:
            _log.critical("MLflow's server failed.", exc_info=True)
            return 1
    return 0


def _end_with_parent(folder: Path) -> None:
    """Wait until the process that started this one is gone, then end the server as it would have done."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:  # MLflow is still starting, and this process ends at once
        shutil.rmtree(folder, ignore_errors=True)
    os.kill(os.getpid(), signal.SIGTERM)  # MLflow passes it on; before the log is written, which may be gone as well
    shutil.rmtree(folder, ignore_errors=True)  # it has the address of the database
    _log.warning("tinybench server was killed: MLflow's server ends too.")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
