"""Build images with Debian's buildah and run them, as root and without a registry of images.

The base is a Debian made by debootstrap, kept in the folder TINYBENCH_IMAGE_CACHE if that is set.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import compose_file
import psutil
import pytest

BASE = "localhost/debian:bookworm"
_NEEDED_BYTES = 25 * 10**9
_PACKAGES = "python3,python3-venv,ca-certificates"


def require() -> None:
    """Skip the test where images cannot be built."""
    missing = [tool for tool in ("buildah", "debootstrap") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not installed")
    if os.geteuid() != 0:
        pytest.skip("building images with --isolation chroot takes root")


class Buildah:
    """A store of images in a folder.

    Args:
        folder: Holds the store and is deleted by `close`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if shutil.disk_usage(folder).free < _NEEDED_BYTES:
            pytest.skip(f"{folder} has less than {_NEEDED_BYTES // 10**9} GB free")
        self._command = [
            "buildah", "--storage-driver", "vfs", "--root", str(folder / "store"), "--runroot", str(folder / "run")
        ]  # fmt: skip
        self._environment = os.environ | {"TMPDIR": str(folder)}

    def __call__(self, *arguments: object, seconds: float = 600) -> str:
        """Run buildah and return what it prints."""
        done = subprocess.run(
            [*self._command, *map(str, arguments)], env=self._environment, cwd=compose_file.ROOT, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-5000:]
        return done.stdout.strip()

    def close(self) -> None:
        """Delete all images and containers."""
        self("rm", "--all")
        self("rmi", "--all", "--force")
        shutil.rmtree(self.folder)

    def make_base(self) -> None:
        """Import the Debian on which the images are built."""
        cache = Path(os.environ.get("TINYBENCH_IMAGE_CACHE") or self.folder)
        archive = cache / "debian-bookworm.tar"
        if not archive.exists():
            cache.mkdir(parents=True, exist_ok=True)
            _debootstrap(self.folder / "debian", archive)
        container = self("from", "scratch")
        self("add", "--quiet", container, archive, "/")
        self("commit", "--quiet", "--rm", container, BASE)

    def build(self, name: str, base: str = BASE) -> str:
        """Build one of our Dockerfiles and return the name of the image."""
        image = f"localhost/tinybench-{name}:test"
        settings = self.folder / "pip.conf"
        config = pip_config()
        lines = [f"{key} = {value}" for key, value in config.items()]
        settings.write_text("\n".join(["[global]", *lines, ""]), "utf-8")
        self(
            "bud", "--isolation", "chroot", "--network", "host", "--pull-never", "--build-arg", f"BASE={base}",
            "--secret", f"id=pip.conf,src={settings}", *_volumes(config),
            "--file", compose_file.FOLDER / f"{name}.Dockerfile", "--tag", image, seconds=3600,
        )  # fmt: skip
        settings.unlink()
        return image

    def inspect(self, image: str) -> dict[str, Any]:
        """Return the settings of an image: Entrypoint, Cmd, User, Env."""
        return json.loads(self("inspect", "--type", "image", image))["OCIv1"]["config"]

    @contextmanager
    def container(self, image: str) -> Iterator[Container]:
        """Make a container of an image, deleted afterwards."""
        name = self("from", "--pull-never", image)
        try:
            yield Container(self, name, Path(self("mount", name)))
        finally:
            self("rm", name)

    def run_command(self, container: str, command: list[str], volumes: dict[Path, str], **variables: str) -> list[str]:
        """Return the command line that runs a command in a container as the user of its image."""
        line = [*self._command, "run", "--isolation", "chroot"]
        for source, target in volumes.items():
            line += ["--volume", f"{source}:{target}"]
        for key, value in variables.items():
            line += ["--env", f"{key}={value}"]
        return [*line, container, "--", *command]


class Container:
    """A container: processes of its own root folder, on the network of this machine."""

    def __init__(self, buildah: Buildah, name: str, root: Path) -> None:
        self.buildah, self.name, self.root = buildah, name, root

    def run(self, command: list[str], volumes: dict[Path, str] | None = None, seconds: float = 600, **variables: str):
        """Run a command in the container until it ends; its output and errors are in `stdout`."""
        return subprocess.run(
            self.buildah.run_command(self.name, command, volumes or {}, **variables), text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds,
        )  # fmt: skip

    @contextmanager
    def running(self, command: list[str], log: Path, volumes: dict[Path, str], **variables: str) -> Iterator[Running]:
        """Run a command in the container during the block."""
        with log.open("wb") as output:
            outer = subprocess.Popen(
                self.buildah.run_command(self.name, command, volumes, **variables),
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        running = Running(outer, log)
        try:
            yield running
        finally:
            running.end()

    def changed_files(self, since: float) -> list[str]:
        """Return the files in the root folder of the container that were written since a time."""
        return [
            str(path.relative_to(self.root))
            for path in self.root.rglob("*")
            if path.is_file() and not path.is_symlink() and path.stat().st_mtime > since
        ]


class Running:
    """A command in a container, which is a descendant of buildah's process."""

    def __init__(self, outer: subprocess.Popen[bytes], log: Path) -> None:
        self._outer, self.log = outer, log

    def process(self) -> psutil.Process:
        """Return the process of the command, once buildah has started it."""
        compose_file.wait_until(lambda: self._find() is not None or self._outer.poll() is not None, self.log)
        found = self._find()
        assert found is not None, self.log.read_text()
        return found

    def _find(self) -> psutil.Process | None:
        if self._outer.poll() is not None:
            return None
        for child in psutil.Process(self._outer.pid).children(recursive=True):
            if child.parent() is not None and child.parent().cmdline()[:1] == ["buildah-chroot-exec"]:
                return child
        return None

    def is_over(self) -> bool:
        return self._outer.poll() is not None

    def end(self) -> None:
        """End the command by SIGTERM, as Docker does, and not buildah, which would kill it."""
        if (process := self._find()) is not None:
            process.terminate()
        try:
            self._outer.wait(60)
        except subprocess.TimeoutExpired:
            for child in psutil.Process(self._outer.pid).children(recursive=True):
                child.kill()
            self._outer.kill()
            self._outer.wait()
            raise


def pip_config() -> dict[str, str]:
    """Return the configuration of pip on this machine, by which it finds its index."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    config: dict[str, str] = {}
    for line in sorted(listed.splitlines(), key=lambda line: line.startswith(":env:")):  # variables have the last word
        name, _, value = line.partition("=")
        section, _, key = name.rpartition(".")
        if section in ("global", ":env:", "install"):
            config[key] = " ".join(ast.literal_eval(value).split())
    return config


def _volumes(config: dict[str, str]) -> list[str]:
    """Return the options that make the files which pip's configuration names readable during the build."""
    paths = set()
    for word in " ".join(config.values()).split():
        path = Path(word.removeprefix("file://"))
        if path.is_absolute() and path.exists():
            paths.add(path.parent if word.startswith("file://") else path)
    return [f"--volume={path}:{path}:ro" for path in sorted(paths)]


def _debootstrap(folder: Path, archive: Path) -> None:
    command = ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", "bookworm", str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=1800)
    assert done.returncode == 0, done.stdout[-3000:]
    part = archive.with_suffix(f".{os.getpid()}")
    tar = ["tar", "--directory", str(folder), "--one-file-system", "--exclude=./var/cache/apt/archives/*.deb"]
    subprocess.run([*tar, "--create", "--file", str(part), "."], check=True, timeout=600)
    part.rename(archive)
    shutil.rmtree(folder)


def now() -> float:
    """Return a time for `changed_files`, later than every file that is there."""
    time.sleep(0.05)
    return time.time()
