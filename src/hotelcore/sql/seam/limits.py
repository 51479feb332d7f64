"""Time limits that hold on both databases, and whose rows PostgreSQL shows.

PostgreSQL is told both for one transaction alone, in one statement that is sent with the unit's
own: before each where a unit only reads, and else with the first. What it was told is gone with
the transaction, and a rollback to a savepoint takes it back; so a connection remembers which unit
of work told it last, and the next one that runs a statement there tells it anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cache
from typing import Any

from attrs import define, field, frozen
from sqlalchemy import Connection, Transaction, text

from hotelcore.clock import Clock
from hotelcore.errors import InvalidInput, TransactionTimeout
from hotelcore.ids import HotelId
from hotelcore.sql.seam.driver import no_rows, send
from hotelcore.sql.seam.messages import Message

__all__ = [
    "EVERY_HOTEL",
    "Deadline",
    "Limits",
    "forget_told",
    "read_told",
    "tell_again",
    "tell_whose_rows",
]


def _positive(_: object, attribute: object, value: object) -> None:
    if not isinstance(value, timedelta) or not timedelta(0) < value <= timedelta(hours=1):
        name = getattr(attribute, "name", "limit")
        raise InvalidInput(name, "must be a timedelta above zero, of an hour at most")


@frozen(kw_only=True)
class Limits:
    """How long a unit of work may wait and take, and how it is isolated.

    ``wait_limit`` bounds each wait for a connection or a lock (5 s by default), ``time_limit``
    the whole unit with all its attempts (10 s). ``isolation`` is a level that both the host and
    the database know; SQLite is always serializable.
    """

    wait_limit: timedelta = field(default=timedelta(seconds=5), validator=_positive)
    time_limit: timedelta = field(default=timedelta(seconds=10), validator=_positive)
    isolation: str = "READ COMMITTED"

    def __attrs_post_init__(self) -> None:
        if self.isolation not in ("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"):
            raise InvalidInput("isolation", "must be READ COMMITTED, REPEATABLE READ, SERIALIZABLE")


# Telling PostgreSQL costs a round trip, so it is told again only when what it was told would let a
# statement run more seconds than this past the end.
_SLACK = 0.2

_WHOSE = "hotelcore.hotel_id"
_READ_ONLY = {"transaction_read_only": "on"}
_IDLE = "idle_in_transaction_session_timeout"
_SETTINGS = ("statement_timeout", "lock_timeout", _IDLE, _WHOSE)
_GET = text(
    "SELECT name, coalesce(current_setting(name, true), '') AS value"
    " FROM unnest(CAST(:names AS text[])) AS name"
)
EVERY_HOTEL = "relay"
"""Whose rows the relay reads: the events of all hotels, with what is delivered of them."""

# Under which name a connection remembers the deadline of the unit that told PostgreSQL last.
_TOLD_BY = "hotelcore_told_by"


def read_told(connection: Connection) -> Mapping[str, str]:
    """Read what PostgreSQL was told for the open transaction; SQLite is told nothing."""
    if connection.dialect.name != "postgresql":
        return {}
    told = connection.execute(_GET, {"names": list(_SETTINGS)})
    return {row.name: row.value for row in told}


def tell_again(connection: Connection, told: Mapping[str, str]) -> None:
    """Tell PostgreSQL some settings, by their names, for the open transaction alone."""
    if told:
        words, values = _telling(told)
        send(connection, words, [values], no_rows)


def _telling(told: Mapping[str, str]) -> Message:
    return _text_that_tells(tuple(told)), tuple(told.values())


@cache
def _text_that_tells(names: tuple[str, ...]) -> str:
    calls = (f"set_config('{name}', ${number}, true)" for number, name in enumerate(names, 1))
    return f"SELECT {', '.join(calls)}"


def forget_told(connection: Connection) -> None:
    """Have the next statement of a unit tell PostgreSQL anew."""
    connection.info.pop(_TOLD_BY, None)


def tell_whose_rows(connection: Connection, whose: HotelId | str) -> None:
    """Have PostgreSQL show the rows of one hotel, or of `EVERY_HOTEL`, in the open transaction.

    A superuser sees every row whatever is told, so it is not told. Whether a role is one stands in
    what the server sends with each connection; who lacks that word there is told.
    """
    if connection.dialect.name != "postgresql":
        return
    driver: Any = connection.connection.driver_connection  # psycopg's: SQLAlchemy has no type
    if driver.info.parameter_status("is_superuser") != "on":
        tell_again(connection, {_WHOSE: str(whose)})


_OPEN = (2, 3)  # libpq's numbers for a transaction that is open, and for one that has failed


def _not_alone() -> InvalidInput:
    remedy = "end what a listener begins there, and let the pool lend it to one at a time"
    return InvalidInput("engine", f"gave a connection that is not this unit's alone: {remedy}")


def _status(connection: Connection) -> int:
    """Return libpq's number for what goes on on a connection; 0 is nothing."""
    driver: Any = connection.connection.driver_connection  # psycopg's: SQLAlchemy has no type
    return int(driver.pgconn.transaction_status)


@define
class Deadline:
    """When a unit of work must be over; `enforce` is called before each of its statements.

    ``whose`` says whose rows it works on: those of a hotel, or of `EVERY_HOTEL`.
    """

    clock: Clock
    limits: Limits
    ends: float
    whose: HotelId | str
    _told: float = field(init=False, default=float("inf"))
    _telling: float = field(init=False, default=float("inf"))
    # In which mode to begin PostgreSQL's transaction, until that is done.
    _mode: str = field(init=False, default="")
    _reading: bool = field(init=False, default=False)
    # The transaction, or the savepoint of a host's, that all of a writing unit belongs to.
    _within: Transaction | None = field(init=False, default=None)
    # Whether something was sent already, BEGIN in a writing unit, and whether that was seen done.
    _sent: bool = field(init=False, default=False)
    _begun: bool = field(init=False, default=False)

    @classmethod
    def start(cls, clock: Clock, limits: Limits, whose: HotelId | str) -> Deadline:
        """Begin the time of one unit of work, all its attempts included."""
        ends = clock.monotonic() + limits.time_limit.total_seconds()
        return cls(clock, limits, ends, whose)

    @property
    def left(self) -> float:
        """The seconds that are left; negative when it is over."""
        return self.ends - self.clock.monotonic()

    def check(self) -> None:
        """Raise `TransactionTimeout` once the time is over."""
        if self.left <= 0:
            raise TransactionTimeout(self.limits.time_limit.total_seconds())

    def read(self) -> None:
        """Have PostgreSQL run each statement in a transaction of its own, which only reads."""
        self._reading = True

    def within(self, transaction: Transaction) -> None:
        """Refuse every statement from the moment on when this ``transaction`` is over."""
        self._within = transaction

    def begin(self, mode: str) -> None:
        """Have PostgreSQL begin a transaction in some ``mode`` with the first statement.

        SQLite has begun by itself; see `hotelcore.sql.seam.engine`.
        """
        self._reading, self._mode = False, mode
        self._sent = self._begun = False

    def enforce(self, connection: Connection) -> Sequence[Message]:
        """Refuse to go on after the end, and return what PostgreSQL is told before a statement.

        With that it stops a statement at the end, and shows the rows of the hotel from there on.
        SQLite's progress handler reads the end by itself; see `hotelcore.sql.seam.engine`.
        """
        self.check()
        if self._within is not None and not self._within.is_active:
            raise InvalidInput("uow", "is over: its transaction was ended by somebody else")
        if connection.dialect.name != "postgresql":
            return ()
        if self._reading:
            if not self._sent and _status(connection) in _OPEN:
                raise _not_alone()
            self._sent = True  # from here on a host's listener may have begun one
            return (_telling({**_READ_ONLY, **self._news()}),)
        begins = self._begins(connection)
        known = connection.info.get(_TOLD_BY) is self and self._told - self.left <= _SLACK
        return () if known and not begins else (*begins, _telling(self._news()))

    def heard(self, connection: Connection) -> None:
        """Note that PostgreSQL was told what `enforce` returned last."""
        connection.info[_TOLD_BY] = self
        self._told = self._telling

    def tell(self, connection: Connection) -> None:
        """Tell PostgreSQL now what it is to be told before the next statement."""
        news = self.enforce(connection)
        if news:
            *before, (words, values) = news
            send(connection, words, [values], no_rows, before=before)
            self.heard(connection)

    def _begins(self, connection: Connection) -> Sequence[Message]:
        """Return what begins the transaction if the connection is not in it yet."""
        if not self._mode:
            return ()
        status = _status(connection)
        if (status in _OPEN and not self._sent) or (not status and self._begun):
            raise _not_alone()  # it is not ours, or ours was ended with all that was written
        if status:
            self._begun = True
            return ()
        self._sent = True
        return ((f"BEGIN {self._mode}", ()),)

    def _news(self) -> Mapping[str, str]:
        """Return what PostgreSQL is told now, by the names of its settings."""
        self._telling = max(0.001, self.left)
        told = int(self._telling * 1000)
        wait = min(told, int(self.limits.wait_limit.total_seconds() * 1000))
        news = {
            "statement_timeout": str(told),
            "lock_timeout": str(wait),
            _WHOSE: str(self.whose),
        }
        # A statement that is a transaction by itself is over before the server could be idle in it.
        return news if self._reading else {**news, _IDLE: str(told)}
