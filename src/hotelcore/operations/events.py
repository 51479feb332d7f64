"""Events after the fact: tried again, handled anew, deleted when all are done with them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from hotelcore.access import Permission
from hotelcore.clock import require_utc
from hotelcore.errors import InvalidInput
from hotelcore.ids import EventId
from hotelcore.operations.declaring import operation
from hotelcore.text import clean_text
from hotelcore.unit_of_work import UnitOfWork

__all__ = ["forget_subscription", "purge_events", "replay_events", "retry_dead_letters"]


@operation(Permission.HOTEL_MANAGE)
def retry_dead_letters(
    uow: UnitOfWork,
    *,
    subscription: str | None = None,
    event_ids: Collection[EventId] | None = None,
) -> int:
    """Have the relay try dead letters again, and return how many.

    All of them, those of one durable subscription, or those of the events named. A retried one
    comes after later events of its record, which its delivery says (``late``). An id that is no
    dead letter of the hotel counts for nothing.
    """
    _at_home(uow)
    if event_ids is not None and not event_ids:
        raise InvalidInput("event_ids", "must name at least one event, or be left out")
    name = None if subscription is None else clean_text("subscription", subscription, most=100)
    return uow.events.retry(now=uow.now(), subscription=name, event_ids=event_ids)


@operation(Permission.HOTEL_MANAGE)
def replay_events(uow: UnitOfWork, *, subscription: str, after: int = 0) -> int:
    """Have a durable subscription handle again all that stands behind a position of the log.

    Returns the number of records whose events come again. They come in the order of each record,
    also to a subscription that is new. What is being handled at the moment is handled again.
    """
    _at_home(uow)
    name = clean_text("subscription", subscription, most=100)
    return uow.events.replay(name, after=after, now=uow.now())


@operation(Permission.HOTEL_MANAGE)
def forget_subscription(uow: UnitOfWork, *, subscription: str) -> int:
    """Remove a durable subscription that was retired, renamed or misspelt, with what waits for it.

    Returns the number of records of which it had heard: 0 if nothing is known of it. Its dead
    letters go too, the events stay. A relay that still knows it begins it anew with the next event,
    so stop those first; `InvalidInput` if this core declares it.
    """
    _at_home(uow)
    return uow.events.forget(clean_text("subscription", subscription, most=100))


@operation(Permission.HOTEL_MANAGE)
def purge_events(uow: UnitOfWork, *, before: datetime) -> int:
    """Delete the events that occurred ``before`` an instant (UTC), and return how many.

    Kept are events that the relay, a durable subscription or a broker is not done with, whatever
    stands behind a dead letter of its record, and the newest event of each record, which holds
    the count.
    """
    _at_home(uow)
    return uow.events.purge(require_utc(before, "before"))


def _at_home(uow: UnitOfWork) -> None:
    """Have the audit entry say the business date; `NotFound` in a hotel that is not registered."""
    _ = uow.hotel
