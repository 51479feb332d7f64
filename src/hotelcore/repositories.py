"""What the operations need from storage: one small Protocol an aggregate, in the hotel's words.

Every repository is bound to one hotel and one transaction by its unit of work, so no method takes
a hotel id. An id that the hotel does not have raises `NotFound`, whether it exists elsewhere or
not. ``update`` methods store the record they are given if its ``version`` is still the stored one,
raise `StaleVersion` otherwise, and return the record with its new version. ``lock`` methods read
a record and keep it unchanged by others until the transaction ends. A method that takes a list
stores all of it or nothing, and an empty list is nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Protocol
from uuid import UUID

from hotelcore.domain.audit import AuditLogEntry
from hotelcore.domain.availability import RoomAvailability
from hotelcore.domain.bookings import Booking, BookingNight, RoomKey
from hotelcore.domain.business_day import BusinessDay
from hotelcore.domain.folios import Folio, FolioLine
from hotelcore.domain.guests import Guest
from hotelcore.domain.hotels import Hotel
from hotelcore.domain.housekeeping import HousekeepingTask
from hotelcore.domain.pms import ExternalMapping, ExternalPMSConfig, PmsResource
from hotelcore.domain.rooms import MaintenancePeriod, Room, RoomCondition, RoomNight, RoomType
from hotelcore.domain.sealed import Resealed
from hotelcore.domain.stays import Stay
from hotelcore.errors import HotelcoreError
from hotelcore.events.dead_letter import DeadLetter
from hotelcore.events.envelope import Envelope
from hotelcore.ids import (
    BookingId,
    EventId,
    FolioId,
    FolioLineId,
    GuestId,
    MaintenanceId,
    RoomId,
    RoomTypeId,
    TaskId,
)
from hotelcore.lists import (
    AuditFilter,
    BookingFilter,
    FolioFilter,
    GuestFilter,
    Page,
    RoomFilter,
    TaskFilter,
)
from hotelcore.vault import Secret

__all__ = [
    "AuditLog",
    "Bookings",
    "BusinessDays",
    "EventLog",
    "Folios",
    "Guests",
    "Hotels",
    "Housekeeping",
    "Inventory",
    "Maintenance",
    "PmsConnections",
    "RoomKeys",
    "RoomNights",
    "RoomTypes",
    "Rooms",
    "SealedValues",
]

# -- the house --------------------------------------------------------------------------------


class Hotels(Protocol):
    """The acting hotel's own record."""

    def add(self, hotel: Hotel) -> None:
        """Store a new hotel; `AlreadyExists` names a taken id or Stripe id."""
        ...

    def current(self) -> Hotel:
        """Return the acting hotel. In a writing unit its business date stands still meanwhile."""
        ...

    def lock(self) -> Hotel:
        """Return the acting hotel and keep every other command of it waiting."""
        ...

    def update(self, hotel: Hotel) -> Hotel:
        """Store the hotel; see the module's words on versions."""
        ...


class RoomTypes(Protocol):
    """The hotel's room types: a few dozen at most, so they are not paged."""

    def add(self, room_type: RoomType) -> None:
        """Store a new room type; `AlreadyExists` names a taken code."""
        ...

    def get(self, room_type_id: RoomTypeId) -> RoomType:
        """Return one room type."""
        ...

    def all(self) -> tuple[RoomType, ...]:
        """Return all of them, ordered by code."""
        ...


class Rooms(Protocol):
    """The hotel's rooms."""

    def add_all(self, rooms: Sequence[Room]) -> None:
        """Store new rooms; `AlreadyExists` names a taken number."""
        ...

    def get(self, room_id: RoomId) -> Room:
        """Return one room."""
        ...

    def lock(self, room_ids: Collection[RoomId]) -> tuple[Room, ...]:
        """Lock rooms in id order and return them so; `NotFound` names the first unknown id."""
        ...

    def update(self, room: Room) -> Room:
        """Store the room; see the module's words on versions."""
        ...

    def set_condition(self, room_ids: Collection[RoomId], condition: RoomCondition) -> None:
        """Set the condition of locked rooms at once, each with its next version."""
        ...

    def free(self, room_type_id: RoomTypeId, stay: Stay) -> tuple[Room, ...]:
        """Return the type's rooms that are free on every night, ordered by number.

        For a day use: those that nobody is in and that are not blocked on that date.
        """
        ...

    def is_occupied(self, room_id: RoomId) -> bool:
        """Tell whether a booking in house is in the room."""
        ...

    def page(self, which: RoomFilter, *, after: str | None = None, limit: int = 50) -> Page[Room]:
        """Return rooms in order of number."""
        ...


class Maintenance(Protocol):
    """The dated withdrawals of rooms."""

    def add(self, period: MaintenancePeriod) -> None:
        """Store a new period; `AlreadyExists` names a taken id."""
        ...

    def get(self, maintenance_id: MaintenanceId) -> MaintenancePeriod:
        """Return one period."""
        ...

    def update(self, period: MaintenancePeriod) -> MaintenancePeriod:
        """Store the period; see the module's words on versions."""
        ...

    def overlapping(self, stay: Stay) -> tuple[MaintenancePeriod, ...]:
        """Return the unreleased periods that cover a night of ``stay``, by room and begin."""
        ...


# -- inventory --------------------------------------------------------------------------------


class Inventory(Protocol):
    """The counters of each room type and night, moved in night order so that nobody deadlocks."""

    def add_rooms(self, room_type_id: RoomTypeId, number: int) -> None:
        """Count ``number`` more rooms on every night, future ones too."""
        ...

    def lock(self, room_type_id: RoomTypeId, nights: Collection[date]) -> None:
        """Lock the counters of the nights before several of the calls below move some of them."""
        ...

    def sell(
        self, room_type_id: RoomTypeId, nights: Collection[date], *, held: bool, force: bool = False
    ) -> None:
        """Take one unit on every night, as held or committed; k units where a night comes k times.

        Raises `SoldOut` with the full nights, and takes none, unless every night has
        ``available + overbooking_limit >= k``. ``force`` raises the limit where that is needed.
        """
        ...

    def release(self, room_type_id: RoomTypeId, nights: Collection[date], *, held: bool) -> None:
        """Give one unit back on every night."""
        ...

    def commit_held(self, room_type_id: RoomTypeId, nights: Collection[date]) -> None:
        """Turn one held unit into a committed one on every night."""
        ...

    def block(
        self, room_type_id: RoomTypeId, nights: Collection[date], *, off_count: bool, force: bool
    ) -> None:
        """Take one room off sale on every night (``off_count``: off the room count too).

        Raises `SoldOut` where the room is needed for what is sold, unless ``force``.
        """
        ...

    def unblock(
        self, room_type_id: RoomTypeId, nights: Collection[date], *, off_count: bool
    ) -> None:
        """Put one room back on sale on every night."""
        ...

    def nights(
        self, stay: Stay, room_type_id: RoomTypeId | None = None
    ) -> tuple[RoomAvailability, ...]:
        """Return the counters of one type, or all, for each night, by type code and night.

        A night that was never sold has no stored row; it is answered from the room count.
        """
        ...


class RoomNights(Protocol):
    """Which room is taken on which night, by whom: at most once each, the database sees to it."""

    def hold(
        self,
        room_id: RoomId,
        booking_id: BookingId,
        nights: Collection[date],
        *,
        at_once: bool = False,
    ) -> None:
        """Give the room's nights to a booking; `RoomTaken` names the nights that are not free.

        ``at_once`` has it raised here, also where writes go together, and the unit goes on.
        """
        ...

    def block(self, room_id: RoomId, maintenance_id: MaintenanceId, period: Stay) -> None:
        """Give the room's nights to maintenance; `RoomTaken` names the nights that are not free."""
        ...

    def release(self, booking_id: BookingId, *, from_night: date) -> None:
        """Free the nights of a booking from ``from_night`` on."""
        ...

    def unblock(self, maintenance_id: MaintenanceId, *, from_night: date) -> None:
        """Free the nights of a maintenance period from ``from_night`` on."""
        ...

    def chart(self, period: Stay) -> tuple[RoomNight, ...]:
        """Return every taken room-night of a period, by room and night: a tape chart."""
        ...


# -- guests and bookings ----------------------------------------------------------------------


class Guests(Protocol):
    """The hotel's guests."""

    def add_all(self, guests: Sequence[Guest]) -> None:
        """Store new guests; `AlreadyExists` if an id is taken, here or twice among them."""
        ...

    def get(self, guest_id: GuestId) -> Guest:
        """Return one guest."""
        ...

    def lock(self, guest_id: GuestId) -> Guest:
        """Return one guest, locked."""
        ...

    def share(self, guest_id: GuestId) -> Guest:
        """Return one guest, who stays unchanged meanwhile; many may share a guest at once."""
        ...

    def share_all(self, guest_ids: Collection[GuestId]) -> tuple[Guest, ...]:
        """Share guests in id order and return them so; `NotFound` names the first unknown id."""
        ...

    def update(self, guest: Guest) -> Guest:
        """Store the guest; see the module's words on versions."""
        ...

    def erase(self, guest: Guest) -> Guest:
        """Store an anonymised guest as `update` does, over every earlier state that was kept."""
        ...

    def page(self, which: GuestFilter, *, after: str | None = None, limit: int = 50) -> Page[Guest]:
        """Return guests in order of last name."""
        ...


class Bookings(Protocol):
    """The hotel's bookings with their nights."""

    def add_all(self, bookings: Sequence[Booking], nights: Sequence[BookingNight]) -> None:
        """Store new bookings with all their nights.

        `AlreadyExists` if a confirmation number is taken, in the hotel or twice among them.
        """
        ...

    def get(self, booking_id: BookingId) -> Booking:
        """Return one booking."""
        ...

    def lock(self, booking_id: BookingId) -> Booking:
        """Return one booking, locked."""
        ...

    def by_confirmation(self, confirmation_number: str) -> Booking:
        """Return the booking with that number."""
        ...

    def by_confirmations(self, confirmation_numbers: Collection[str]) -> Mapping[str, Booking]:
        """Return the bookings that have one of the numbers, by number; others are left out."""
        ...

    def update(self, booking: Booking) -> Booking:
        """Store the booking; `RoomTaken` if it enters a room that somebody is in."""
        ...

    def nights(self, booking_id: BookingId) -> tuple[BookingNight, ...]:
        """Return all nights, released ones too, each with its room, in order."""
        ...

    def put_nights(self, nights: Sequence[BookingNight]) -> None:
        """Store nights, new or again: price, room type and whether they are released."""
        ...

    def page(
        self, which: BookingFilter, *, after: str | None = None, limit: int = 50
    ) -> Page[Booking]:
        """Return bookings in order of arrival."""
        ...

    def unresolved_arrivals(self, until: date) -> tuple[Booking, ...]:
        """Return the confirmed bookings that should have arrived by ``until``, locked, by id."""
        ...

    def overdue_departures(self, until: date) -> tuple[Booking, ...]:
        """Return bookings in house that should have left by ``until``, locked, by id."""
        ...

    def expired_holds(self, at: datetime, *, limit: int) -> tuple[Booking, ...]:
        """Return at most ``limit`` tentative bookings with a hold until ``at``, locked, by id."""
        ...

    def unassigned(self, room_type_id: RoomTypeId, arriving_until: date) -> tuple[Booking, ...]:
        """Return confirmed bookings of a type that have no room yet, locked, by arrival."""
        ...

    def nights_to_post(self, until: date) -> tuple[tuple[Booking, BookingNight], ...]:
        """Return in-house nights up to and with ``until`` that are not posted, by booking."""
        ...

    def mark_posted(self, nights: Collection[BookingNight]) -> None:
        """Mark nights as posted."""
        ...

    def moved_on(self, business_date: date) -> tuple[int, int, int]:
        """Count the arrivals, departures and no-shows of a business date."""
        ...


class RoomKeys(Protocol):
    """The keys issued to bookings."""

    def issue_all(self, keys: Sequence[RoomKey]) -> None:
        """Store new keys; `AlreadyExists` if an id is taken, here or twice among them."""
        ...

    def revoke_all(self, booking_id: BookingId, *, at: datetime) -> tuple[RoomKey, ...]:
        """Revoke the booking's valid keys and return them as they are now."""
        ...

    def of_booking(self, booking_id: BookingId) -> tuple[RoomKey, ...]:
        """Return all keys of a booking, oldest first."""
        ...


# -- money ------------------------------------------------------------------------------------


class Folios(Protocol):
    """The hotel's folios; lines are only ever added."""

    def open_all(self, folios: Sequence[Folio]) -> None:
        """Store new folios without lines.

        `AlreadyExists` if an id is taken, here or twice among them.
        """
        ...

    def get(self, folio_id: FolioId) -> Folio:
        """Return one folio."""
        ...

    def lock(self, folio_id: FolioId) -> Folio:
        """Return one folio; postings of others wait until the transaction ends."""
        ...

    def of_booking(self, booking_id: BookingId) -> tuple[Folio, ...]:
        """Return a booking's folios, oldest first, locked in a writing unit."""
        ...

    def of_house(self) -> Mapping[BookingId, Folio]:
        """Return the oldest open folio of each booking in house, locked in a writing unit."""
        ...

    def post(self, lines: Sequence[FolioLine]) -> None:
        """Add lines and move the balances, in folio order; `FolioClosed` names a closed one."""
        ...

    def close(self, folio: Folio, *, at: datetime) -> Folio:
        """Close an open folio of balance zero; anything else raises `StaleVersion`."""
        ...

    def reopen(self, folio: Folio) -> Folio:
        """Open a closed folio again, for the named reversals of a booking."""
        ...

    def line(self, line_id: FolioLineId) -> FolioLine:
        """Return one line."""
        ...

    def lines(self, folio_id: FolioId) -> tuple[FolioLine, ...]:
        """Return all lines of a folio in the order of posting."""
        ...

    def referring_to(self, line_id: FolioLineId) -> tuple[FolioLine, ...]:
        """Return the lines that refer to a line, and the lines that refer to those."""
        ...

    def page(self, which: FolioFilter, *, after: str | None = None, limit: int = 50) -> Page[Folio]:
        """Return folios in the order in which they were opened."""
        ...


# -- house work, days, audit ------------------------------------------------------------------


class Housekeeping(Protocol):
    """The hotel's housekeeping tasks."""

    def add(self, task: HousekeepingTask) -> None:
        """Store a new task; `AlreadyExists` on a booking's second departure task."""
        ...

    def lock(self, task_id: TaskId) -> HousekeepingTask:
        """Return one task, locked."""
        ...

    def update(self, task: HousekeepingTask) -> HousekeepingTask:
        """Store the task; see the module's words on versions."""
        ...

    def page(
        self, which: TaskFilter, *, after: str | None = None, limit: int = 50
    ) -> Page[HousekeepingTask]:
        """Return tasks in order of due date and priority."""
        ...


class BusinessDays(Protocol):
    """The days that night audits closed."""

    def add(self, day: BusinessDay) -> None:
        """Store a closed day; `AlreadyExists` if it was closed before."""
        ...

    def find(self, day: date) -> BusinessDay | None:
        """Return a closed day, or None."""
        ...

    def between(self, first: date, last: date) -> tuple[BusinessDay, ...]:
        """Return the closed days from ``first`` to ``last``, both included, in order."""
        ...


class AuditLog(Protocol):
    """The hotel's audit entries; the unit of work alone adds to them."""

    def page(
        self, which: AuditFilter, *, after: str | None = None, limit: int = 50
    ) -> Page[AuditLogEntry]:
        """Return entries, newest first."""
        ...


class PmsConnections(Protocol):
    """The hotel's PMS connection, the key that it needs, and what was mapped through it."""

    def add(self, config: ExternalPMSConfig) -> None:
        """Store the connection, without a key; `AlreadyExists` if the hotel has one."""
        ...

    def current(self) -> ExternalPMSConfig:
        """Return the connection; `NotFound` if there is none."""
        ...

    def lock(self) -> ExternalPMSConfig:
        """Return the connection, locked, so that two syncs run one after the other."""
        ...

    def update(self, config: ExternalPMSConfig) -> ExternalPMSConfig:
        """Store the connection; its key stays. See the module's words on versions."""
        ...

    def set_key(self, config: ExternalPMSConfig, key: Secret | None) -> ExternalPMSConfig:
        """Store the PMS's key, sealed, or forget it; see the module's words on versions.

        `NoKeys` if the core was given no keys to seal with.
        """
        ...

    def api_key(self) -> Secret:
        """Return the PMS's key; needs `Permission.PMS_MANAGE`.

        `NotFound` if there is no connection or no key, `NoKeys` if the core has none to open it
        with, `SealBroken` if it does not open.
        """
        ...

    def remove(self, config: ExternalPMSConfig) -> None:
        """Remove the connection with its key and mappings; what was taken over stays."""
        ...

    def mappings(
        self, resource: PmsResource, external_ids: Collection[str]
    ) -> Mapping[str, ExternalMapping]:
        """Return the known mappings of some external ids, by external id."""
        ...

    def put_mappings(
        self, mappings: Sequence[ExternalMapping], *, twice: Callable[[], HotelcoreError]
    ) -> None:
        """Store mappings, also anew; ``twice`` makes the error for an id mapped otherwise."""
        ...


class SealedValues(Protocol):
    """Every value of the hotel that is stored sealed, whatever it is."""

    def reseal(self, *, limit: int) -> Resealed:
        """Seal up to ``limit`` values anew that are not under the current key.

        A value that somebody changes meanwhile keeps the change. `NoKeys` if the core has none.
        """
        ...


class EventLog(Protocol):
    """What was committed in the hotel, as events, and how far its durable subscriptions are."""

    def behind(self, position: int = 0, *, limit: int = 1_000) -> Sequence[Envelope]:
        """Return up to ``limit`` (1 to 1,000) events behind a position of the log, in its order.

        Positions count from 1 without gaps, so 0 begins at the very first event. An event has one
        as soon as the relay has met it.
        """
        ...

    def of_record(self, key: UUID, *, after: int = 0, limit: int = 1_000) -> Sequence[Envelope]:
        """Return up to ``limit`` (1 to 1,000) events of one record behind a sequence, in order."""
        ...

    def dead(self, subscription: str | None = None) -> Sequence[DeadLetter]:
        """Return the dead letters of one durable subscription or of all, the oldest first."""
        ...

    def retry(
        self,
        *,
        now: datetime,
        subscription: str | None = None,
        event_ids: Collection[EventId] | None = None,
    ) -> int:
        """Let dead letters, all or the chosen ones, be tried again; return how many."""
        ...

    def replay(self, subscription: str, *, after: int, now: datetime) -> int:
        """Let a subscription handle again what is behind a position; return of how many records."""
        ...

    def purge(self, before: datetime) -> int:
        """Delete older events that everybody is done with; return how many."""
        ...
