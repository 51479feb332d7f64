"""An empty list is nothing to do: no method of a repository asks the database anything for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

import pytest

from hotelcore import Permission
from hotelcore.domain.pms import PmsResource
from hotelcore.domain.rooms import RoomCondition
from hotelcore.errors import HotelcoreError, NotFound
from hotelcore.ids import BookingId, RoomId, RoomTypeId, new_id
from hotelcore.operations import operation
from hotelcore.unit_of_work import UnitOfWork
from hotelcore.watching import StatementRan
from tests.small_hotel import SmallHotel, open_hotel, shared_core

Ask: TypeAlias = Callable[[UnitOfWork], object]

TYPE, ROOM, BOOKING = RoomTypeId(new_id()), RoomId(new_id()), BookingId(new_id())


def _never() -> HotelcoreError:
    return NotFound("mapping", "at all")


OF_NOTHING: Mapping[str, Ask] = {
    "guests.add_all": lambda uow: uow.guests.add_all([]),
    "guests.get_all": lambda uow: uow.guests.get_all([]),
    "guests.share_all": lambda uow: uow.guests.share_all([]),
    "rooms.add_all": lambda uow: uow.rooms.add_all([]),
    "rooms.get_all": lambda uow: uow.rooms.get_all([]),
    "rooms.lock": lambda uow: uow.rooms.lock([]),
    "rooms.set_condition": lambda uow: uow.rooms.set_condition([], RoomCondition.CLEAN),
    "inventory.lock": lambda uow: uow.inventory.lock(TYPE, []),
    "inventory.sell": lambda uow: uow.inventory.sell(TYPE, [], held=False),
    "inventory.release": lambda uow: uow.inventory.release(TYPE, [], held=False),
    "inventory.commit_held": lambda uow: uow.inventory.commit_held(TYPE, []),
    "inventory.block": lambda uow: uow.inventory.block(TYPE, [], off_count=True, force=False),
    "inventory.unblock": lambda uow: uow.inventory.unblock(TYPE, [], off_count=True),
    "room_nights.hold": lambda uow: uow.room_nights.hold(ROOM, BOOKING, []),
    "room_nights.hold at once": lambda uow: uow.room_nights.hold(ROOM, BOOKING, [], at_once=True),
    "bookings.add_all": lambda uow: uow.bookings.add_all([], []),
    "bookings.get_all": lambda uow: uow.bookings.get_all([]),
    "bookings.by_confirmations": lambda uow: uow.bookings.by_confirmations([]),
    "bookings.nights_of_each": lambda uow: uow.bookings.nights_of_each([]),
    "bookings.put_nights": lambda uow: uow.bookings.put_nights([]),
    "bookings.mark_posted": lambda uow: uow.bookings.mark_posted([]),
    "keys.issue_all": lambda uow: uow.keys.issue_all([]),
    "keys.revoke_all": lambda uow: uow.keys.revoke_all([], at=uow.now()),
    "folios.open_all": lambda uow: uow.folios.open_all([]),
    "folios.of_bookings": lambda uow: uow.folios.of_bookings([]),
    "folios.post": lambda uow: uow.folios.post([]),
    "pms.mappings": lambda uow: uow.pms.mappings(PmsResource.ROOM, []),
    "pms.put_mappings": lambda uow: uow.pms.put_mappings([], twice=_never),
}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def hotel(request: pytest.FixtureRequest) -> Iterator[SmallHotel]:
    """Share a hotel on each kind of database."""
    with shared_core(request) as core:
        yield open_hotel(core)


@operation(Permission.HOTEL_MANAGE)
def ask_for(uow: UnitOfWork, ask: Ask) -> None:
    """Ask the repositories something in a unit that writes."""
    ask(uow)


def sent_for(hotel: SmallHotel, ask: Ask) -> list[str]:
    """Name the statements of a unit that asks for this."""
    sent: list[str] = []

    def note(_: object, statement: StatementRan) -> None:
        sent.append(statement.name)

    with hotel.core.watch.statement_ran.connected_to(note):
        hotel.desk.run(ask_for, ask)
    return sent


@pytest.mark.parametrize("name", OF_NOTHING)
def test_an_empty_list_is_nothing_to_do(hotel: SmallHotel, name: str) -> None:
    """A unit that hands an empty list to a repository sends what one sends that asks nothing."""
    plain = sent_for(hotel, lambda _: None)
    assert plain  # the end of the audit log
    assert sent_for(hotel, OF_NOTHING[name]) == plain
