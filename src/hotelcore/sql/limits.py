"""Time limits that hold on both databases, within a statement and between statements."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from attrs import define, field, frozen
from sqlalchemy import Connection, text

from hotelcore.clock import Clock
from hotelcore.errors import InvalidInput, TransactionTimeout

__all__ = ["Deadline", "Limits", "tell_again", "told_limits"]


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

_SET = text(
    "SELECT set_config('statement_timeout', :statement, true),"
    " set_config('lock_timeout', :lock, true),"
    " set_config('idle_in_transaction_session_timeout', :idle, true)"
)


_GET = text(
    "SELECT current_setting('statement_timeout') AS statement,"
    " current_setting('lock_timeout') AS lock,"
    " current_setting('idle_in_transaction_session_timeout') AS idle"
)


def told_limits(connection: Connection) -> Mapping[str, str]:
    """Read which limits the database was told for the open transaction; SQLite is told none."""
    if connection.dialect.name != "postgresql":
        return {}
    return dict(connection.execute(_GET).mappings().one())


def tell_again(connection: Connection, limits: Mapping[str, str]) -> None:
    """Give a host's transaction back the limits that `told_limits` read."""
    if limits:
        connection.execute(_SET, limits)


@define
class Deadline:
    """When a unit of work must be over; `enforce` is called before each of its statements."""

    clock: Clock
    limits: Limits
    ends: float
    _told: float = field(init=False, default=float("inf"))

    @classmethod
    def start(cls, clock: Clock, limits: Limits) -> Deadline:
        """Begin the time of one unit of work, all its attempts included."""
        return cls(clock, limits, clock.monotonic() + limits.time_limit.total_seconds())

    @property
    def left(self) -> float:
        """The seconds that are left; negative when it is over."""
        return self.ends - self.clock.monotonic()

    def check(self) -> None:
        """Raise `TransactionTimeout` once the time is over."""
        if self.left <= 0:
            raise TransactionTimeout(self.limits.time_limit.total_seconds())

    def enforce(self, connection: Connection) -> None:
        """Refuse to go on after the end, and have the database stop a statement at the end.

        SQLite's progress handler reads the end by itself; see `hotelcore.sql.engine`.
        """
        self.check()
        if connection.dialect.name == "postgresql" and self._told - self.left > _SLACK:
            self._tell_postgresql(connection)

    def forget_told(self) -> None:
        """Tell the limits anew with the next statement: a rollback took back what was told."""
        self._told = float("inf")

    def keep_untold(self) -> None:
        """Let the limits hold between statements only, on PostgreSQL."""
        self._told = 0

    def _tell_postgresql(self, connection: Connection) -> None:
        self._told = max(0.001, self.left)
        told = int(self._told * 1000)
        wait = min(told, int(self.limits.wait_limit.total_seconds() * 1000))
        connection.execute(_SET, {"statement": str(told), "lock": str(wait), "idle": str(told)})
