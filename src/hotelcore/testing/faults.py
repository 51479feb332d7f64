"""Makes the calls to a database driver fail, each in turn.

The engine goes on to use the real driver and the real database. Its connections are of a class of
ours, derived from the driver's, that counts the calls and lets the chosen one fail. So what a test
sees is what an application sees on a bad day: the driver's own error, on a connection that is whole
or really gone, while the server did what it was told or did not.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from attrs import field, frozen
from sqlalchemy import Engine, event

from hotelcore.errors import InvalidInput

__all__ = ["Fault", "Faults", "Faulty"]

T = TypeVar("T")


def _counted_from_one(_: object, __: object, call: int) -> None:
    if not isinstance(call, int) or call < 1:
        raise InvalidInput("call", "must be a whole number from 1")


@frozen(kw_only=True)
class Fault:
    """At which call of the driver something goes wrong, and what.

    ``call`` is the number of the call, 1 for the first after `Faults.failing` began. It does not
    reach the database at all, or if the fault comes ``after`` it, it succeeds there and the error
    comes in place of the result. Of a fault ``for_good`` every later call fails too, and reaches
    nothing; else the next call succeeds. With ``disconnect`` the connection is really gone, and
    the server rolls back what was not committed. With ``kill`` this process dies by SIGKILL.
    """

    call: int = field(validator=_counted_from_one)
    after: bool = False
    for_good: bool = False
    disconnect: bool = False
    kill: bool = False


class Faulty(Protocol):
    """What a driver's connection has to offer so that its calls can fail."""

    def error(self) -> Exception:
        """Return an error of the driver's that leaves the connection whole."""
        ...

    def lost(self) -> Exception:
        """Cut the connection, and return the error that the driver then raises by itself."""
        ...


class Faults:
    """Counts the calls to the driver of one engine, and lets them fail. Make it with `on`.

    Counted are ``connect``, ``cursor``, ``execute``, ``executemany``, ``fetchone``, ``fetchmany``,
    ``fetchall``, ``commit``, ``rollback`` and ``close`` of cursors, ``exchange`` (statements that
    go to PostgreSQL together; a ``commit`` if the last of them is one) and ``disconnect`` (the
    close of a connection), of all connections and threads together. To close a connection lets go
    of it also when it fails, as drivers do.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: list[str] = []
        self._fault: Fault | None = None

    @classmethod
    def on(cls, engine: Engine) -> Faults:
        """Let the calls of ``engine`` be counted from now on, and fail when they are told to.

        It is the engine of a `hotelcore.core.HotelCore` or one of your own, with the driver
        sqlite3, aiosqlite (``sync_engine`` of your engine) or psycopg without asyncio; else
        `InvalidInput`. Idle connections are closed first, so a SQLite database in memory begins
        empty.
        """
        faults, driver = cls(), f"{engine.dialect.name}+{engine.dialect.driver}"
        if driver in ("sqlite+pysqlite", "sqlite+aiosqlite"):
            from hotelcore.testing.faulty_sqlite import opening
        elif driver == "postgresql+psycopg" and not engine.dialect.is_async:
            from hotelcore.testing.faulty_psycopg import opening
        else:
            raise InvalidInput(
                "engine", "must be of sqlite3, aiosqlite, or psycopg without asyncio"
            )
        event.listen(engine, "do_connect", opening(faults))
        engine.dispose()
        return faults

    @contextmanager
    def counting(self) -> Generator[Sequence[str]]:
        """Collect the names of the calls while the body runs; nothing fails."""
        with self._recording(None) as calls:
            yield calls

    @contextmanager
    def failing(self, fault: Fault) -> Generator[Sequence[str]]:
        """Let ``fault`` happen while the body runs, and collect the names of the calls.

        Afterwards the driver works again, with new connections for those that were cut.
        """
        with self._recording(fault) as calls:
            yield calls

    @contextmanager
    def _recording(self, fault: Fault | None) -> Generator[Sequence[str]]:
        calls: list[str] = []
        with self._lock:
            before = self._calls, self._fault
            self._calls, self._fault = calls, fault
        try:
            yield calls
        finally:
            with self._lock:
                self._calls, self._fault = before

    def through(self, name: str, call: Callable[[], T], connection: Faulty) -> T:
        """Make a ``call`` to the driver, or let it fail; for the classes of connections."""
        fault, first = self._due(name)
        if fault is None:
            return call()
        if (fault.after and first) or name == "disconnect":
            call()
        if fault.kill:
            _die()
        raise connection.lost() if fault.disconnect else connection.error()

    def _due(self, name: str) -> tuple[Fault | None, bool]:
        """Count a call, and tell which fault it meets and whether that is its first."""
        with self._lock:
            self._calls.append(name)
            fault, number = self._fault, len(self._calls)
        if fault is None or number < fault.call or (number > fault.call and not fault.for_good):
            return None, False
        return fault, number == fault.call


Opening = Callable[[Any, Any, Any, Any], Any]
"""SQLAlchemy's hook ``do_connect``: https://docs.sqlalchemy.org/en/20/core/events.html"""


def _die() -> None:
    # Windows has no such signal, and ends a process as abruptly for any other.
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
