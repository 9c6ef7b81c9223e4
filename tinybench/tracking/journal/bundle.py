"""Pack journals into one file that can be carried to another machine, and unpack it there."""

from __future__ import annotations

import re
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tinybench.core import atomic
from tinybench.core.errors import ConfigError
from tinybench.tracking.journal.journal import ABOUT_NAME, Journal

# Nothing else is unpacked, so a file from a stranger writes nothing outside its folder
_MEMBER = re.compile(r"(\d{8}-[0-9a-f]{12})/(about|entries|sent|files/[0-9a-f]{64})")

_MAX_RATIO = 250  # of a member to its compressed bytes; entries, each written twice, come to 30


def pack(journals: Sequence[Journal], file: Path) -> None:
    """Write journals into a file.

    Args:
        journals: The journals; they stay as they are.
        file: The file, which is replaced if it exists.

    Raises:
        ConfigError: The file cannot be written.
    """
    try:
        with atomic.replacing(file) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            for journal in journals:
                for path in sorted(journal.folder.rglob("*")):
                    name = f"{journal.folder.name}/{path.relative_to(journal.folder).as_posix()}"
                    if path.is_file() and _MEMBER.fullmatch(name):
                        archive.write(path, name)
    except OSError as error:
        raise ConfigError(f"Cannot write {file}: {error.strerror or error}. Choose another path.") from error


@contextmanager
def open_bundle(bundle: Path, target: str | None) -> Iterator[list[Journal]]:
    """Yield the journals of a bundle: a journal's folder, a folder of journals, or a file that `pack` wrote.

    Args:
        bundle: The bundle.
        target: The store that they are sent to, as `store.identity` names it; the one they were written for if None.

    Raises:
        ConfigError: There is no such bundle, or it is damaged.
    """
    if bundle.is_dir():
        yield _journals_in(bundle, target)
        return
    if not bundle.is_file():
        hint = " Name a store by --to." if ":/" in str(bundle) else ""
        raise ConfigError(f"There is no bundle {bundle}: check the path.{hint}")
    with TemporaryDirectory() as folder:
        _unpack(bundle, Path(folder))
        yield _journals_in(Path(folder), target)


def _journals_in(folder: Path, target: str | None) -> list[Journal]:
    files = [folder / ABOUT_NAME] if (folder / ABOUT_NAME).is_file() else sorted(folder.rglob(ABOUT_NAME))
    if not files:
        raise ConfigError(f"{folder} holds no journal: name a folder that tinybench wrote, or a file of sync --pack.")
    for path in (path for file in files for path in file.parent.iterdir()):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ConfigError(f"{path} is a link or no file: tinybench writes none of these.")
    return [Journal(file.parent, target) for file in files]


def _unpack(bundle: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(bundle) as archive:
            for info in archive.infolist():
                if not _MEMBER.fullmatch(info.filename):
                    raise ConfigError(f"{bundle} is no bundle of tinybench: it holds {info.filename[:80]!r}.")
                if info.file_size > _MAX_RATIO * info.compress_size + 1_000_000:
                    raise ConfigError(f"{bundle} is refused: {info.filename} would grow to {info.file_size:,} bytes.")
                path = folder / info.filename
                path.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(info) as member, path.open("wb") as file:
                    shutil.copyfileobj(member, file)
    except OSError as error:
        raise ConfigError(f"Cannot unpack {bundle}: {error.strerror or error}.") from error
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, ValueError, zlib.error) as error:
        raise ConfigError(f"{bundle} is damaged, or no file of tinybench sync --pack: pack it again.") from error
