"""Dead letters: events that a durable subscription gave up, kept until somebody retries them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from attrs import frozen
from sqlalchemy import (
    Column,
    Index,
    Integer,
    String,
    Table,
    TypedColumns,
    and_,
    bindparam,
    delete,
    null,
    select,
    tuple_,
    update,
)

from hotelcore.events.dead_letter import DeadLetter
from hotelcore.events.envelope import Envelope
from hotelcore.ids import EventId
from hotelcore.sql import schema
from hotelcore.sql.changing import upsert_into
from hotelcore.sql.events.inbox import Lane
from hotelcore.sql.events.leases import Lease
from hotelcore.sql.events.outbox import OUTBOX, envelope_of
from hotelcore.sql.seam.statements import AnyRow, Statements, acting_hotel, for_every_hotel

__all__ = [
    "DEAD_LETTERS",
    "Retried",
    "bury",
    "dead_letters",
    "forget",
    "keep_buried",
    "resolve",
    "retry",
    "take_retried",
]


class DeadLetterColumns(TypedColumns):
    """A dead letter's columns; ``due_at`` is none unless it is to be tried again."""

    hotel_id: Column[UUID] = schema.hotel_column()
    subscription: Column[str] = Column(String(100), primary_key=True)
    event_id: Column[UUID] = Column(schema.Id, primary_key=True)
    attempts: Column[int] = Column(Integer, nullable=False)
    failure: Column[str] = Column(String(200), nullable=False)
    died_at: Column[datetime] = Column(schema.Instant, nullable=False)
    due_at: Column[datetime | None] = Column(schema.Instant)
    token: Column[UUID | None] = Column(schema.Id)


DEAD_LETTERS = Table(
    "hc_dead_letter",
    schema.METADATA,
    DeadLetterColumns,
    schema.of_hotel("outbox", "event_id"),
)
"""The table of dead letters."""
_c = DEAD_LETTERS.c
_o = OUTBOX.c
_due = _c.due_at.is_not(None)
Index("ix_hc_dead_letter_due", _c.hotel_id, _c.due_at, sqlite_where=_due, postgresql_where=_due)
Index("ix_hc_dead_letter_event", _c.hotel_id, _c.event_id)


@frozen
class Retried:
    """A dead letter in the hands of a worker."""

    letter: DeadLetter
    token: UUID


_its_event = and_(_o.hotel_id == _c.hotel_id, _o.id == _c.event_id)
_own = (_c.subscription, _c.attempts, _c.failure, _c.died_at)
# An event that was replayed may be given up a second time.
_BURY = upsert_into(DEAD_LETTERS, changing=("attempts", "failure", "died_at", "due_at", "token"))
_WITH_EVENT = (
    select(*OUTBOX.c, *(column.label(f"its_{column.name}") for column in _own))
    .join_from(DEAD_LETTERS, OUTBOX, _its_event)
    .order_by(_c.died_at, _o.position)
)
_ALL = _WITH_EVENT.where(_c.hotel_id == acting_hotel())
_chosen = (_c.hotel_id == acting_hotel(), _c.token.is_(None))
_RETRY = update(DEAD_LETTERS).where(*_chosen).values(due_at=bindparam("now"))
_now = bindparam("now", type_=schema.Instant())
_d = DEAD_LETTERS.alias("d")
_free = (
    select(_d.c.hotel_id, _d.c.subscription, _d.c.event_id)
    .where(_d.c.due_at <= _now, _d.c.subscription.in_(bindparam("subscriptions", expanding=True)))
    .order_by(_d.c.due_at)
    .limit(bindparam("most", type_=Integer()))
    .with_for_update(skip_locked=True)
)
_TAKE = for_every_hotel(
    update(DEAD_LETTERS)
    .where(tuple_(_c.hotel_id, _c.subscription, _c.event_id).in_(_free))
    .values(token=bindparam("held_under"), due_at=bindparam("held_until"), attempts=_c.attempts + 1)
)
_TAKEN = for_every_hotel(_WITH_EVENT.where(_c.token == bindparam("held_under")))
_held = (
    _c.hotel_id == acting_hotel(),
    _c.subscription == bindparam("of"),
    _c.event_id == bindparam("event"),
    _c.token == bindparam("held_under"),
)
_RESOLVE = delete(DEAD_LETTERS).where(*_held)
_FORGET = delete(DEAD_LETTERS).where(
    _c.hotel_id == acting_hotel(), _c.subscription == bindparam("of")
)
_KEEP = (
    update(DEAD_LETTERS)
    .where(*_held)
    .values(failure=bindparam("why"), died_at=bindparam("now"), due_at=null(), token=null())
)


def bury(run: Statements, lane: Lane, envelope: Envelope, *, failure: str, now: datetime) -> None:
    """Put an event of the lane aside for good."""
    run.write(
        _BURY[run.dialect],
        subscription=lane.subscription,
        event_id=envelope.id,
        attempts=lane.attempts,
        failure=failure,
        died_at=now,
        due_at=None,
        token=None,
    )


def dead_letters(run: Statements, *, subscription: str | None = None) -> list[DeadLetter]:
    """Return the hotel's dead letters, the oldest first."""
    statement = _ALL if subscription is None else _ALL.where(_c.subscription == subscription)
    return run.all(statement, _dead_letter)


def retry(
    run: Statements,
    *,
    now: datetime,
    subscription: str | None = None,
    event_ids: Collection[EventId] | None = None,
) -> int:
    """Let the hotel's dead letters, all or the chosen ones, be tried again; return how many."""
    statement = _RETRY
    if subscription is not None:
        statement = statement.where(_c.subscription == subscription)
    if event_ids is not None:
        statement = statement.where(_c.event_id.in_(event_ids))
    return run.write(statement, now=now)


def forget(run: Statements, subscription: str) -> None:
    """Remove the hotel's dead letters of a subscription."""
    run.write(_FORGET, of=subscription)


def take_retried(
    run: Statements,
    subscriptions: Collection[str],
    lease: Lease,
    *,
    most: int,
) -> list[Retried]:
    """Take dead letters that are to be tried again, of any hotel."""
    if not run.write(_TAKE, subscriptions=list(subscriptions), most=most, **lease.parameters):
        return []
    letters = run.all(_TAKEN, _dead_letter, held_under=lease.token)
    return [Retried(letter, lease.token) for letter in letters]


def resolve(run: Statements, retried: Retried) -> bool:
    """Remove a dead letter that was handled after all; False if the lease was lost."""
    return run.write(_RESOLVE, **_key(retried)) == 1


def keep_buried(run: Statements, retried: Retried, *, failure: str, now: datetime) -> bool:
    """Put a dead letter back after it failed again; False if the lease was lost."""
    return run.write(_KEEP, **_key(retried), why=failure, now=now) == 1


def _key(retried: Retried) -> dict[str, object]:
    return {
        "of": retried.letter.subscription,
        "event": retried.letter.envelope.id,
        "held_under": retried.token,
    }


def _dead_letter(row: AnyRow) -> DeadLetter:
    return DeadLetter(
        subscription=row.its_subscription,
        envelope=envelope_of(row),
        attempts=row.its_attempts,
        failure=row.its_failure,
        died_at=row.its_died_at,
    )
