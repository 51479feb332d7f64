"""Records that are asked for by many ids at once: each that was asked for, and nobody else's."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias
from uuid import UUID

import pytest

from hotelcore import HotelCore
from hotelcore.errors import InvalidInput, NotFound
from hotelcore.ids import BookingId, RoomId, new_id
from hotelcore.lists import BookingFilter, GuestFilter
from hotelcore.operations import open_folio, register_guest
from hotelcore.unit_of_work import UnitOfWork
from tests.small_hotel import SmallHotel, open_hotel, shared_core

# More than two statements take, so that the last of three goes for one id.
MANY = 1_001

Ask: TypeAlias = Callable[[UnitOfWork], Any]  # Any: a repository of each kind, or its method
REPOSITORIES: Mapping[str, Ask] = {
    "guest": lambda uow: uow.guests,
    "room": lambda uow: uow.rooms,
    "booking": lambda uow: uow.bookings,
}
IDS: Mapping[str, Callable[[SmallHotel, UnitOfWork], list[UUID]]] = {
    "guest": lambda _, uow: [each.id for each in uow.guests.page(GuestFilter()).items],
    "room": lambda hotel, _: [each.id for each in hotel.rooms],
    "booking": lambda _, uow: [each.id for each in uow.bookings.page(BookingFilter()).items],
}

OF_EACH: Sequence[Ask] = (
    lambda uow: uow.folios.of_bookings,
    lambda uow: uow.bookings.nights_of_each,
)

each_kind = pytest.mark.parametrize("kind", REPOSITORIES)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def core(request: pytest.FixtureRequest) -> Iterator[HotelCore]:
    """Share a core on each kind of database."""
    with shared_core(request) as opened:
        yield opened


def new_hotel(core: HotelCore) -> SmallHotel:
    """Open a hotel with six guests, six rooms and six bookings."""
    hotel = open_hotel(core, rooms=6)
    for number in range(5):
        hotel.desk.run(register_guest, last_name=f"Guest {number}")
    for nights in range(1, 7):
        hotel.booked(nights)
    return hotel


@each_kind
def test_many_are_found_as_one_by_one(core: HotelCore, kind: str) -> None:
    """Any of the ids, in any order, twice too, give the records that `get` gives, and no other."""
    dice, hotel = random.Random(6), new_hotel(core)
    with hotel.desk.reading() as uow:
        repository, ids = REPOSITORIES[kind](uow), IDS[kind](hotel, uow)
        for number in range(7):
            wanted = dice.sample(ids, number) * 2
            found = repository.get_all(wanted)
            assert found == {key: repository.get(key) for key in wanted}


@each_kind
def test_the_first_unknown_id_is_named(core: HotelCore, kind: str) -> None:
    """An id of another hotel's is as unknown as one that nobody has; of several, the first."""
    hotel, other = new_hotel(core), new_hotel(core)
    with other.desk.reading() as uow:
        foreign = IDS[kind](other, uow)[0]
    with hotel.desk.reading() as uow:
        known = IDS[kind](hotel, uow)
        for unknown, later in ((foreign, new_id()), (new_id(), foreign)):
            with pytest.raises(NotFound) as raised:
                REPOSITORIES[kind](uow).get_all([*known, unknown, *known, later])
            assert str(raised.value) == str(NotFound(kind, unknown))


@each_kind
def test_what_is_no_id_is_refused(core: HotelCore, kind: str) -> None:
    """A text in place of an id is told to be none, and so is one id in place of several."""
    hotel = new_hotel(core)
    with hotel.desk.reading() as uow:
        repository, known = REPOSITORIES[kind](uow), IDS[kind](hotel, uow)
        for wanted in (["42"], [*known, "42"], known[0], None, 5, [[known[0]]]):
            with pytest.raises(InvalidInput):
                repository.get_all(wanted)
            for ask in OF_EACH:
                with pytest.raises(InvalidInput):
                    ask(uow)(wanted)


@pytest.mark.parametrize("wanted", ["R-2026-1", b"R-2026-1", None, 5, [5], [[]], ["x" * 41], [""]])
def test_what_are_no_confirmation_numbers_is_refused(core: HotelCore, wanted: Any) -> None:
    """One number in place of several is told, and so is what cannot be one."""
    with new_hotel(core).desk.reading() as uow:
        with pytest.raises(InvalidInput, match=r"^confirmation_numbers: "):
            uow.bookings.by_confirmations(wanted)
        assert uow.bookings.by_confirmations(["R-2026-1"]) == {}


def test_a_confirmation_number_that_is_not_found_is_not_repeated(core: HotelCore) -> None:
    """What was typed may be a guest's name, which stays out of errors."""
    typed = "Ada Lovelace, +49 30 1234567"
    with new_hotel(core).desk.reading() as uow, pytest.raises(NotFound) as raised:
        uow.bookings.by_confirmation(typed)
    assert str(raised.value) == "this hotel has no booking with this confirmation number"
    assert typed not in repr(raised.value)


def test_a_list_may_be_longer_than_a_statement_takes(core: HotelCore) -> None:
    """Of a thousand rooms and one each is found, on a database that limits parameters too."""
    hotel = open_hotel(core, rooms=MANY)
    ids = [room.id for room in hotel.rooms]
    with hotel.desk.reading() as uow:
        assert uow.rooms.get_all(ids) == {room.id: room for room in hotel.rooms}
        last = RoomId(new_id())
        with pytest.raises(NotFound, match=str(last)):
            uow.rooms.get_all([*ids, last])


def test_each_booking_has_its_own_nights(core: HotelCore) -> None:
    """The nights come by booking, in order; a booking that nobody has in the hotel has none."""
    hotel, other = open_hotel(core), open_hotel(core)
    bookings = [hotel.booked(nights)[0].id for nights in (2, 1, 3)]
    asked = [other.booked()[0].id, *reversed(bookings), bookings[0], BookingId(new_id())]
    with hotel.desk.reading() as uow:
        found = uow.bookings.nights_of_each(asked)
        assert found == {key: uow.bookings.nights(key) for key in asked}
    assert [len(found[key]) for key in asked] == [0, 3, 1, 2, 2, 0]


def test_each_booking_has_its_own_folios(core: HotelCore) -> None:
    """The folios come by booking, oldest first; a booking that nobody has in the hotel has none."""
    hotel, other = open_hotel(core), open_hotel(core)
    bookings = [hotel.booked()[0] for _ in range(3)]
    for booking in (bookings[2], bookings[0], bookings[0]):
        hotel.desk.run(open_folio, booking_id=booking.id)
    strange = [other.booked()[0].id, BookingId(new_id())]
    asked = [*strange, *(booking.id for booking in bookings), bookings[0].id]
    with hotel.desk.reading() as uow:
        found = uow.folios.of_bookings(asked)
        assert found == {key: uow.folios.of_booking(key) for key in asked}
    assert [len(found[booking.id]) for booking in bookings] == [3, 1, 2]
    assert [found[key] for key in strange] == [(), ()]
