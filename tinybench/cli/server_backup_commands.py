"""The commands `server backup` and `server restore`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import click

from tinybench.cli.server_store import read_store
from tinybench.core import quiet_libraries

if TYPE_CHECKING:
    from tinybench.service.backup.backup_folder import Backup
    from tinybench.service.backup.restore import Restored
    from tinybench.service.settings import ServerSettings

_FILE = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.argument("folder", type=_FOLDER, metavar="DEST")
@click.option("--list", "is_listing", is_flag=True, help="List the backups in DEST; take none.")
@click.option("--verify", "is_verifying", is_flag=True, help="Read a backup in DEST again and check it; take none.")
@click.option(
    "--backup", "name", metavar="TIME", help="With --verify: which one, as --list names it.  [default: the newest]"
)
@click.option(
    "--identity",
    "identity_file",
    type=_FILE,
    help="With --verify: file with the secret key of age of an encrypted backup.",
)
@click.option(
    "--encrypt-to",
    "recipients",
    multiple=True,
    metavar="RECIPIENT",
    help="Encrypt with age to this public key (age1…); may be repeated.",
)
@click.option("--keep-last", type=click.IntRange(0), default=0, help="Then keep this many of the newest backups.")
@click.option("--keep-daily", type=click.IntRange(0), default=0, help="Also keep the newest of this many days.")
@click.option("--keep-weekly", type=click.IntRange(0), default=0, help="Also keep the newest of this many weeks.")
@click.option(
    "--leave-out-elsewhere",
    is_flag=True,
    help="Back up although some runs have their files outside of --artifacts-destination.",
)
@click.pass_context
def backup(
    context: click.Context,
    folder: Path,
    is_listing: bool,
    is_verifying: bool,
    name: str | None,
    identity_file: Path | None,
    recipients: tuple[str, ...],
    keep_last: int,
    keep_daily: int,
    keep_weekly: int,
    leave_out_elsewhere: bool,
) -> int:
    """Back up the store into the folder DEST, while it is in use.

    The store is the one of tinybench server: its options come before the word backup. A second backup adds only files
    that are new. Without --keep-… no backup is removed; with one of them, the newest proved backup stays all the same.

    Example: tinybench server --backend-store-uri sqlite:///mlflow.db backup /mnt/backups --keep-daily 7 --keep-weekly 5
    """
    if is_listing:
        _print_list(folder)
        return 0
    if is_verifying:
        return _verify(folder, name, identity_file)
    if name is not None or identity_file is not None:
        raise click.UsageError("--backup and --identity have an effect only with --verify")
    with quiet_libraries.filter_startup_noise():
        from tinybench.service.backup import pruning, take_backup
        from tinybench.service.backup.backup_folder import BackupFolder
        from tinybench.service.backup.encryption import Encryption

    backups = BackupFolder(folder)
    settings = read_store(context)
    encryption = Encryption.to(recipients)
    policy = pruning.KeepPolicy(keep_last, keep_daily, keep_weekly)
    with backups.opened():
        result = take_backup.take(
            settings.backend_store_uri,
            settings.artifacts_destination,
            backups,
            encryption,
            leave_out_elsewhere=leave_out_elsewhere,
            on_message=click.echo,
        )
        removed = pruning.prune(backups, policy) if policy.prunes else []
    index = result.backup.index
    for notice in result.notices:
        click.echo(f"Note: {notice}")
    click.echo(
        f"Backup {result.backup.name}: {_describe_counts(index.counts)}; {_in_mb(index.size)}, of which "
        f"{_in_mb(result.added_bytes)} are new."
    )
    if removed:
        click.echo(f"Removed {len(removed)} older backups: {', '.join(old.name for old in removed)}.")
    assert context.parent is not None
    password_file = context.parent.params["database_password_file"]
    first = "" if settings.is_sqlite else ", after createdb restored"
    click.echo(f"It is unproved: never restored. Prove it{first} by:")
    click.echo(f"  {_restore_command(folder, result.backup, settings, password_file)}")
    return 0


def _restore_command(folder: Path, backup: Backup, settings: ServerSettings, password_file: Path | None) -> str:
    """Return a command that restores a backup beside its store: to a database `restored`, which in Postgres exists."""
    words = ["tinybench", "server", "restore", str(folder), "--backup", backup.name]
    if backup.index.recipients:
        words += ["--identity", "key.txt"]
    if settings.is_sqlite:
        uri = "sqlite:///restored.db"
    else:
        parts = urlsplit(settings.backend_store_uri)
        user, _, host = parts.netloc.rpartition("@")
        netloc = f"{user.partition(':')[0]}@{host}" if user else host
        uri = urlunsplit(parts._replace(netloc=netloc, path="/restored"))
    words += ["--backend-store-uri", uri]
    if password_file is not None:
        words += ["--database-password-file", str(password_file)]
    return shlex.join([*words, "--artifacts-destination", "restored"])


def _verify(folder: Path, name: str | None, identity_file: Path | None) -> int:
    from tinybench.service.backup.backup_folder import BackupFolder
    from tinybench.service.backup.encryption import Identity
    from tinybench.service.backup.verify import verify

    backups = BackupFolder(folder)
    backups.require()
    backup = backups.get(name)
    verified = verify(backup, Identity(identity_file) if identity_file is not None else None)
    for problem in verified.damaged:
        click.echo(problem)
    subject = f"{verified.objects:,} objects ({verified.files:,} files, {_in_mb(verified.size)})"
    if verified.damaged:
        click.echo(
            f"Backup {backup.name}: {len(verified.damaged):,} of {subject} are damaged. Delete these objects: the next "
            "backup then stores them again, if the server still has the files."
        )
        return 1
    click.echo(f"Backup {backup.name}: {subject} are as they were stored. Only a restore proves a backup.")
    return 0


@click.command()
@click.argument("folder", type=_FOLDER, metavar="SOURCE")
@click.option("--backup", "name", metavar="TIME", help="Which backup, as --list names it.  [default: the newest]")
@click.option("--list", "is_listing", is_flag=True, help="List the backups in SOURCE; restore none.")
@click.option("--backend-store-uri", help="Database to restore to, which must be new or empty.")
@click.option(
    "--database-password-file",
    type=_FILE,
    help="File with the password of that database.  [default: TINYBENCH_DATABASE_PASSWORD]",
)
@click.option("--artifacts-destination", help="Folder or s3://BUCKET/PATH to restore to, which must be new or empty.")
@click.option("--identity", "identity_file", type=_FILE, help="File with the secret key of age of an encrypted backup.")
def restore(
    folder: Path,
    name: str | None,
    is_listing: bool,
    backend_store_uri: str | None,
    database_password_file: Path | None,
    artifacts_destination: str | None,
    identity_file: Path | None,
) -> int:
    """Restore a backup from the folder SOURCE to a new store, and prove that it is whole.

    Every run, parameter, metric point, tag, model, version, alias and file is compared with the backup, and the
    champion of each registered name predicts its stored test images. Then the backup is marked as proved.

    Example: tinybench server restore /mnt/backups --backend-store-uri sqlite:///new.db --artifacts-destination new
    """
    if is_listing:
        _print_list(folder)
        return 0
    with quiet_libraries.filter_startup_noise():
        from tinybench.service.backup import restore as restoring
        from tinybench.service.backup.backup_folder import BackupFolder
        from tinybench.service.backup.encryption import Identity
        from tinybench.service.settings import ServerSettings, read_secret, with_database_password

    if backend_store_uri is None or artifacts_destination is None:
        raise click.UsageError("Missing option '--backend-store-uri' or '--artifacts-destination': name a new store")
    password = read_secret("--database-password-file", database_password_file, "TINYBENCH_DATABASE_PASSWORD")
    settings = with_database_password(ServerSettings(backend_store_uri, artifacts_destination), password)
    backups = BackupFolder(folder)
    backups.require()
    identity = Identity(identity_file) if identity_file is not None else None
    restored = restoring.restore(
        backups.get(name), settings.backend_store_uri, artifacts_destination, identity, click.echo
    )
    return _print_restored(restored)


def _print_restored(restored: Restored) -> int:
    click.echo(f"0 differences: {_describe_counts(restored.counts)} are as in the backup {restored.backup.name}.")
    for notice in restored.notices:
        click.echo(f"Note, from the backup: {notice}")
    for champion in restored.champions:
        if champion.is_foreign or champion.reason:
            result = f"not compared: {champion.reason}"
        else:
            result = f"{champion.images} test images, probabilities differ by at most {champion.difference:.2g}"
        click.echo(f"Champion {champion.name}, version {champion.version}: {result}.")
    if not restored.is_proved:
        click.echo("The store is restored, but the backup stays unproved: a champion does not predict as it did.")
        return 1
    if restored.unrecorded:
        click.echo(f"The backup is proved, which could not be written into it: {restored.unrecorded}.")
        return 0
    click.echo("The backup is marked as proved.")
    return 0


def _print_list(folder: Path) -> None:
    from tinybench.service.backup.backup_folder import BackupFolder

    BackupFolder(folder).require()
    backups = BackupFolder(folder).list_backups()
    for backup in backups:
        click.echo(f"{backup.name}  {_describe_backup(backup)}")
    if not backups:
        click.echo("No complete backup.")


def _describe_backup(backup: Backup) -> str:
    from tinybench.core.errors import DataError

    try:
        index = backup.index
    except DataError as error:
        return f"damaged: {error}"
    proof = backup.read_proof()
    state = f"proved on {proof['proved_at'][:10]}" if proof is not None else "unproved: never restored"
    lock = ", encrypted" if index.recipients else ""
    return f"{_in_mb(index.size):>12}  {index.counts.get('runs', 0):>7,} runs{lock}  {state}"


def _describe_counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{number:,} {label}" for label, number in counts.items())


def _in_mb(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
