"""The library, as an application calls it: pool, transaction and entities included."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import URL

from benchmarks.contestants import Found
from benchmarks.data import desk_of, opened
from benchmarks.house import MOST, PAGE, RANGE, STAY, TODAY, House
from benchmarks.orders import Arrival, Cleaning, Order, Takeover
from benchmarks.rounds import Work
from hotelcore import operations as op
from hotelcore.domain.bookings import BookingStatus
from hotelcore.domain.housekeeping import TaskStatus
from hotelcore.lists import BookingFilter, GuestFilter, TaskFilter
from hotelcore.pms import PmsSnapshot

__all__ = ["Ours"]

_ARRIVALS = BookingFilter(arriving_from=RANGE[0], arriving_until=RANGE[1])
_NEXT = BookingFilter(statuses=frozenset({BookingStatus.CONFIRMED}), arriving_from=TODAY)
_TO_DO = TaskFilter(due=TODAY, status=TaskStatus.OPEN)
_LONG = timedelta(hours=1)


class Ours:
    """hotelcore."""

    name = "hotelcore"

    def __init__(self, url: URL, house: House) -> None:
        self.url, self.core = url, opened(url)
        self.desk = desk_of(self.core, house)
        self.house = house

    def rooms_free(self) -> Found:
        """Ask for the rooms that are free."""
        with self.desk.reading() as uow:
            return uow.rooms.free(self.house.room_type_id, STAY)

    def bookings_in_range(self) -> Found:
        """Ask for a page that has all of them."""
        with self.desk.reading() as uow:
            return uow.bookings.page(_ARRIVALS, limit=MOST).items

    def page_of_bookings(self) -> Found:
        """Ask for the first page."""
        with self.desk.reading() as uow:
            return uow.bookings.page(_NEXT, limit=PAGE).items

    def guest_by_email(self) -> Found:
        """Ask for the guests who have the address."""
        with self.desk.reading() as uow:
            return uow.guests.page(GuestFilter(email=self.house.email)).items

    def tasks(self) -> Found:
        """Ask for a page that has all of them."""
        with self.desk.reading() as uow:
            return uow.housekeeping.page(_TO_DO, limit=MOST).items

    def folio_balance(self) -> Found:
        """Ask for the folio."""
        with self.desk.reading() as uow:
            return (uow.folios.get(self.house.folio_id),)

    def id_of(self, found: Any) -> UUID:  # Any: each kind of entity has an id
        """Return the id of an entity."""
        id_: UUID = found.id
        return id_

    def create_booking(self, order: Order) -> Work:
        """Run the operation."""
        return lambda: self.desk.run(
            op.create_booking_with_folio,
            guest_id=self.house.guest_id,
            room_type_id=self.house.room_type_id,
            stay=order.stay,
        )

    def check_in(self, arrival: Arrival) -> Work:
        """Run the operation."""
        return lambda: self.desk.run(
            op.check_in_guest, booking_id=arrival.booking_id, room_id=arrival.room_id
        )

    def set_condition(self, cleaning: Cleaning) -> Work:
        """Run the operation."""
        return lambda: self.desk.run(
            op.bulk_update_room_status,
            room_ids=cleaning.room_ids,
            condition=cleaning.condition,
        )

    def take_over(self, takeover: Takeover) -> Work:
        """Run the operation, with all the time that it may need."""
        desk = self.desk.within(time_limit=_LONG)
        return lambda: desk.run(op.sync_pms_data, snapshot=takeover.snapshot).bookings.created

    def take_over_in_parts(self, snapshot: PmsSnapshot, most: int) -> Sequence[Work]:
        """Run the operation for each part of a snapshot."""
        desk = self.desk.within(time_limit=_LONG)

        def taking(part: PmsSnapshot) -> Work:
            return lambda: desk.run(op.sync_pms_data, snapshot=part)

        return [taking(part) for part in snapshot.parts(most)]

    def close(self) -> None:
        """Close the pool."""
        self.core.close()
