"""What waits for the commit of a host: listeners are told of it after that, and only then.

SQLAlchemy announces the end of a transaction before it happens, and nothing after it. So what its
dialect does at an end, which is the last thing that can fail, is followed here.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any
from weakref import WeakSet

from attrs import define, field
from sqlalchemy import Connection, Dialect, Engine

from hotelcore.errors import InvalidInput
from hotelcore.sql.seam.limits import forget_told

__all__ = ["after_commit", "kept_open", "watch_commits"]

_LEDGER = "hotelcore_ledger"
_watched: WeakSet[Dialect] = WeakSet()


@define
class _Waiting:
    """What to call, and how many of the host's savepoints it stands inside."""

    call: Callable[[], None]
    depth: int


@define
class _Ledger:
    """The savepoints that are open on a connection, and what waits for its commit.

    ``units`` are those of the savepoints in which a unit of work has not come to its end.
    """

    savepoints: list[str] = field(factory=list)
    units: list[str] = field(factory=list)
    waiting: list[_Waiting] = field(factory=list)

    def is_unfinished(self, savepoint: str | None = None) -> bool:
        """Tell whether a unit is inside of a savepoint, or of the transaction."""
        inside = self.savepoints
        if savepoint is not None:
            inside = inside[inside.index(savepoint) + 1 :] if savepoint in inside else []
        return not set(self.units).isdisjoint(inside)

    def tell(self) -> None:
        """Call what waited."""
        for each in self.waiting:
            each.call()

    def undo(self, savepoint: str) -> None:
        """Forget what was done inside a savepoint that is rolled back."""
        depth = self._leave(savepoint)
        self.waiting = [each for each in self.waiting if each.depth <= depth]

    def keep(self, savepoint: str) -> None:
        """Let what was done inside a savepoint belong to what is around it."""
        depth = self._leave(savepoint)
        for each in self.waiting:
            each.depth = min(each.depth, depth)

    def _leave(self, savepoint: str) -> int:
        if savepoint in self.savepoints:
            del self.savepoints[self.savepoints.index(savepoint) :]
        return len(self.savepoints)


def after_commit(connection: Connection, call: Callable[[], None]) -> None:
    """Call once the transaction that is open has been committed; never if it is rolled back.

    A savepoint around this moment that is rolled back takes it along.
    """
    ledger = _ledger(connection)
    ledger.waiting.append(_Waiting(call, len(ledger.savepoints)))


@contextmanager
def kept_open(connection: Connection) -> Generator[None]:
    """Refuse to commit, or to leave a savepoint around this one, until the body is over.

    A unit of work stores its events and its audit entries at its end: what was kept before that
    would lack them for good.
    """
    ledger = _ledger(connection)
    unit = ledger.savepoints[-1]
    ledger.units.append(unit)
    try:
        yield
    finally:
        ledger.units.remove(unit)


def watch_commits(engine: Engine) -> None:
    """Hook into an engine, once, what is asked for here; and spare psycopg idle rollbacks."""
    dialect = engine.dialect
    if dialect in _watched:
        return
    _watched.add(dialect)
    if dialect.name == "postgresql":
        _spare_idle_rollbacks(dialect)
    _follow(dialect, "do_savepoint", lambda on, name: _ledger(on).savepoints.append(name))
    _follow(dialect, "do_rollback_to_savepoint", _undone)
    _refuse_unfinished(dialect, "do_release_savepoint", lambda *_: None)
    # Else it would be kept by whatever the host commits on this connection next.
    _refuse_unfinished(dialect, "do_commit", lambda on: dialect.do_rollback(on))
    _follow(dialect, "do_release_savepoint", lambda on, name: _ledger(on).keep(name))
    _follow(dialect, "do_rollback", _forgotten)
    _follow(dialect, "do_commit", lambda on: _forgotten(on).tell())


def _spare_idle_rollbacks(dialect: Dialect) -> None:
    """Leave out the rollback at each return to the pool where nothing is to be undone.

    With asyncio psycopg takes a turn of the event loop to find that out.
    """
    do = dialect.do_rollback

    def do_if_open(connection: Any) -> None:  # of SQLAlchemy's or the pool's proxy
        # Asked of the dialect: a proxy that is detached from its pool no longer knows it.
        driver: Any = dialect.get_driver_connection(connection.dbapi_connection)
        if driver.pgconn.transaction_status or driver.pgconn.pipeline_status:  # 0 is nothing open
            do(connection)

    dialect.do_rollback = do_if_open  # type: ignore[assignment, method-assign]  # a method, bound


# `Any`: the hooks get a connection of SQLAlchemy's or the pool's proxy; both have the same `info`.
def _follow(dialect: Dialect, method: str, then: Callable[..., Any]) -> None:
    do = getattr(dialect, method)

    def do_and_then(*args: Any) -> None:
        do(*args)
        then(*args)

    setattr(dialect, method, do_and_then)


def _refuse_unfinished(dialect: Dialect, method: str, instead: Callable[..., Any]) -> None:
    """Refuse to keep what a unit is in the midst of, and do something ``instead``."""
    do = getattr(dialect, method)

    def do_if_finished(*args: Any) -> None:
        if _ledger(args[0]).is_unfinished(*args[1:]):
            instead(*args)
            raise InvalidInput("transaction", _UNFINISHED)
        do(*args)

    setattr(dialect, method, do_if_finished)


def _undone(connection: Any, savepoint: str) -> None:
    _ledger(connection).undo(savepoint)
    forget_told(connection)


def _ledger(connection: Any) -> _Ledger:
    try:
        ledger: _Ledger = connection.info.setdefault(_LEDGER, _Ledger())
    except NotImplementedError:  # the bare connection with which a dialect looks about at first
        return _Ledger()
    return ledger


def _forgotten(connection: Any) -> _Ledger:
    ledger = _ledger(connection)
    with suppress(NotImplementedError):
        connection.info.pop(_LEDGER, None)
        forget_told(connection)
    return ledger


_UNFINISHED = (
    "is not committed inside of joining(), where audit entries and events are still to come: leave"
    " the block first"
)
