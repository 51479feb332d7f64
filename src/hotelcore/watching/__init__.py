"""What a core tells whoever watches its database: each statement, each unit of work, its pool.

`hotelcore.watching.otel` and `hotelcore.watching.prometheus` pass it on; both are extras. What is
told names tables, operations and classes of errors. It holds no text of a statement, no parameter
and nothing of a guest.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from types import TracebackType
from typing import Any, TypeAlias

from attrs import define, field, frozen

from hotelcore.clock import Clock
from hotelcore.errors import (
    Conflict,
    CurrencyMismatch,
    DatabaseBusy,
    InvalidInput,
    NotFound,
    Refused,
)
from hotelcore.ids import HotelId
from hotelcore.operations.declaring import OPERATIONS
from hotelcore.signals import Announcement, name_of

__all__ = [
    "Database",
    "Ending",
    "PoolUse",
    "StatementRan",
    "UnitEnded",
    "Watch",
    "WatchedUnit",
    "Work",
]

Work: TypeAlias = Callable[..., Any] | str  # units run functions of any signature
"""What a unit of work does: the function that it runs, or a word where the host opened it."""


@frozen(kw_only=True)
class Database:
    """Where the statements go: ``system`` is ``sqlite`` or ``postgresql``.

    The others are PostgreSQL's, as the URL has them, and None where it does not say. ``host`` is
    the directory of its socket where the server has one instead of an address.
    """

    system: str
    host: str | None = None
    port: int | None = None
    name: str | None = None


@frozen(kw_only=True)
class PoolUse:
    """The connections of a pool at one moment: ``in_use``, and open but ``idle``.

    ``waiting`` units wait for one; None for a host's engine without asyncio, which does not tell.
    ``most`` may be open at once; None if there is no bound.
    """

    in_use: int
    idle: int
    waiting: int | None
    most: int | None


@frozen(kw_only=True)
class StatementRan:
    """A statement was run, well or not, or stopped before it was sent.

    ``verb`` and ``tables`` say what it is, under the library's own names whatever prefix the host
    has given the tables. ``at`` is when it began; in ``seconds`` its rows were read and their
    records built. ``rows`` is how many it gave or changed, ``calls`` how many sets of parameters
    it was run with. ``error`` is the class of what it raised. The relay has no ``hotel_id``.
    """

    verb: str
    tables: tuple[str, ...]
    at: datetime
    seconds: float
    rows: int
    calls: int = 1
    error: str | None = None
    hotel_id: HotelId | None = None

    @property
    def name(self) -> str:
        """The verb and the tables: one of a few dozen, such as ``SELECT hc_folio hc_booking``."""
        return " ".join((self.verb, *self.tables))


class Ending(StrEnum):
    """What became of a unit of work."""

    COMMITTED = "committed"
    JOINED = "joined"
    """It is part of a host's transaction, whose end is the host's."""
    READ = "read"
    """It only read."""
    REFUSED = "refused"
    """Undone for what the caller asked: a rule, a conflict, bad input, or nothing found."""
    FAILED = "failed"
    """Undone for anything else. A connection that is lost in the commit may have committed."""


@frozen(kw_only=True)
class UnitEnded:
    """A unit of work is over.

    ``name`` is that of the operation, or where the function is that ran; ``transaction``,
    ``reading`` or ``joining`` for a unit that the host opened, and ``relay``. ``at`` is when it
    began; its ``seconds`` include the waiting for a connection and all ``attempts``. ``error`` is
    the class of what it raised. ``hotel_id`` is None where the relay works for all hotels.
    """

    name: str
    at: datetime
    seconds: float
    attempts: int
    ending: Ending
    error: str | None = None
    hotel_id: HotelId | None = None


class Watch:
    """What can be watched of one core; `HotelCore.watch` has it.

    ``statement_ran`` is announced with ``statement=``, a `StatementRan`; ``unit_ended`` with
    ``unit=``, a `UnitEnded`. Both are signals of blinker, and a receiver is called where the unit
    runs: ``core.watch.statement_ran.connect(receiver)``. It must neither block nor use the unit.
    One that fails is logged and disturbs nothing. Who connects hears of the units that begin after
    that. Nothing is measured while nobody is connected.
    """

    def __init__(
        self, clock: Clock, database: Database, pool_use: Callable[[], PoolUse | None]
    ) -> None:
        self.statement_ran = Announcement("A statement was run.")
        self.unit_ended = Announcement("A unit of work is over.")
        self.clock = clock
        self.database = database
        self._pool_use = pool_use

    def pool_use(self) -> PoolUse | None:
        """Return how the connections are used now; None for a host's pool that does not count."""
        return self._pool_use()

    def unit(
        self, work: Work, hotel_id: HotelId | None, *, well: Ending = Ending.COMMITTED
    ) -> WatchedUnit:
        """Measure a unit of work around the body; ``well`` is what it comes to without an error."""
        return WatchedUnit(self, work, hotel_id, well)


@define
class WatchedUnit:
    """Measures one unit of work, and tells of it at its end if somebody watched its beginning."""

    _watch: Watch
    _work: Work
    _hotel_id: HotelId | None
    _well: Ending
    attempts: int = 1
    """How often the unit began; whoever runs it again counts on."""
    _began: tuple[datetime, float] | None = field(init=False, default=None)

    def __enter__(self) -> WatchedUnit:
        if self._watch.unit_ended.receivers:
            self._began = self._watch.clock.now(), self._watch.clock.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if self._began is None:
            return
        at, began = self._began
        ended = UnitEnded(
            name=_named(self._work),
            at=at,
            seconds=self._watch.clock.monotonic() - began,
            attempts=self.attempts,
            ending=self._well if error is None else _ending_after(error),
            error=None if kind is None else kind.__name__,
            hotel_id=self._hotel_id,
        )
        self._watch.unit_ended.announce(self._watch, unit=ended)


_ASKED = (Refused, Conflict, InvalidInput, CurrencyMismatch, NotFound)


def _ending_after(error: BaseException) -> Ending:
    refused = isinstance(error, _ASKED) and not isinstance(error, DatabaseBusy)
    return Ending.REFUSED if refused else Ending.FAILED


def _named(work: Work) -> str:
    if isinstance(work, str):
        return work
    name: object = getattr(work, "__name__", None)
    return str(name) if work is OPERATIONS.get(str(name)) else name_of(work)
