"""Lists for screens and interfaces: what is asked for, and how it comes, page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime
from typing import Generic, TypeVar
from uuid import UUID

from attrs import frozen

from hotelcore.domain import fields
from hotelcore.domain.audit import Outcome
from hotelcore.domain.bookings import BookingStatus
from hotelcore.domain.folios import FolioStatus, LineKind
from hotelcore.domain.housekeeping import TaskStatus
from hotelcore.domain.rooms import RoomCondition
from hotelcore.domain.stays import Stay
from hotelcore.errors import InvalidInput
from hotelcore.ids import BookingId, GuestId, RoomId, RoomTypeId

__all__ = [
    "AuditFilter",
    "BookingFilter",
    "FolioFilter",
    "GuestFilter",
    "JournalFilter",
    "Page",
    "RoomFilter",
    "TaskFilter",
    "every",
]

T = TypeVar("T")


@frozen
class Page(Generic[T]):
    """Some records in order; ``next`` is the cursor of the following page, None after the last.

    A page is found by key, never by counting rows, so the hundredth costs what the first does and
    records that arrive meanwhile shift nothing.
    """

    items: tuple[T, ...]
    next: str | None


def every(read: Callable[[str | None], Page[T]]) -> Iterator[T]:
    """Read a whole list; ``read`` gives the page behind a cursor, at first behind None.

    Raises `InvalidInput` for what is no such function, a page for instance.
    """
    if not callable(read):
        reason = "must be a function of the cursor: lambda after: uow.guests.page(…, after=after)"
        raise InvalidInput("read", reason)
    return _every(read)


def _every(read: Callable[[str | None], Page[T]]) -> Iterator[T]:
    page = read(None)
    yield from page.items
    while page.next is not None:
        page = read(page.next)
        yield from page.items


# -- filters: every field narrows, None leaves open; bad text and dates are `InvalidInput` ------


@frozen(kw_only=True)
class BookingFilter:
    """Which bookings. Dates are inclusive; ``staying`` finds stays with a night in that period.

    Ordered by arrival, then id. Due in on a day: ``arriving_from = arriving_until = day`` and
    ``statuses={CONFIRMED}``. Due out: ``departing_until=day, statuses={IN_HOUSE}``.
    """

    statuses: frozenset[BookingStatus] | None = fields.choices(BookingStatus)
    guest_id: GuestId | None = fields.identifier(optional=True)
    room_type_id: RoomTypeId | None = fields.identifier(optional=True)
    room_id: RoomId | None = fields.identifier(optional=True)
    channel: str | None = fields.text(50, least=0, optional=True)
    arriving_from: date | None = fields.day(optional=True)
    arriving_until: date | None = fields.day(optional=True)
    departing_from: date | None = fields.day(optional=True)
    departing_until: date | None = fields.day(optional=True)
    staying: Stay | None = fields.instance(Stay, optional=True)


@frozen(kw_only=True)
class GuestFilter:
    """Which guests: the beginning of a last name, or an exact e-mail or phone number.

    Case, accents, and the spacing of a number do not matter; by a phone without any digit nobody is
    found. Ordered by last name, then id.
    """

    last_name: str | None = fields.text(200, least=0, optional=True)
    email: str | None = fields.text(320, least=0, optional=True)
    phone: str | None = fields.text(50, least=0, optional=True)
    vip: bool | None = fields.flag(optional=True)


@frozen(kw_only=True)
class RoomFilter:
    """Which rooms. Ordered by number, then id."""

    room_type_id: RoomTypeId | None = fields.identifier(optional=True)
    conditions: frozenset[RoomCondition] | None = fields.choices(RoomCondition)
    floor: str | None = fields.text(20, least=0, optional=True)


@frozen(kw_only=True)
class FolioFilter:
    """Which folios. Ordered by id, that is by the time they were opened."""

    status: FolioStatus | None = fields.choice(FolioStatus, optional=True)
    guest_id: GuestId | None = fields.identifier(optional=True)
    booking_id: BookingId | None = fields.identifier(optional=True)
    unsettled: bool = fields.flag()


@frozen(kw_only=True)
class JournalFilter:
    """Which lines, over all folios. Ordered by the business date of their posting, then id.

    Dates are business dates and inclusive: ``posted_from = posted_until`` is the journal of a day.
    """

    posted_from: date | None = fields.day(optional=True)
    posted_until: date | None = fields.day(optional=True)
    kinds: frozenset[LineKind] | None = fields.choices(LineKind)
    code: str | None = fields.text(50, least=0, optional=True)
    posted_by: str | None = fields.text(200, least=0, optional=True)


@frozen(kw_only=True)
class TaskFilter:
    """Which housekeeping tasks. Ordered by due date, priority, then id."""

    due: date | None = fields.day(optional=True)
    status: TaskStatus | None = fields.choice(TaskStatus, optional=True)
    assignee: str | None = fields.text(200, least=0, optional=True)
    room_id: RoomId | None = fields.identifier(optional=True)


@frozen(kw_only=True)
class AuditFilter:
    """Which audit entries: of what was done, of what was denied, or both. Newest first.

    ``since`` is the first moment whose entries are wanted, ``before`` the first whose are not. With
    one of them the newest is that of the latest moment, else that which was written last: the same
    entry, as long as no clock is set back.
    """

    resource: str | None = fields.text(100, least=0, optional=True)
    resource_id: UUID | None = fields.identifier(optional=True)
    operation: str | None = fields.text(100, least=0, optional=True)
    subject: str | None = fields.text(200, least=0, optional=True)
    outcome: Outcome | None = fields.choice(Outcome, optional=True)
    since: datetime | None = fields.instant(optional=True)
    before: datetime | None = fields.instant(optional=True)
