"""Run the team server of docker/compose.yaml as processes, to try it where Docker is missing.

Usage: python tests/docker/as_processes.py FOLDER [NAME]

FOLDER takes the secrets, the volumes and the logs, and is kept. NAME is the name of the server, localhost by default.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import compose_file
import postgres_process
import proxy_process


def main(folder: Path, name: str) -> None:
    """Run Postgres, the server and the proxy until Ctrl-C."""
    (folder / "volumes").mkdir(parents=True, exist_ok=True)
    script = shutil.copy(compose_file.FOLDER / "prepare.sh", folder)
    subprocess.run([script, name], check=True)
    variables = dict(line.split("=", 1) for line in (folder / ".env").read_text("utf-8").splitlines())
    variables["TINYBENCH_HTTPS_PORT"] = str(compose_file.free_port())
    services = compose_file.Services((folder / "volumes").resolve(), (folder / "secrets").resolve(), variables)
    with postgres_process.running(services), services.running("mlflow"), proxy_process.running(services) as authority:
        print(f"export MLFLOW_TRACKING_URI=https://{name}:{services.ports[8443]}")
        print(f"export MLFLOW_TRACKING_SERVER_CERT_PATH={authority}")
        print(
            f"export MLFLOW_TRACKING_USERNAME=admin MLFLOW_TRACKING_PASSWORD=$(cat {services.secrets}/admin_password)"
        )
        print("Ctrl-C ends the server and deletes its database", flush=True)
        with suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) == 3 else "localhost")
