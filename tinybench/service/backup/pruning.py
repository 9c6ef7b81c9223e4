"""Choose which backups to keep, and remove the others with the objects that none of those needs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tinybench.service.backup.backup_folder import Backup, BackupFolder


@dataclass(frozen=True)
class KeepPolicy:
    """The numbers of backups to keep.

    Attributes:
        last: The newest ones.
        daily: The newest of a day, for so many days that have one.
        weekly: The newest of a week, for so many weeks that have one.
    """

    last: int = 0
    daily: int = 0
    weekly: int = 0

    @property
    def prunes(self) -> bool:
        """Whether any backup may be removed."""
        return bool(self.last or self.daily or self.weekly)


def choose(backups: Sequence[Backup], policy: KeepPolicy) -> list[Backup]:
    """Return the backups to keep, the oldest first: also the newest, and the newest that was proved.

    Args:
        backups: All backups, the oldest first.
        policy: How many are kept.
    """
    newest_first = list(reversed(backups))
    proved = next((backup for backup in newest_first if backup.read_proof() is not None), None)
    names = {backup.name for backup in newest_first[: max(1, policy.last)]}
    names |= _newest_of_each(newest_first, policy.daily, lambda time: time.date())
    names |= _newest_of_each(newest_first, policy.weekly, lambda time: time.isocalendar()[:2])
    if proved is not None:
        names.add(proved.name)
    return [backup for backup in backups if backup.name in names]


def prune(folder: BackupFolder, policy: KeepPolicy) -> list[Backup]:
    """Remove backups by a policy, and the objects that no other backup has; the folder must be locked.

    Returns:
        The backups that were removed.

    Raises:
        DataError: The index of a backup that stays is damaged; then nothing is removed, since it is not known which
            objects it needs.
    """
    backups = folder.list_backups()
    keep = choose(backups, policy)
    needed = {name for backup in keep for name in backup.index.objects}
    removed = [backup for backup in backups if backup not in keep]
    for backup in removed:
        # Renamed first: a backup of which half is removed must not look complete
        hidden = backup.folder.rename(backup.folder.with_name(f"incomplete-{backup.name}"))
        shutil.rmtree(hidden)
    for path in folder.objects.iterdir():
        if path.name not in needed:
            path.unlink()
    return removed


def _newest_of_each(newest_first: Sequence[Backup], count: int, period: Callable[[datetime], Any]) -> set[str]:
    newest: dict[Any, str] = {}
    for backup in newest_first:
        newest.setdefault(period(backup.time), backup.name)
    return set(list(newest.values())[:count])
