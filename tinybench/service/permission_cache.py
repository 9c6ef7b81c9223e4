"""What MLflow reads from its databases to check a request, remembered for a moment.

For each request, MLflow reads its user three times, the grants of that user, and for a batch of metrics the whole run
with all its parameters and metrics, only to learn its experiment. Under load, that doubled the time of a batch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from functools import lru_cache, wraps
from threading import Lock
from typing import Any

from cachetools import TTLCache
from mlflow.server import auth
from sqlalchemy import event

SECONDS = 2.0
"""How long another process of the server may go by rights that were changed; the one that changes them forgets."""

_METHODS = ("get_user", "list_grants", "list_user_roles")
_LOGGED_MODEL = auth.RESOURCE_TYPE_LOGGED_MODEL
_READS = ("SELECT", "PRAGMA")
_Rights = tuple[Any, list[Any]]  # a resource, and what its users need
_SIZE = 10_000  # entries; and runs, of some 300 bytes each


class _NoRunError(Exception):
    """There is no such run."""


def install() -> None:
    """Remember what MLflow's checks read, and leave out one that cannot change anything.

    Call it once for each process, after MLflow has opened its database of users.
    """
    remember_users(auth.store)
    auth._run_requirement = remember_experiments(auth._run_requirement)
    auth._redact_run_response = skip_needless_redaction(auth._redact_run_response)


def remember_users(store: Any, timer: Callable[[], float] = time.monotonic) -> None:
    """Remember users, their roles and grants for `SECONDS`, or until this process changes any of them.

    Args:
        store: MLflow's database of users.
        timer: Returns the time in seconds.
    """
    answers: TTLCache[Any, Any] = TTLCache(_SIZE, SECONDS, timer)
    lock = Lock()
    changes = 0

    def remembered(method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def read(*arguments: Any) -> Any:
            key = (method.__name__, *(frozenset(one) if isinstance(one, set) else one for one in arguments))
            if not all(isinstance(one, Hashable) for one in key):  # a request may send a list as a name
                return method(*arguments)
            with lock:
                before = changes
                answer = answers.get(key)
            if answer is not None:
                return answer
            answer = method(*arguments)
            with lock:
                if before == changes:  # else it may be older than the change
                    answers[key] = answer
            return answer

        return read

    def note_change(connection: Any, _cursor: Any, statement: str, *_: object) -> None:
        if not statement.lstrip().upper().startswith(_READS):
            connection.info["changed"] = True

    def forget(_connection: Any, record: Any) -> None:
        nonlocal changes
        if record is not None and record.info.pop("changed", False):
            with lock:
                changes += 1
                answers.clear()

    for name in _METHODS:
        setattr(store, name, remembered(getattr(store, name)))
    event.listen(store.engine, "after_cursor_execute", note_change)
    event.listen(store.engine, "checkin", forget)  # after the transaction is committed


def remember_experiments(read: Callable[[Any, str], _Rights | None]) -> Callable[[Any, str], _Rights | None]:
    """Remember which rights an action on a run takes: they follow from its experiment, which never changes.

    Args:
        read: MLflow's function of a run's ID and an action. It returns None where there is no such run, which is not
            remembered.
    """

    @lru_cache(_SIZE)
    def remembered(run_id: str, action: str) -> tuple[Any, tuple[Any, ...]]:
        found = read(run_id, action)
        if found is None:
            raise _NoRunError
        return found[0], tuple(found[1])

    def requirement(run_id: Any, action: str) -> _Rights | None:
        if not isinstance(run_id, str):  # whatever a request may send
            return read(run_id, action)
        try:
            anchor, requirements = remembered(run_id, action)
        except _NoRunError:
            return None
        return anchor, [*requirements]

    return requirement


def skip_needless_redaction(redact: Callable[..., None]) -> Callable[..., None]:
    """Read the runs of a response again only for a user from whom something in them must be withheld.

    Args:
        redact: MLflow's function, which withholds the logged models of runs from users who may not read such models.
            It reads all runs of the response first, which takes a third of the time of a search.
    """

    def redact_if_denied(response: Any, message: Any, runs_of: Callable[[Any], Any]) -> None:
        username = auth.authenticate_request().username
        if _LOGGED_MODEL in auth._denied_sibling_tiers(username, (_LOGGED_MODEL,)):
            redact(response, message, runs_of)

    return redact_if_denied
