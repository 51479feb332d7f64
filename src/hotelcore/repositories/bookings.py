"""Bookings with their nights, and the keys issued to them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Protocol

from hotelcore.domain.bookings import Booking, BookingNight, RoomKey
from hotelcore.ids import BookingId, RoomTypeId
from hotelcore.lists import BookingFilter, Page

__all__ = ["Bookings", "RoomKeys"]


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

    def get_all(self, booking_ids: Collection[BookingId]) -> Mapping[BookingId, Booking]:
        """Return bookings by id; `NotFound` names the first unknown id."""
        ...

    def lock(self, booking_id: BookingId) -> Booking:
        """Return one booking, locked."""
        ...

    def lock_all(self, booking_ids: Collection[BookingId]) -> tuple[Booking, ...]:
        """Lock bookings in id order and return them so; `NotFound` names the first unknown id."""
        ...

    def by_confirmation(self, confirmation_number: str) -> Booking:
        """Return the booking with that number."""
        ...

    def by_confirmations(self, confirmation_numbers: Collection[str]) -> Mapping[str, Booking]:
        """Return the bookings that have one of the numbers, by number; others are left out."""
        ...

    def update(self, booking: Booking) -> Booking:
        """Store the booking; `RoomTaken`, of no night, if it enters a room that somebody is in."""
        ...

    def nights(self, booking_id: BookingId) -> tuple[BookingNight, ...]:
        """Return all nights, released ones too, each with its room, in order."""
        ...

    def nights_of_each(
        self, booking_ids: Collection[BookingId]
    ) -> Mapping[BookingId, tuple[BookingNight, ...]]:
        """Return the nights of each booking, as `nights` does for one."""
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

    def revoke_all(self, keys: Sequence[RoomKey], *, at: datetime) -> tuple[RoomKey, ...]:
        """Revoke valid keys, and return them in this order as they are now.

        `NotFound` for one that is not there or is revoked already.
        """
        ...

    def of_booking(self, booking_id: BookingId) -> tuple[RoomKey, ...]:
        """Return all keys of a booking, oldest first."""
        ...
