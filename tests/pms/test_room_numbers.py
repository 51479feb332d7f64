"""A room that has another number there has it here, and no room is made of a number alone."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hotelcore import operations as op
from hotelcore.core import HotelCore
from hotelcore.domain.rooms import Room, RoomCondition
from hotelcore.errors import PmsFailure
from hotelcore.events import catalogue as fact
from hotelcore.lists import RoomFilter
from hotelcore.operations.pms_sync import SyncReport, Taken
from hotelcore.pms import RemoteRoom, RemoteRoomType
from hotelcore.testing import ScriptedPms
from tests.operations.recount import hearing, untold
from tests.operations.small_hotel import SmallHotel, eur
from tests.pms.remote import TYPE, booking, connected, filled, guest, room, sync

MOVING = ("hc_pms_config", "hc_audit_log", "hc_audit_head")


def rooms_of(hotel: SmallHotel) -> dict[str, Room]:
    """Read all rooms by number."""
    with hotel.desk().reading() as uow:
        return {known.number: known for known in uow.rooms.page(RoomFilter(), limit=100).items}


def numbered(number: int, now: str, condition: RoomCondition | None = None) -> RemoteRoom:
    """Return a room there that has another number now."""
    return attrs.evolve(room(number, condition), number=now)


def synced(hotel: SmallHotel, pms: ScriptedPms) -> SyncReport:
    """Take everything over, twice: the second time nothing moves."""
    report = sync(hotel, pms)
    rows = hotel.rows(without=MOVING)
    assert sync(hotel, pms).rooms.updated == 0
    assert hotel.rows(without=MOVING) == rows
    assert hotel.core.prove(hotel.hotel_id).ok
    return report


def test_a_renumbered_room_is_no_room_more(hotel: SmallHotel) -> None:
    """It is the room that it was, under its new number, and no more is on sale than before."""
    pms = filled()
    synced(hotel, pms)
    before, heard = rooms_of(hotel), hearing(hotel.core)
    pms.put(numbered(0, "100", RoomCondition.DIRTY))
    report = synced(hotel, pms)
    assert report.rooms == Taken(created=0, updated=1, unchanged=5)
    now = rooms_of(hotel)
    assert set(now) == set(before) - {"000"} | {"100"}
    assert (now["100"].id, now["100"].condition) == (before["000"].id, RoomCondition.DIRTY)
    with hotel.desk().reading() as uow:
        counted = uow.inventory.nights(booking(0).stay, hotel.type_id)
    assert [night.rooms for night in counted] == [6, 6]
    assert [type(event) for event in heard] == [fact.RoomStatusChanged, fact.PmsRoomSynced]


@pytest.mark.long
@settings(max_examples=20)
@given(order=st.permutations(["000", "001", "002", "003", "004", "005", "006"]))
def test_rooms_change_numbers_in_one_sync(core: HotelCore, order: list[str]) -> None:
    """Rooms swap their numbers and pass them on, also to a room that is new."""
    hotel, pms = connected(core), filled()
    sync(hotel, pms)
    before = rooms_of(hotel)
    pms.put(*(numbered(place, number) for place, number in enumerate(order)))
    report = synced(hotel, pms)
    now = rooms_of(hotel)
    assert {before[f"{place:03}"].id: order[place] for place in range(6)}.items() <= {
        known.id: number for number, known in now.items()
    }.items()
    assert sorted(now) == sorted(order)
    assert report.rooms.created == 1
    assert untold(hotel) == []


def test_a_number_that_another_room_has_is_named(hotel: SmallHotel) -> None:
    """A room here that is unknown there stays, and the record that is at odds with it is named."""
    pms = ScriptedPms()
    pms.put(TYPE, room(0))
    sync(hotel, pms)
    before = hotel.rows()
    pms.put(numbered(0, "001"))
    with pytest.raises(PmsFailure) as refused:
        sync(hotel, pms)
    assert str(refused.value) == (
        "scripted: room r0 has the number 001, which another has here: send both at once if both "
        "have other numbers now, or else correct it there"
    )
    assert hotel.rows() == before


def test_a_half_of_a_swap_is_refused_and_the_whole_is_taken(hotel: SmallHotel) -> None:
    """If one of two rooms is lost on the way, the next run with both brings both in line."""
    pms = filled()
    sync(hotel, pms)
    before = rooms_of(hotel)
    pms.put(numbered(0, "001"), numbered(1, "000"))
    lost = ScriptedPms(on_the_way=lambda records: [r for r in records if r.external_id != "r1"])
    lost.put(TYPE, numbered(0, "001"), numbered(1, "000"))
    with pytest.raises(PmsFailure, match="room r0 has the number 001"):
        sync(hotel, lost)
    synced(hotel, pms)
    now = rooms_of(hotel)
    assert (now["001"].id, now["000"].id) == (before["000"].id, before["001"].id)


def test_two_rooms_there_of_one_number_are_named(hotel: SmallHotel) -> None:
    """Two known rooms that get one number are at odds, and so is a new one beside a known one."""
    pms = filled()
    sync(hotel, pms)
    pms.put(numbered(0, "100"), numbered(1, "100"))
    with pytest.raises(PmsFailure, match=r"one room here \(r0, r1\)"):
        sync(hotel, pms)
    pms.put(room(0), room(1), numbered(9, "002"))
    with pytest.raises(PmsFailure, match=r"one room here \(r2, r9\)"):
        sync(hotel, pms)


def test_a_record_that_names_what_nobody_knows_is_named(hotel: SmallHotel) -> None:
    """A room and a booking of an unknown type are named with the type."""
    pms = ScriptedPms()
    pms.put(attrs.evolve(room(0), room_type_external_id="t9"))
    with pytest.raises(PmsFailure) as refused:
        sync(hotel, pms)
    names = "names the room_type t9, which was never sent: fetch everything again"
    assert str(refused.value) == f"scripted: room r0 {names}"
    pms.put(TYPE, room(0), guest(0), booking(0, room_type_external_id="t9"))
    with pytest.raises(PmsFailure) as refused:
        sync(hotel, pms)
    assert str(refused.value) == f"scripted: booking b0 {names}"


def test_of_two_that_are_one_the_new_one_is_named(hotel: SmallHotel) -> None:
    """If only one of them comes, it is named, and that the other came before."""
    sync(hotel, filled())
    pms = ScriptedPms()
    pms.put(TYPE, attrs.evolve(room(0), external_id="other"), room(8))
    with pytest.raises(PmsFailure) as refused:
        sync(hotel, pms)
    assert str(refused.value) == (
        "scripted: two records there are one room here (other, and one of an earlier run): "
        "correct one there"
    )
    twin = RemoteRoomType(external_id="twin", code="DBL", name="Double", base_rate=eur(1))
    pms = ScriptedPms()
    pms.put(twin)
    with pytest.raises(PmsFailure, match=r"one room_type here \(twin, and one of an earlier run\)"):
        sync(hotel, pms)


def test_a_room_that_was_added_here_is_adopted_under_its_number(hotel: SmallHotel) -> None:
    """A room that gets the number of none that is known there is the hotel's own, and is mapped."""
    hotel.desk().run(op.add_rooms, room_type_id=hotel.type_id, numbers=["100"])
    pms = filled()
    pms.put(numbered(9, "100"))
    report = synced(hotel, pms)
    assert (report.rooms.created, len(rooms_of(hotel))) == (7, 7)
