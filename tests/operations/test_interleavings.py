"""Two commands at the same time on PostgreSQL: the second comes while the first is not committed.

The second is let on until it has ended or waits for a lock of the first, so each order is certain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from functools import partial

import pytest
from sqlalchemy import text

from hotelcore import operations as op
from hotelcore.clock import FixedClock
from hotelcore.core import HotelCore
from hotelcore.domain.rooms import MaintenanceKind
from hotelcore.errors import HotelcoreError, Refused
from hotelcore.ids import RoomId
from hotelcore.unit_of_work import UnitOfWork
from tests.operations.reservations import book, stay
from tests.operations.small_hotel import NOON, SmallHotel, open_hotel, refusal

Work = Callable[[UnitOfWork], object]

_WAITING = text(
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


@pytest.fixture
def hotel(postgresql_url: str) -> Iterator[SmallHotel]:
    """Return a hotel of four rooms on PostgreSQL."""
    clock = FixedClock(NOON)
    with closing(HotelCore(postgresql_url, clock=clock)) as core:
        core.create_schema()
        yield open_hotel(core, clock)


def attempt(hotel: SmallHotel, work: Work) -> HotelcoreError | None:
    """Do ``work`` in one transaction, tried once, and return the error that it ends with."""

    def once() -> None:
        with hotel.desk().transaction() as uow:
            work(uow)

    return refusal(once)


def let_on(hotel: SmallHotel, running: Future[HotelcoreError | None], *, waiting: int = 1) -> None:
    """Return when the work that runs has ended, or so many sessions wait for a lock."""
    with hotel.core.engine.connect() as connection:
        while not wait([running], timeout=0.01).done:
            if connection.execute(_WAITING).scalar_one() >= waiting:
                return


def overtaken(hotel: SmallHotel, first: Work, second: Work) -> HotelcoreError | None:
    """Do ``second`` while ``first`` has not committed yet, and return how the second ended."""
    with ThreadPoolExecutor(1) as thread:
        with hotel.desk().transaction() as uow:
            first(uow)
            running = thread.submit(attempt, hotel, second)
            let_on(hotel, running)
        return running.result()


def queued(hotel: SmallHotel, holder: Work, *works: Work) -> list[HotelcoreError | None]:
    """Have each work wait in turn behind what ``holder`` has locked; return how they ended."""
    with ThreadPoolExecutor(len(works)) as threads:
        running = []
        with hotel.desk().transaction() as uow:
            holder(uow)
            for number, work in enumerate(works, start=1):
                running.append(threads.submit(attempt, hotel, work))
                let_on(hotel, running[-1], waiting=number)
        return [each.result() for each in running]


# -- a room off sale has nobody in it ---------------------------------------------------------


def checking_in(hotel: SmallHotel, room_id: RoomId) -> Work:
    """Return the check-in of a day use to the room."""
    booking, _ = book(hotel, stay(0, 0))
    return partial(op.check_in_guest, booking_id=booking.id, room_id=room_id)


def moving(hotel: SmallHotel, room_id: RoomId) -> Work:
    """Return the move of a guest who leaves today to the room."""
    booking, _ = book(hotel, stay(0, 1))
    hotel.desk().run(op.check_in_guest, booking_id=booking.id, room_id=hotel.room_ids[0])
    hotel.desk().run(op.amend_stay, booking_id=booking.id, stay=stay(0, 0))
    return partial(op.move_room, booking_id=booking.id, room_id=room_id, reason="noise")


def blocking(room_id: RoomId) -> Work:
    """Return the command that takes the room off sale from today on."""
    return partial(
        op.block_room,
        room_id=room_id,
        kind=MaintenanceKind.OUT_OF_ORDER,
        period=stay(0, 2),
        reason="water damage",
    )


@pytest.mark.parametrize("entering", [checking_in, moving])
@pytest.mark.parametrize("entering_first", [True, False])
def test_a_room_is_never_entered_and_taken_off_sale_at_once(
    hotel: SmallHotel, entering: Callable[[SmallHotel, RoomId], Work], entering_first: bool
) -> None:
    """Whoever comes second is refused, though a guest without nights to come holds no night."""
    room_id = hotel.room_ids[1]
    works = [entering(hotel, room_id), blocking(room_id)]
    first, second = works if entering_first else reversed(works)
    assert isinstance(overtaken(hotel, first, second), Refused)
    assert hotel.core.prove(hotel.hotel_id).ok
