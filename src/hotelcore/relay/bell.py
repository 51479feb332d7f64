"""What wakes the relay: a commit of anybody that holds events, a worker that is free, the end.

PostgreSQL announces such a commit by itself (`hotelcore.sql.schema.announced`). SQLite counts the
commits of others, which costs some microseconds to look at.
"""

from __future__ import annotations

import logging
import selectors
import socket
from contextlib import ExitStack, suppress
from typing import Any, Protocol

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from hotelcore.sql.events.outbox import OUTBOX
from hotelcore.sql.schema import TableNames
from hotelcore.sql.seam.engine import READING, places_for

__all__ = ["Bell"]

_log = logging.getLogger("hotelcore.relay")

# How often SQLite is asked, in seconds: the most by which a wake-up there comes late.
_LOOK = 0.01


class _News(Protocol):
    """Tells whether somebody committed."""

    def wait(self, ringing: socket.socket, seconds: float) -> bool:
        """Return True on a commit or after so many seconds, False when ``ringing`` can be read."""
        ...

    def close(self) -> None:
        """Give the connection back."""
        ...


class Bell:
    """Wakes one thread. Any thread may `ring`; one waits."""

    def __init__(self, engine: Engine, names: TableNames) -> None:
        self._engine, self._names = engine, names
        self._ringing, self._rope = socket.socketpair()
        self._rope.setblocking(False)
        self._news: _News | None = None

    def ring(self) -> None:
        """Wake who waits, or who will wait next."""
        with suppress(OSError):  # it rings already, or is closed
            self._rope.send(b"!")

    def wait(self, seconds: float) -> bool:
        """Return when it rings, when somebody commits events, or after so many seconds.

        It is False when it only rang: then there are no new events to look for. The first time,
        and after a lost connection, it returns as soon as it can hear of them. A database that
        does not answer is left in peace for that time.
        """
        try:
            if self._news is None:
                self._news = self._listen()
                return True  # nobody announces what was committed before
            heard = self._news.wait(self._ringing, seconds)
        except (SQLAlchemyError, _driver_errors(self._engine)):
            _log.warning("cannot hear of new events, so the relay looks every %g s", seconds)
            self._forget()
            heard = not _readable(self._ringing, seconds=seconds)
        if _readable(self._ringing, seconds=0):
            self._ringing.recv(4096)
        return heard

    def close(self) -> None:
        """Give the connection back."""
        self._forget()
        self._ringing.close()
        self._rope.close()

    def _listen(self) -> _News:
        if self._engine.dialect.name == "postgresql":
            return _Announced(self._engine, self._names.in_statement(OUTBOX.name))
        if places_for(self._engine.url) == 1:  # a database in memory has no second connection
            return _Unheard()
        return _Counted(self._engine)

    def _forget(self) -> None:
        news, self._news = self._news, None
        if news is not None:
            with suppress(SQLAlchemyError, _driver_errors(self._engine)):
                news.close()


def _driver_errors(engine: Engine) -> type[Exception]:
    errors: type[Exception] = engine.dialect.loaded_dbapi.Error
    return errors


# select() takes no file of a number above 1,023, and epoll would need one more file for each wait.
# On Windows, which has no poll(), the numbers do not matter to select().
_Waiting: type[selectors.BaseSelector] = getattr(
    selectors, "PollSelector", selectors.SelectSelector
)


def _readable(*sources: int | socket.socket, seconds: float) -> bool:
    with _Waiting() as waiting:
        for source in sources:
            waiting.register(source, selectors.EVENT_READ)
        return bool(waiting.select(seconds))


class _Announced:
    """Listens on PostgreSQL, on a connection of its own that is in no transaction."""

    def __init__(self, engine: Engine, channel: str) -> None:
        with ExitStack() as undo:
            pooled = engine.raw_connection()
            undo.callback(pooled.close)
            driver: Any = pooled.driver_connection  # psycopg's: SQLAlchemy does not name its type
            pooled.detach()  # the pool keeps its places for the work
            driver.autocommit = True
            driver.execute(f"LISTEN {channel}")
            self._driver, self._pooled = driver, pooled
            undo.pop_all()

    def wait(self, ringing: socket.socket, seconds: float) -> bool:
        if not _readable(self._driver.fileno(), ringing, seconds=seconds):
            return True
        # One waking is enough for all of them.
        return bool(list(self._driver.notifies(timeout=0)))

    def close(self) -> None:
        self._pooled.close()


class _Counted:
    """Looks at the number of commits that others made on SQLite."""

    def __init__(self, engine: Engine) -> None:
        self._connection = engine.connect().execution_options(**{READING: True})
        self._connection.detach()  # the pool keeps its places for the work
        self._seen = self._count()

    def _count(self) -> int:
        return int(self._connection.execute(text("PRAGMA data_version")).scalar_one())

    def wait(self, ringing: socket.socket, seconds: float) -> bool:
        while seconds > 0 and not self._changed():
            if _readable(ringing, seconds=min(_LOOK, seconds)):
                return False
            seconds -= _LOOK
        return True

    def _changed(self) -> bool:
        before, self._seen = self._seen, self._count()
        return before != self._seen

    def close(self) -> None:
        self._connection.close()


class _Unheard:
    """Only looks again after a moment."""

    def wait(self, ringing: socket.socket, seconds: float) -> bool:
        return not _readable(ringing, seconds=min(_LOOK, seconds))

    def close(self) -> None:
        pass
