"""Units of work over the storage of a house, and what stands in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier
from typing import TypeVar

from hypothesis import strategies as st

from hotelcore.domain.housekeeping import HousekeepingTask, TaskKind
from hotelcore.domain.money import Money
from hotelcore.domain.rooms import (
    MaintenanceKind,
    MaintenancePeriod,
    Room,
    RoomType,
)
from hotelcore.domain.stays import Stay
from hotelcore.ids import (
    BookingId,
    MaintenanceId,
    RoomId,
    RoomTypeId,
    TaskId,
    new_id,
)
from hotelcore.sql.repositories.availability import SqlInventory
from hotelcore.sql.repositories.bookings import SqlBookings
from hotelcore.sql.repositories.hotels import SqlHotels
from hotelcore.sql.repositories.housekeeping import SqlHousekeeping
from hotelcore.sql.repositories.room_nights import SqlRoomNights
from hotelcore.sql.repositories.rooms import SqlMaintenance, SqlRooms, SqlRoomTypes
from hotelcore.sql.seam.statements import Statements
from tests.sql.house import DAY, NOON, TODAY, House

T = TypeVar("T")

FIRST = TODAY
WEEK = Stay(FIRST, FIRST + 7 * DAY)

spans = st.tuples(st.integers(0, 4), st.integers(1, 5)).map(
    lambda span: Stay(FIRST + span[0] * DAY, FIRST + min(6, span[0] + span[1]) * DAY)
)


class Unit:
    """The repositories of one transaction."""

    def __init__(self, run: Statements) -> None:
        self.hotels = SqlHotels(run)
        self.types = SqlRoomTypes(run)
        self.rooms = SqlRooms(run)
        self.maintenance = SqlMaintenance(run)
        self.inventory = SqlInventory(run)
        self.room_nights = SqlRoomNights(run)
        self.bookings = SqlBookings(run)
        self.tasks = SqlHousekeeping(run)
        self.savepoint = run.savepoint


@contextmanager
def unit_of(house: House) -> Iterator[Unit]:
    """Open a transaction of the house."""
    with house.writing() as run:
        yield Unit(run)


def add_type(house: House, unit: Unit, code: str = "DBL", overbooking: int = 0) -> RoomTypeId:
    """Store a room type without rooms."""
    room_type = RoomType(
        id=RoomTypeId(new_id()),
        hotel_id=house.hotel_id,
        code=code,
        name="Double",
        base_rate=Money.of(100, "EUR"),
        overbooking_limit=overbooking,
    )
    unit.types.add(room_type)
    return room_type.id


def add_rooms(house: House, unit: Unit, of_type: RoomTypeId, numbers: Sequence[str]) -> list[Room]:
    """Store rooms and count them, as the operation does."""
    rooms = [a_room(house, of_type, number) for number in numbers]
    unit.rooms.add_all(rooms)
    unit.inventory.add_rooms(of_type, len(rooms))
    return rooms


def a_room(house: House, of_type: RoomTypeId, number: str, floor: str | None = None) -> Room:
    """Make a room."""
    return Room(
        id=RoomId(new_id()),
        hotel_id=house.hotel_id,
        room_type_id=of_type,
        number=number,
        floor=floor,
    )


def add_booking(house: House, unit: Unit, of_type: RoomTypeId, **changes: object) -> BookingId:
    """Store a booking of the week without nights."""
    booking = house.booking(room_type_id=of_type, stay=WEEK, **changes)
    unit.bookings.add_all([booking], ())
    return booking.id


def a_period(house: House, room_id: RoomId, period: Stay) -> MaintenancePeriod:
    """Make a maintenance period."""
    return MaintenancePeriod(
        id=MaintenanceId(new_id()),
        hotel_id=house.hotel_id,
        room_id=room_id,
        kind=MaintenanceKind.OUT_OF_ORDER,
        period=period,
        reason="paint",
        created_at=NOON,
    )


def a_task(
    house: House,
    room_id: RoomId,
    kind: TaskKind = TaskKind.STAY_OVER,
    booking_id: BookingId | None = None,
) -> HousekeepingTask:
    """Make a housekeeping task for today."""
    return HousekeepingTask(
        id=TaskId(new_id()),
        hotel_id=house.hotel_id,
        room_id=room_id,
        kind=kind,
        due=FIRST,
        booking_id=booking_id,
        created_at=NOON,
    )


def together(*works: Callable[[], T]) -> list[T | Exception]:
    """Run functions at the same moment and return what each gave or raised."""
    start = Barrier(len(works))

    def one(work: Callable[[], T]) -> T:
        start.wait()
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        futures: list[Future[T]] = [pool.submit(one, work) for work in works]
    raised = [future.exception() for future in futures]
    assert not any(isinstance(e, BaseException) and not isinstance(e, Exception) for e in raised)
    return [f.result() if e is None else e for f, e in zip(futures, raised, strict=True)]  # type: ignore[misc]  # BaseExceptions are refused above
