"""The inbox: how far each durable subscription is with the events of each record.

A row is a lane (docs/decisions/0012). What raises and takes lanes serves many hotels at once and is
the relay's alone; what moves a lane on is bound to its hotel.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import attrs
from attrs import frozen
from sqlalchemy import (
    Column,
    ForeignKeyConstraint,
    Index,
    Insert,
    Integer,
    String,
    Table,
    TypedColumns,
    and_,
    bindparam,
    case,
    delete,
    func,
    literal,
    null,
    select,
    tuple_,
    update,
)

from hotelcore.events.envelope import Envelope
from hotelcore.ids import HotelId
from hotelcore.sql import schema
from hotelcore.sql.changing import INSERTS
from hotelcore.sql.events.feed import FEED
from hotelcore.sql.events.leases import Lease
from hotelcore.sql.events.outbox import OUTBOX, envelope_of
from hotelcore.sql.seam.statements import AnyRow, Statements, acting_hotel, for_every_hotel

__all__ = [
    "INBOX",
    "Lane",
    "News",
    "finish",
    "forget",
    "hold_on",
    "move_on",
    "pause",
    "raise_lanes",
    "read_lanes",
    "release",
    "replay",
    "take_lanes",
]


class InboxColumns(TypedColumns):
    """A lane's columns; ``due_at`` is none while there is nothing to handle."""

    hotel_id: Column[UUID] = schema.hotel_column()
    subscription: Column[str] = Column(String(100), primary_key=True)
    key: Column[UUID] = Column(schema.Id, primary_key=True)
    known: Column[int] = Column(Integer, nullable=False)
    handled: Column[int] = Column(Integer, nullable=False)
    attempts: Column[int] = Column(Integer, nullable=False)
    due_at: Column[datetime | None] = Column(schema.Instant)
    token: Column[UUID | None] = Column(schema.Id)


INBOX = Table(
    "hc_inbox",
    schema.METADATA,
    InboxColumns,
    ForeignKeyConstraint(["hotel_id"], ["hc_hotel.hotel_id"]),
)
"""The table of lanes: one row for each durable subscription and record."""
_c = INBOX.c
_due = _c.due_at.is_not(None)
Index("ix_hc_inbox_due", _c.hotel_id, _c.due_at, sqlite_where=_due, postgresql_where=_due)


@frozen(kw_only=True)
class News:
    """What a subscription is told of a record: it has events from one sequence to another."""

    hotel_id: HotelId
    subscription: str
    key: UUID
    first: int
    last: int


@frozen(kw_only=True)
class Lane:
    """A record's events for one durable subscription, taken by a worker under ``token``.

    ``handled`` and ``known`` are sequences; ``attempts`` counts the attempts at the event that
    comes next, the present one included.
    """

    hotel_id: HotelId
    subscription: str
    key: UUID
    handled: int
    known: int
    attempts: int
    token: UUID

    def behind(self, envelope: Envelope) -> Lane:
        """Return the lane with the event handled and the next one not yet attempted."""
        return attrs.evolve(self, handled=envelope.sequence, attempts=1)


def _raise_in(dialect: str) -> Insert:
    statement = INSERTS[dialect](INBOX).values(
        hotel_id=bindparam("hotel"),
        subscription=bindparam("subscription"),
        key=bindparam("key"),
        known=bindparam("last"),
        handled=bindparam("before"),
        attempts=0,
        due_at=bindparam("now"),
        token=None,
    )
    return statement.on_conflict_do_update(
        index_elements=list(INBOX.primary_key),
        set_={
            "known": statement.excluded.known,
            "due_at": func.coalesce(_c.due_at, statement.excluded.due_at),
        },
        where=statement.excluded.known > _c.known,
    )


_RAISE: Mapping[str, Insert] = {dialect: for_every_hotel(_raise_in(dialect)) for dialect in INSERTS}

_now = bindparam("now", type_=schema.Instant())
_most = bindparam("most", type_=Integer())
_l, _m = INBOX.alias("l"), INBOX.alias("m")
_subscriptions = bindparam("subscriptions", type_=String(), expanding=True)
# The due lanes of each hotel up to its so manieth, so that a flood is not read as a whole. Lanes
# that nobody here works stay due for ever and must not be counted.
_horizon = (
    select(_m.c.due_at)
    .where(
        _m.c.hotel_id == FEED.c.hotel_id,
        _m.c.due_at <= _now,
        _m.c.subscription.in_(_subscriptions),
    )
    .order_by(_m.c.due_at)
    .limit(1)
    .offset(_most - 1)
    .scalar_subquery()
)
_hotels = (
    select(FEED.c.hotel_id, func.coalesce(_horizon, _now).label("until"))
    .cte("hotels")
    # Found once: PostgreSQL would else look for it again at each lane.
    .prefix_with("MATERIALIZED")
)
_due_lanes = (
    select(
        _l.c.hotel_id,
        _l.c.subscription,
        _l.c.key,
        _l.c.due_at,
        func.row_number().over(partition_by=_l.c.hotel_id, order_by=_l.c.due_at).label("turn"),
    )
    .join_from(_hotels, _l, _l.c.hotel_id == _hotels.c.hotel_id)
    .where(_l.c.due_at <= _hotels.c.until, _l.c.subscription.in_(_subscriptions))
    .subquery("due_lanes")
)
_next = (
    select(_due_lanes.c.hotel_id, _due_lanes.c.subscription, _due_lanes.c.key)
    .order_by(_due_lanes.c.turn, _due_lanes.c.due_at)
    .limit(_most)
)
_pk = tuple_(_c.hotel_id, _c.subscription, _c.key)
_free = (
    select(_m.c.hotel_id, _m.c.subscription, _m.c.key)
    .where(tuple_(_m.c.hotel_id, _m.c.subscription, _m.c.key).in_(_next), _m.c.due_at <= _now)
    .with_for_update(skip_locked=True)
)
_TAKE = for_every_hotel(
    update(INBOX)
    .where(_pk.in_(_free))
    .values(token=bindparam("held_under"), due_at=bindparam("held_until"), attempts=_c.attempts + 1)
    .returning(_c.hotel_id, _c.subscription, _c.key, _c.handled, _c.known, _c.attempts)
)

_held = (
    _c.hotel_id == acting_hotel(),
    _c.subscription == bindparam("of"),
    _c.key == bindparam("record"),
    _c.token == bindparam("held_under"),
    # What a host joined and then rolled back was not handled, whatever its handler says.
    _c.handled == bindparam("behind"),
)
_MOVE_ON = (
    update(INBOX)
    .where(*_held)
    .values(handled=bindparam("sequence"), attempts=1, due_at=bindparam("held_until"))
)
_FINISH = (
    update(INBOX)
    .where(*_held)
    .values(
        handled=bindparam("sequence"),
        attempts=0,
        due_at=case((_c.known > bindparam("sequence"), _now), else_=null()),
        token=None,
    )
)
_HOLD_ON = update(INBOX).where(*_held).values(due_at=bindparam("held_until"))
_PAUSE = update(INBOX).where(*_held).values(due_at=bindparam("again_at"), token=None)
_RELEASE = _PAUSE.values(attempts=bindparam("made"))


_o = OUTBOX.c
_READ = for_every_hotel(
    select(*_o, _c.subscription.label("its_subscription"))
    .join_from(INBOX, OUTBOX, and_(_o.hotel_id == _c.hotel_id, _o.key == _c.key))
    .where(
        _c.hotel_id.in_(bindparam("hotels", expanding=True)),
        _c.due_at.is_not(None),
        _c.token == bindparam("held_under"),
        _o.sequence > _c.handled,
        _o.sequence <= _c.handled + bindparam("most", type_=Integer()),
    )
    .order_by(_o.sequence)
)
_spans = (
    select(
        _o.hotel_id,
        bindparam("to", type_=String()),
        _o.key,
        func.max(_o.sequence),
        func.min(_o.sequence) - 1,
        literal(0),
        _now,
    )
    .where(_o.hotel_id == acting_hotel(), _o.position > bindparam("position"))
    .group_by(_o.hotel_id, _o.key)
)
_columns = ["hotel_id", "subscription", "key", "known", "handled", "attempts", "due_at"]


def _replay_in(dialect: str) -> Insert:
    statement = INSERTS[dialect](INBOX).from_select(_columns, _spans)
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=list(INBOX.primary_key),
        set_={
            "known": case((new.known > _c.known, new.known), else_=_c.known),
            "handled": case((new.handled < _c.handled, new.handled), else_=_c.handled),
            "attempts": 0,
            "due_at": new.due_at,
            "token": null(),
        },
    )


_REPLAY: Mapping[str, Insert] = {dialect: _replay_in(dialect) for dialect in INSERTS}
_FORGET = delete(INBOX).where(_c.hotel_id == acting_hotel(), _c.subscription == bindparam("of"))


def raise_lanes(run: Statements, news: Sequence[News], *, now: datetime) -> None:
    """Let the lanes know of events; one that was idle is due ``now``.

    A lane that there was not yet begins with the first of the events.
    """
    run.write_many(
        _RAISE[run.dialect],
        [
            {
                "hotel": each.hotel_id,
                "subscription": each.subscription,
                "key": each.key,
                "before": each.first - 1,
                "last": each.last,
                "now": now,
            }
            for each in news
        ],
    )


def take_lanes(
    run: Statements,
    subscriptions: Collection[str],
    lease: Lease,
    *,
    most: int,
) -> list[Lane]:
    """Take up to ``most`` lanes that are due, the hotels by turns."""

    def lane(row: AnyRow) -> Lane:
        return Lane(
            hotel_id=HotelId(row.hotel_id),
            subscription=row.subscription,
            key=row.key,
            handled=row.handled,
            known=row.known,
            attempts=row.attempts,
            token=lease.token,
        )

    return run.all(
        _TAKE,
        lane,
        subscriptions=list(subscriptions),
        most=most,
        **lease.parameters,
    )


def read_lanes(run: Statements, lanes: Sequence[Lane], *, most: int) -> dict[Lane, list[Envelope]]:
    """Return of each lane that was taken the events behind it, up to ``most``, in their order."""
    events: dict[tuple[UUID, str, UUID], list[Envelope]] = defaultdict(list)

    def add(row: AnyRow) -> None:
        events[row.hotel_id, row.its_subscription, row.key].append(envelope_of(row))

    if lanes:
        hotels = list({lane.hotel_id for lane in lanes})
        run.all(_READ, add, hotels=hotels, held_under=lanes[0].token, most=most)
    return {lane: events[lane.hotel_id, lane.subscription, lane.key] for lane in lanes}


def move_on(run: Statements, lane: Lane, sequence: int, *, until: datetime) -> bool:
    """Set the lane behind an event and hold it on; False if the lease was lost."""
    return run.write(_MOVE_ON, **_key(lane), sequence=sequence, held_until=until) == 1


def finish(run: Statements, lane: Lane, sequence: int, *, now: datetime) -> bool:
    """Set the lane behind its last event and give it back; False if the lease was lost."""
    return run.write(_FINISH, **_key(lane), sequence=sequence, now=now) == 1


def hold_on(run: Statements, lane: Lane, *, until: datetime) -> bool:
    """Hold the lane on as it is; False if the lease was lost."""
    return run.write(_HOLD_ON, **_key(lane), held_until=until) == 1


def pause(run: Statements, lane: Lane, *, again_at: datetime) -> bool:
    """Give the lane back until then, as far as it is; False if the lease was lost."""
    return run.write(_PAUSE, **_key(lane), again_at=again_at) == 1


def release(run: Statements, lane: Lane, *, now: datetime) -> bool:
    """Give the lane back before its present attempt was begun; False if the lease was lost."""
    return run.write(_RELEASE, **_key(lane), again_at=now, made=lane.attempts - 1) == 1


def replay(run: Statements, subscription: str, *, after: int, now: datetime) -> int:
    """Set the hotel's lanes of a subscription back behind a position; return how many moved.

    Who holds one of them loses it.
    """
    return run.write(_REPLAY[run.dialect], to=subscription, position=after, now=now)


def forget(run: Statements, subscription: str) -> int:
    """Remove the hotel's lanes of a subscription; return how many there were.

    Who holds one of them loses it.
    """
    return run.write(_FORGET, of=subscription)


def _key(lane: Lane) -> dict[str, object]:
    return {
        "of": lane.subscription,
        "record": lane.key,
        "held_under": lane.token,
        "behind": lane.handled,
    }
