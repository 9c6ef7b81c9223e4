"""Run the team server of docker/compose.yaml as processes, to try it where Docker is missing."""

from __future__ import annotations

import argparse
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

import compose_file
import postgres_process
import proxy_process
import pytest

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def main(folder: Path, name: str) -> None:
    """Run Postgres, the server and the proxy until a signal."""
    (folder / "volumes").mkdir(parents=True, exist_ok=True)
    script = shutil.copy(compose_file.FOLDER / "prepare.sh", folder)
    subprocess.run([script, name], check=True)
    variables = dict(line.split("=", 1) for line in (folder / ".env").read_text("utf-8").splitlines())
    variables["TINYBENCH_HTTPS_PORT"] = str(compose_file.free_port())
    services = compose_file.Services((folder / "volumes").resolve(), (folder / "secrets").resolve(), variables)
    say(f"Starting Postgres, from nothing; logs are in {services.folder} …")
    with postgres_process.running(services):
        say("Starting the server, about a minute …")
        with services.running("mlflow"):
            say("Starting the proxy …")
            with proxy_process.running(services) as authority:
                for line in describe(services, name, authority):
                    say(line)
                signal.pause()


def describe(services: compose_file.Services, name: str, authority: str) -> list[str]:
    """Return what clients need, and how to back up."""
    server = services.environment("mlflow")
    password, backups = services.secrets / "database_password", services.folder / "backups"
    path = f"{Path(sys.executable).parent}:{postgres_process.programs()}"
    backup = ["tinybench", "server", "--backend-store-uri", server["MLFLOW_BACKEND_STORE_URI"]]
    backup += ["--database-password-file", str(password), "--artifacts-destination"]
    backup += [server["MLFLOW_ARTIFACTS_DESTINATION"], "backup", str(backups)]
    return [
        f"export MLFLOW_TRACKING_URI=https://{name}:{services.ports[8443]}",
        f"export MLFLOW_TRACKING_SERVER_CERT_PATH={authority}",
        f"export MLFLOW_TRACKING_USERNAME=admin MLFLOW_TRACKING_PASSWORD=$(cat {services.secrets}/admin_password)",
        f"The database is {server['MLFLOW_BACKEND_STORE_URI']}, with the password in {password}. Back up by:",
        f"PATH={shlex.quote(path)}:$PATH {shlex.join(backup)}",
        "Ctrl-C ends the server and deletes its database",
    ]


def say(line: str) -> None:
    """Print a line at once, also into a file."""
    print(line, flush=True)


def end_once(number: int, frame: FrameType | None) -> None:
    """End the services; a handler of signals, of which more do nothing."""
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    say("Ending …")
    raise KeyboardInterrupt


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "folder", type=Path, metavar="FOLDER", help="takes the secrets, the volumes and the logs, and is kept"
    )
    parser.add_argument(
        "name", nargs="?", default="localhost", metavar="NAME", help="name of the server (default: localhost)"
    )
    options = parser.parse_args()
    for each in _SIGNALS:
        signal.signal(each, end_once)
    try:
        main(options.folder, options.name)
    except KeyboardInterrupt:
        sys.exit(0)
    except subprocess.CalledProcessError as error:
        sys.exit(f"{shlex.join(map(str, error.cmd))} ended with {error.returncode}")
    except pytest.skip.Exception as missing:
        sys.exit(str(missing))
