"""The contract of a repository: those of ours that it fits keep it, on both databases."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import attrs
import pytest

from hotelcore import Permission
from hotelcore.domain.bookings import RoomKey
from hotelcore.domain.fields import Attributes
from hotelcore.domain.folios import Folio
from hotelcore.domain.guests import Guest
from hotelcore.domain.housekeeping import HousekeepingTask, TaskKind
from hotelcore.domain.money import Money
from hotelcore.domain.rooms import MaintenanceKind, MaintenancePeriod, Room, RoomCondition, RoomType
from hotelcore.errors import AlreadyExists
from hotelcore.ids import (
    FolioId,
    GuestId,
    MaintenanceId,
    RoomId,
    RoomKeyId,
    RoomTypeId,
    TaskId,
    new_id,
)
from hotelcore.lists import FolioFilter, GuestFilter, Page, RoomFilter, TaskFilter
from hotelcore.repositories import (
    Folios,
    Guests,
    Housekeeping,
    Maintenance,
    Rooms,
    RoomTypes,
)
from hotelcore.testing.contracts import (
    ManyContract,
    PagedContract,
    RepositoryContract,
    VersionedContract,
)
from hotelcore.testing.hotels import NOON, TODAY, SampleHotel
from hotelcore.unit_of_work import UnitOfWork

_numbers = count(1_000)


class TestGuests(
    VersionedContract[Guests, Guest], PagedContract[Guests, Guest], ManyContract[Guests, Guest]
):
    """The guests of a hotel."""

    def repository(self, uow: UnitOfWork) -> Guests:
        return uow.guests

    def new(self, hotel: SampleHotel, text: str) -> Guest:
        return Guest(
            id=GuestId(new_id()),
            hotel_id=hotel.hotel_id,
            last_name=text,
            first_name=text,
            attributes=Attributes({"note": text}),
            created_at=NOON,
        )

    def add(self, repository: Guests, record: Guest) -> None:
        repository.add_all([record])

    def changed(self, record: Guest) -> Guest:
        return attrs.evolve(record, first_name=f"{record.first_name}+")

    def page(self, repository: Guests, *, after: str | None, limit: int) -> Page[Guest]:
        return repository.page(GuestFilter(), after=after, limit=limit)


class TestRooms(
    VersionedContract[Rooms, Room], PagedContract[Rooms, Room], ManyContract[Rooms, Room]
):
    """The rooms of a hotel."""

    def repository(self, uow: UnitOfWork) -> Rooms:
        return uow.rooms

    def new(self, hotel: SampleHotel, text: str) -> Room:
        return Room(
            id=RoomId(new_id()),
            hotel_id=hotel.hotel_id,
            room_type_id=hotel.room_type.id,
            number=f"{next(_numbers)}",
            floor=text[:20],
            condition=RoomCondition.CLEAN,
            attributes=Attributes({"note": text}),
        )

    def add(self, repository: Rooms, record: Room) -> None:
        repository.add_all([record])

    def changed(self, record: Room) -> Room:
        return attrs.evolve(record, floor=f"{record.floor}+")

    def page(self, repository: Rooms, *, after: str | None, limit: int) -> Page[Room]:
        return repository.page(RoomFilter(), after=after, limit=limit)


class TestRoomTypes(RepositoryContract[RoomTypes, RoomType]):
    """The room types of a hotel."""

    def repository(self, uow: UnitOfWork) -> RoomTypes:
        return uow.room_types

    def new(self, hotel: SampleHotel, text: str) -> RoomType:
        return RoomType(
            id=RoomTypeId(new_id()),
            hotel_id=hotel.hotel_id,
            code=f"T{next(_numbers)}",
            name=text,
            base_rate=Money(1, "EUR"),
            max_occupancy=2,
        )


class TestMaintenance(VersionedContract[Maintenance, MaintenancePeriod]):
    """The withdrawals of rooms."""

    def repository(self, uow: UnitOfWork) -> Maintenance:
        return uow.maintenance

    def new(self, hotel: SampleHotel, text: str) -> MaintenancePeriod:
        return MaintenancePeriod(
            id=MaintenanceId(new_id()),
            hotel_id=hotel.hotel_id,
            room_id=hotel.rooms[0].id,
            kind=MaintenanceKind.OUT_OF_ORDER,
            period=hotel.expected.stay,
            reason=text,
            created_at=NOON,
        )

    def changed(self, record: MaintenancePeriod) -> MaintenancePeriod:
        return attrs.evolve(record, reason=f"{record.reason}+")


class TestHousekeeping(
    VersionedContract[Housekeeping, HousekeepingTask],
    PagedContract[Housekeeping, HousekeepingTask],
):
    """The tasks of housekeeping."""

    def repository(self, uow: UnitOfWork) -> Housekeeping:
        return uow.housekeeping

    def new(self, hotel: SampleHotel, text: str) -> HousekeepingTask:
        return HousekeepingTask(
            id=TaskId(new_id()),
            hotel_id=hotel.hotel_id,
            room_id=hotel.rooms[0].id,
            kind=TaskKind.STAY_OVER,
            due=TODAY,
            note=text,
            created_at=NOON,
        )

    def changed(self, record: HousekeepingTask) -> HousekeepingTask:
        return attrs.evolve(record, note=f"{record.note}+")

    def page(
        self, repository: Housekeeping, *, after: str | None, limit: int
    ) -> Page[HousekeepingTask]:
        return repository.page(TaskFilter(), after=after, limit=limit)


class TestFolios(PagedContract[Folios, Folio], ManyContract[Folios, Folio]):
    """The folios of a hotel, which change by what is posted."""

    def repository(self, uow: UnitOfWork) -> Folios:
        return uow.folios

    def new(self, hotel: SampleHotel, text: str) -> Folio:
        return Folio(
            id=FolioId(new_id()),
            hotel_id=hotel.hotel_id,
            booking_id=hotel.expected.id,
            guest_id=hotel.expected.guest_id,
            balance=Money(0, "EUR"),
            opened_at=NOON,
            attributes=Attributes({"note": text}),
        )

    def add(self, repository: Folios, record: Folio) -> None:
        repository.open_all([record])

    def add_all(self, repository: Folios, records: Sequence[Folio]) -> None:
        repository.open_all(records)

    def page(self, repository: Folios, *, after: str | None, limit: int) -> Page[Folio]:
        return repository.page(FolioFilter(), after=after, limit=limit)


def test_a_taken_id_of_a_room_key_is_told(hotelcore_hotel: SampleHotel) -> None:
    """Keys are read by their booking alone, so the contract does not fit; this much holds too."""
    key = RoomKey(
        id=RoomKeyId(new_id()),
        hotel_id=hotelcore_hotel.hotel_id,
        booking_id=hotelcore_hotel.in_house.id,
        room_id=hotelcore_hotel.rooms[0].id,
        valid_until=hotelcore_hotel.in_house.stay.departure,
        issued_at=NOON,
    )

    def issue(uow: UnitOfWork) -> None:
        with uow.command("contract", Permission.FRONT_DESK):
            uow.keys.issue_all([key])

    hotelcore_hotel.desk.run(issue)
    with pytest.raises(AlreadyExists, match="room key"):
        hotelcore_hotel.desk.run(issue)
