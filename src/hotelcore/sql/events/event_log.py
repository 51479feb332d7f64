"""The event log: what a hotel's events are asked, and what is done with those that are done."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from sqlalchemy import bindparam, delete, exists, or_, select

from hotelcore.errors import InvalidInput
from hotelcore.events.dead_letter import DeadLetter
from hotelcore.events.envelope import Envelope
from hotelcore.ids import EventId
from hotelcore.sql import schema
from hotelcore.sql.events import dead_letters, inbox
from hotelcore.sql.events.dead_letters import DEAD_LETTERS
from hotelcore.sql.events.feed import FEED
from hotelcore.sql.events.inbox import INBOX
from hotelcore.sql.events.outbox import OUTBOX, envelope_of
from hotelcore.sql.pages import check_limit
from hotelcore.sql.seam.statements import Statements, acting_hotel
from hotelcore.text import clean_text

__all__ = ["SqlEventLog"]

_c = OUTBOX.c
_LOG = (
    select(OUTBOX)
    .where(_c.hotel_id == acting_hotel(), _c.position > bindparam("after"))
    .order_by(_c.position)
    .limit(bindparam("most"))
)
_RECORD = (
    select(OUTBOX)
    .where(
        _c.hotel_id == acting_hotel(),
        _c.key == bindparam("wanted"),
        _c.sequence > bindparam("after"),
    )
    .order_by(_c.sequence)
    .limit(bindparam("most"))
)
_later, _earlier = OUTBOX.alias("later"), OUTBOX.alias("earlier")
_lane, _feed, _dead = INBOX.alias("lane"), FEED.alias("feed"), DEAD_LETTERS.alias("dead")
# The hotel itself, not the event's: PostgreSQL may read all that matches once and for all events.
_is_dead = exists().where(_dead.c.hotel_id == acting_hotel(), _dead.c.event_id == _earlier.c.id)
_before = bindparam("before", type_=schema.Instant())
_PURGE = delete(OUTBOX).where(
    _c.hotel_id == acting_hotel(),
    _c.occurred_at < _before,
    # The newest event of a record holds the count of its events.
    exists().where(
        _later.c.hotel_id == _c.hotel_id,
        _later.c.key == _c.key,
        _later.c.sequence > _c.sequence,
        _later.c.position.is_not(None),
    ),
    # What is left of a record is its end, without gaps.
    ~exists().where(
        _earlier.c.hotel_id == _c.hotel_id,
        _earlier.c.key == _c.key,
        _earlier.c.sequence <= _c.sequence,
        or_(_earlier.c.occurred_at >= _before, _earlier.c.position.is_(None), _is_dead),
    ),
    ~exists().where(
        _lane.c.hotel_id == _c.hotel_id,
        _lane.c.key == _c.key,
        _lane.c.handled < _lane.c.known,
        _lane.c.handled < _c.sequence,
    ),
    # What a broker that is being fed may not have.
    ~exists().where(
        _feed.c.hotel_id == _c.hotel_id, _feed.c.attempts > 0, _feed.c.sent < _c.position
    ),
)


class SqlEventLog:
    """The `hotelcore.repositories.EventLog` of one unit of work."""

    def __init__(self, run: Statements, declared: Collection[str] = ()) -> None:
        self._run = run
        # The durable subscriptions of the core, which a relay of it would begin anew.
        self._declared = declared

    def behind(self, position: int = 0, *, limit: int = 1_000) -> list[Envelope]:
        """Return the events behind a position, in the order of the log."""
        _check_number("position", position)
        check_limit(limit)
        return self._run.all(_LOG, envelope_of, after=position, most=limit)

    def of_record(self, key: UUID, *, after: int = 0, limit: int = 1_000) -> list[Envelope]:
        """Return the events of one record behind a sequence, in order."""
        _check_number("after", after)
        check_limit(limit)
        return self._run.all(_RECORD, envelope_of, wanted=key, after=after, most=limit)

    def dead(self, subscription: str | None = None) -> list[DeadLetter]:
        """Return the dead letters, the oldest first."""
        return dead_letters.dead_letters(self._run, subscription=_named(subscription))

    def retry(
        self,
        *,
        now: datetime,
        subscription: str | None = None,
        event_ids: Collection[EventId] | None = None,
    ) -> int:
        """Let dead letters be tried again."""
        return dead_letters.retry(
            self._run, now=now, subscription=_named(subscription), event_ids=event_ids
        )

    def replay(self, subscription: str, *, after: int, now: datetime) -> int:
        """Let a subscription handle again what is behind a position."""
        _check_number("after", after)
        return inbox.replay(self._run, _named(subscription), after=after, now=now)

    def forget(self, subscription: str) -> int:
        """Remove a subscription's lanes and dead letters."""
        name = _named(subscription)
        if name in self._declared:
            raise InvalidInput(
                "subscription",
                "is declared by this core, whose relay would begin it anew: take the declaration "
                "out and stop the relays that have it first",
            )
        dead_letters.forget(self._run, name)
        return inbox.forget(self._run, name)

    def purge(self, before: datetime) -> int:
        """Delete events that are done and older."""
        return self._run.write(_PURGE, before=before)


_Name = TypeVar("_Name", str, str | None)


def _named(subscription: _Name) -> _Name:
    if subscription is not None:
        clean_text("subscription", subscription, most=100)
    return subscription


def _check_number(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
        raise InvalidInput(name, "must be a whole number from 0 up, as the log counts")
