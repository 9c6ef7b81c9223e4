"""Create the SQLite file of a store: the complete one or none.

MLflow makes its tables in dozens of steps. A process that ends between them leaves a file that nobody can use.
"""

from __future__ import annotations

import errno
import os
import threading
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

_lock = threading.Lock()  # the migrations of a process are not for several threads
_WITHOUT_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


def create_database(file: Path) -> None:
    """Create the file of a store, unless it exists; of several processes that do, the first one wins.

    Raises:
        OSError: The file cannot be written.
        sqlalchemy.exc.SQLAlchemyError: The tables cannot be created.
    """
    if "?" in str(file):  # with options of the driver
        return
    with _lock:
        if not file.exists():
            _create_tables(file)


def _create_tables(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    from mlflow.store.db import utils

    with TemporaryDirectory(prefix=f".{file.name}.", dir=file.parent, ignore_cleanup_errors=True) as folder:
        new = Path(folder, file.name)
        engine = utils.create_sqlalchemy_engine(f"sqlite:///{new}")
        try:
            utils._initialize_tables(engine)
        finally:
            engine.dispose()
        with suppress(FileExistsError):
            _move(new, file)


def _move(new: Path, file: Path) -> None:
    """Move a file to where there is none; a plain rename would replace the file of another process."""
    try:
        os.link(new, file)
    except OSError as error:
        if error.errno not in _WITHOUT_LINKS or file.exists():
            raise
        new.rename(file)
