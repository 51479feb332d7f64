"""The feed: numbers the events of each hotel, and remembers which of them a broker has.

Its statements serve many hotels at once. They are the relay's alone, which acts for no hotel.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from attrs import frozen
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    ForeignKeyConstraint,
    FromClause,
    Integer,
    ScalarSelect,
    Table,
    TypedColumns,
    bindparam,
    case,
    func,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from hotelcore.events.envelope import Envelope
from hotelcore.ids import HotelId
from hotelcore.sql import schema
from hotelcore.sql.changing import insert_into
from hotelcore.sql.events.leases import Lease
from hotelcore.sql.events.outbox import OUTBOX, envelope_of
from hotelcore.sql.seam.statements import AnyRow, Statements, for_every_hotel

__all__ = ["FEED", "Arrived", "Feed", "add_feed", "hold", "number", "owed", "settle", "take"]


class FeedColumns(TypedColumns):
    """A hotel's feed.

    ``sent`` is the last position that the broker has. While a batch is under way the feed is held
    under ``token`` until ``due_at``; ``attempts`` counts how often that was begun since the last
    batch arrived.
    """

    hotel_id: Column[UUID] = schema.hotel_column()
    sent: Column[int] = Column(BigInteger, nullable=False)
    served_at: Column[datetime] = Column(schema.Instant, nullable=False)
    due_at: Column[datetime | None] = Column(schema.Instant)
    token: Column[UUID | None] = Column(schema.Id)
    attempts: Column[int] = Column(Integer, nullable=False)


FEED = Table(
    "hc_feed",
    schema.METADATA,
    FeedColumns,
    ForeignKeyConstraint(["hotel_id"], ["hc_hotel.hotel_id"]),
)
"""The table of feeds, one row a hotel."""


@frozen(kw_only=True)
class Feed:
    """A hotel's feed, taken: what the broker has, and the how manieth attempt this is."""

    hotel_id: HotelId
    sent: int
    attempts: int


_ADD = insert_into(FEED)
_f = FEED.alias("f")
_o = OUTBOX.alias("o")


# One end of an index each, on both databases: a minimum or maximum would read all that waits, and
# PostgreSQL would join it for an EXISTS.
def _first_waiting(feed: FromClause) -> ScalarSelect[int]:
    return (
        select(_o.c.turn)
        .where(_o.c.hotel_id == feed.c.hotel_id, _o.c.position.is_(None))
        .order_by(_o.c.turn)
        .limit(1)
        .scalar_subquery()
    )


def _last_numbered(feed: FromClause) -> ColumnElement[int]:
    last = (
        select(_o.c.position)
        .where(_o.c.hotel_id == feed.c.hotel_id, _o.c.position.is_not(None))
        .order_by(_o.c.position.desc())
        .limit(1)
        .scalar_subquery()
    )
    return func.coalesce(last, 0)


_now = bindparam("now", type_=schema.Instant())


def _take(choice: ColumnElement[bool]) -> ReturningUpdate[UUID, int, int]:
    takeable = (
        select(_f.c.hotel_id)
        .where(or_(_f.c.due_at.is_(None), _f.c.due_at <= _now), choice)
        .order_by(_f.c.served_at, _f.c.hotel_id)
        .limit(bindparam("hotels", type_=Integer()))
        .with_for_update(skip_locked=True)
    )
    return (
        update(FEED)
        .where(FEED.c.hotel_id.in_(takeable))
        .values(served_at=_now)
        .returning(FEED.c.hotel_id, FEED.c.sent, FEED.c.attempts)
    )


_some_waits = _first_waiting(_f).is_not(None)
_TAKE = for_every_hotel(_take(_some_waits))
# Where no attempt is open the broker has all that is numbered, or was not there when it was.
_HOLD = for_every_hotel(
    _take(or_(_some_waits, _f.c.attempts > 0)).values(
        sent=case((FEED.c.attempts == 0, _last_numbered(FEED)), else_=FEED.c.sent),
        token=bindparam("held_under"),
        due_at=bindparam("held_until"),
        attempts=FEED.c.attempts + 1,
    )
)

_w = OUTBOX.alias("w")
_heads = (
    select(
        _f.c.hotel_id,
        _first_waiting(_f).label("turn"),
        _last_numbered(_f).label("position"),
    )
    .where(_f.c.hotel_id.in_(bindparam("taken", expanding=True)))
    .cte("heads")
    # Found once: PostgreSQL would else look for them again at each event that waits.
    .prefix_with("MATERIALIZED")
)
_numbered = (
    select(
        _w.c.hotel_id,
        _w.c.id,
        (
            _heads.c.position
            + func.row_number().over(
                partition_by=_w.c.hotel_id, order_by=(_w.c.turn, _w.c.sequence)
            )
        ).label("position"),
    )
    .join_from(_heads, _w, _w.c.hotel_id == _heads.c.hotel_id)
    .where(
        _w.c.position.is_(None),
        _w.c.turn >= _heads.c.turn,
        _w.c.turn < _heads.c.turn + bindparam("quota", type_=Integer()),
    )
    .subquery("numbered")
)
_NUMBER = for_every_hotel(
    update(OUTBOX)
    .where(OUTBOX.c.hotel_id == _numbered.c.hotel_id, OUTBOX.c.id == _numbered.c.id)
    .values(position=_numbered.c.position)
    .returning(*OUTBOX.c)
)
_OWED = for_every_hotel(
    select(OUTBOX)
    .where(OUTBOX.c.hotel_id == bindparam("hotel"), OUTBOX.c.position > bindparam("sent"))
    .order_by(OUTBOX.c.position)
    .limit(bindparam("most"))
)
_SETTLE = for_every_hotel(
    update(FEED)
    .where(FEED.c.hotel_id == bindparam("hotel"), FEED.c.token == bindparam("held_under"))
    .values(
        sent=bindparam("arrived"),
        attempts=bindparam("still"),
        due_at=bindparam("again_at"),
        token=null(),
    )
)


def add_feed(run: Statements, at: datetime) -> None:
    """Open the feed of the acting hotel."""
    run.write(_ADD, sent=0, served_at=at, due_at=None, token=None, attempts=0)


def take(run: Statements, *, now: datetime, hotels: int) -> list[Feed]:
    """Take up to so many feeds in which something waits, those served longest ago first.

    They are taken until the transaction ends. What somebody else has is passed over.
    """
    return run.all(_TAKE, _feed, now=now, hotels=hotels)


def hold(run: Statements, lease: Lease, *, hotels: int) -> list[Feed]:
    """Take feeds as `take` does, but hold them beyond the transaction, until they are settled."""
    return run.all(_HOLD, _feed, hotels=hotels, **lease.parameters)


def _feed(row: AnyRow) -> Feed:
    return Feed(hotel_id=HotelId(row.hotel_id), sent=row.sent, attempts=row.attempts)


def number(run: Statements, feeds: Sequence[Feed], *, quota: int) -> list[Envelope]:
    """Give the waiting events of the feeds their positions, and return them in that order.

    About ``quota`` of each hotel at the most: events that were written at the same moment share a
    turn, and a turn is never split.
    """
    taken = [feed.hotel_id for feed in feeds]
    numbered = run.all(_NUMBER, envelope_of, taken=taken, quota=quota)
    return sorted(numbered, key=_place)


def owed(run: Statements, feed: Feed, *, most: int) -> list[Envelope]:
    """Return the events that have a position and that the broker may not have, in their order."""
    return run.all(_OWED, envelope_of, hotel=feed.hotel_id, sent=feed.sent, most=most)


def _place(envelope: Envelope) -> tuple[UUID, int]:
    return envelope.hotel_id, envelope.position or 0


@frozen(kw_only=True)
class Arrived:
    """How a feed is given back: up to where the broker has it, and when it is looked at next."""

    hotel_id: HotelId
    sent: int
    attempts: int = 0
    again_at: datetime | None = None


def settle(run: Statements, feeds: Sequence[Arrived], *, token: UUID) -> None:
    """Give the feeds back; one that somebody else took meanwhile stays as he has it."""
    run.write_many(
        _SETTLE,
        [
            {
                "hotel": feed.hotel_id,
                "held_under": token,
                "arrived": feed.sent,
                "still": feed.attempts,
                "again_at": feed.again_at,
            }
            for feed in feeds
        ],
    )
