"""The backlog: what waits for the relay, for a durable subscription or for a broker, in figures.

A hotel in which nothing waits has no row in any answer here, so reading costs what there is to do.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import UUID

import attrs
from attrs import frozen
from sqlalchemy import bindparam, case, func, select

from hotelcore.ids import HotelId
from hotelcore.sql.events.dead_letters import DEAD_LETTERS
from hotelcore.sql.events.feed import FEED
from hotelcore.sql.events.inbox import INBOX
from hotelcore.sql.events.outbox import OUTBOX
from hotelcore.sql.seam.statements import AnyRow, Statements, acting_hotel, for_every_hotel

__all__ = [
    "Backlog",
    "HotelBacklog",
    "SubscriptionBacklog",
    "any_lane",
    "any_waiting",
    "has_heard",
    "read_backlog",
    "registered_hotels",
]


@frozen(kw_only=True)
class SubscriptionBacklog:
    """What a durable subscription has to do.

    ``behind`` counts the records with events that it has not handled, and ``failing`` those of them
    whose next event failed before and is tried again. ``overdue_seconds`` says for how long the
    record that is due first has waited for a worker; None if none is due, as while all of them are
    in a worker's hands or pause after a failure. ``dead_letters`` counts the events it gave up.
    """

    name: str
    behind: int = 0
    failing: int = 0
    overdue_seconds: float | None = None
    dead_letters: int = 0


@frozen(kw_only=True)
class HotelBacklog:
    """What waits in one hotel.

    ``waiting`` counts the events that the relay has not met, the oldest of which happened
    ``oldest_seconds`` ago (None if there is none). ``send_attempts`` says how often the broker did
    not take the batch that is put off now; 0 if none is.
    """

    hotel_id: HotelId
    waiting: int
    oldest_seconds: float | None
    send_attempts: int
    subscriptions: tuple[SubscriptionBacklog, ...]


@frozen(kw_only=True)
class Backlog:
    """What waits in each hotel that has something waiting, and the sums over them."""

    hotels: tuple[HotelBacklog, ...]

    @property
    def waiting(self) -> int:
        """The number of events that the relay has not met."""
        return sum(hotel.waiting for hotel in self.hotels)

    @property
    def oldest_seconds(self) -> float | None:
        """For how long the oldest of these events has waited, None if there is none."""
        return _longest(hotel.oldest_seconds for hotel in self.hotels)

    @property
    def put_off(self) -> int:
        """The number of hotels whose events the broker did not take at the last attempt."""
        return sum(hotel.send_attempts > 0 for hotel in self.hotels)

    @property
    def send_attempts(self) -> int:
        """The largest number of attempts at one hotel's batch that is put off; 0 if none is."""
        return max((hotel.send_attempts for hotel in self.hotels), default=0)

    @property
    def subscriptions(self) -> tuple[SubscriptionBacklog, ...]:
        """Each durable subscription that has something to do, in the order of their names."""
        parts = defaultdict[str, list[SubscriptionBacklog]](list)
        for hotel in self.hotels:
            for part in hotel.subscriptions:
                parts[part.name].append(part)
        return tuple(_sum(name, parts[name]) for name in sorted(parts))


def _sum(name: str, parts: Iterable[SubscriptionBacklog]) -> SubscriptionBacklog:
    parts = tuple(parts)
    return SubscriptionBacklog(
        name=name,
        behind=sum(part.behind for part in parts),
        failing=sum(part.failing for part in parts),
        overdue_seconds=_longest(part.overdue_seconds for part in parts),
        dead_letters=sum(part.dead_letters for part in parts),
    )


def _longest(seconds: Iterable[float | None]) -> float | None:
    return max((each for each in seconds if each is not None), default=None)


_EVER = datetime(1970, 1, 1, tzinfo=UTC)
# Every hotel has a feed. Naming the hotels lets SQLite use an index that begins with them.
_hotels = select(FEED.c.hotel_id)
_HOTELS = for_every_hotel(_hotels.order_by(FEED.c.hotel_id))
_o, _f, _l, _d = OUTBOX.c, FEED.c, INBOX.c, DEAD_LETTERS.c
_WAITING = for_every_hotel(
    select(_o.hotel_id, func.count().label("events"), func.min(_o.occurred_at).label("oldest"))
    .where(_o.hotel_id.in_(_hotels), _o.position.is_(None))
    .group_by(_o.hotel_id)
)
_PUT_OFF = for_every_hotel(
    select(_f.hotel_id, _f.attempts).where(
        _f.attempts > 0, _f.token.is_(None), _f.due_at.is_not(None)
    )
)
# A lane that a worker has counts the attempt that is under way.
_failed = _l.attempts - case((_l.token.is_(None), 0), else_=1)
_LANES = for_every_hotel(
    select(
        _l.hotel_id,
        _l.subscription,
        func.count().label("behind"),
        func.count().filter(_failed > 0).label("failing"),
        func.min(_l.due_at).label("due_at"),
    )
    .where(
        _l.hotel_id.in_(_hotels),
        # Whatever is behind is due at some time. SQLite takes the index for a comparison alone.
        _l.due_at > _EVER,
        _l.known > _l.handled,
    )
    .group_by(_l.hotel_id, _l.subscription)
)
_DEAD = for_every_hotel(
    select(_d.hotel_id, _d.subscription, func.count().label("dead"))
    .where(_d.hotel_id.in_(_hotels))
    .group_by(_d.hotel_id, _d.subscription)
)
_ANY_WAITING = (
    select(_o.hotel_id).where(_o.hotel_id == acting_hotel(), _o.position.is_(None)).limit(1)
)
_ANY_OF = (
    select(_l.hotel_id)
    .where(_l.hotel_id == acting_hotel(), _l.subscription == bindparam("of"))
    .limit(1)
)
_ANY_LANE = for_every_hotel(select(_l.hotel_id).limit(1))


def registered_hotels(run: Statements) -> list[HotelId]:
    """Return every hotel of the database, by its id."""
    return run.all(_HOTELS, lambda row: HotelId(row.hotel_id))


def any_lane(run: Statements) -> bool:
    """Tell whether a durable subscription ever heard of an event in this database."""
    return run.first(_ANY_LANE, _as_it_is) is not None


def any_waiting(run: Statements) -> bool:
    """Tell whether the hotel has an event that no relay has numbered yet."""
    return run.first(_ANY_WAITING, _as_it_is) is not None


def has_heard(run: Statements, subscription: str) -> bool:
    """Tell whether a durable subscription ever heard of an event of the hotel."""
    return run.first(_ANY_OF, _as_it_is, of=subscription) is not None


def read_backlog(run: Statements, *, now: datetime) -> Backlog:
    """Count what waits in all hotels."""
    waiting = dict(run.all(_WAITING, lambda row: (row.hotel_id, (row.events, row.oldest))))
    attempts = dict(run.all(_PUT_OFF, lambda row: (row.hotel_id, row.attempts)))
    tasks = defaultdict[UUID, list[SubscriptionBacklog]](list)
    for (hotel_id, _), task in sorted(_tasks(run, now).items()):
        tasks[hotel_id].append(task)
    hotels = []
    for hotel_id in sorted({*waiting, *attempts, *tasks}):
        events, oldest = waiting.get(hotel_id, (0, None))
        hotels.append(
            HotelBacklog(
                hotel_id=HotelId(hotel_id),
                waiting=events,
                oldest_seconds=_seconds_since(oldest, now),
                send_attempts=attempts.get(hotel_id, 0),
                subscriptions=tuple(tasks[hotel_id]),
            )
        )
    return Backlog(hotels=tuple(hotels))


def _tasks(run: Statements, now: datetime) -> dict[tuple[UUID, str], SubscriptionBacklog]:
    """Read what each subscription has to do in each hotel."""
    tasks = {
        (row.hotel_id, row.subscription): SubscriptionBacklog(
            name=row.subscription,
            behind=row.behind,
            failing=row.failing,
            overdue_seconds=_seconds_since(row.due_at, now) if row.due_at <= now else None,
        )
        for row in run.all(_LANES, _as_it_is)
    }
    for row in run.all(_DEAD, _as_it_is):
        task = tasks.get((row.hotel_id, row.subscription))
        task = task or SubscriptionBacklog(name=row.subscription)
        tasks[row.hotel_id, row.subscription] = attrs.evolve(task, dead_letters=row.dead)
    return tasks


def _as_it_is(row: AnyRow) -> AnyRow:
    return row


def _seconds_since(instant: datetime | None, now: datetime) -> float | None:
    # The clocks of two machines may differ a little.
    return None if instant is None else max((now - instant).total_seconds(), 0.0)
