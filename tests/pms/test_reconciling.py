"""One reconciliation ends where the other system is, whatever came before it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing, suppress
from datetime import date, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hotelcore import operations as op
from hotelcore.clock import FixedClock
from hotelcore.core import HotelCore
from hotelcore.domain.bookings import Booking, BookingStatus
from hotelcore.domain.pms import PmsResource
from hotelcore.errors import ActionRefused, NotFound, PmsFailure, RoomTaken
from hotelcore.ids import BookingId, GuestId, RoomTypeId
from hotelcore.lists import RoomFilter
from hotelcore.operations.pms_sync import SyncReport
from hotelcore.pms import PmsSnapshot, RemoteBooking, RemoteBookingStatus, RemoteRoom, fetch
from hotelcore.testing import ScriptedPms
from tests.operations.recount import counted_units, misplaced_nights, recounted_units, untold
from tests.operations.reservations import KEEP
from tests.operations.small_hotel import NOON, SmallHotel
from tests.pms.remote import (
    SUITE,
    TYPE,
    booking,
    bookings_of,
    connected,
    guest,
    sync,
)

NUMBERS = range(4)
STAYING = (BookingStatus.CONFIRMED, BookingStatus.IN_HOUSE)
MOVING = ("hc_pms_config", "hc_audit_log", "hc_audit_head")

Step = tuple[Any, ...]

_BOOKINGS = st.tuples(
    st.just("booking"),
    st.sampled_from(NUMBERS),
    st.fixed_dictionaries(
        {
            "begins": st.integers(-3, 5),
            "nights": st.integers(0, 4),
            "status": st.sampled_from(RemoteBookingStatus),
            "room_type_external_id": st.sampled_from(["t1", "t2"]),
            "guest_external_id": st.sampled_from(["g0", "g1", "g2"]),
            "adults": st.integers(1, 3),
        }
    ),
)
_ROOMS = st.tuples(st.just("rooms"), st.permutations(["000", "001", "002", "003", "S00", "S01"]))
_SYNCS = st.tuples(st.just("sync"), st.integers(0, 1_000))
_AT_THE_DESK = st.tuples(st.sampled_from(["check in", "assign"]), st.sampled_from(NUMBERS))
_DAYS = st.just(("close the day",))
STEPS = st.lists(
    st.one_of(_BOOKINGS, _BOOKINGS, _BOOKINGS, _ROOMS, _SYNCS, _SYNCS, _AT_THE_DESK, _DAYS),
    min_size=2,
    max_size=16,
)


class Mangling:
    """A way to here on which records are lost, come twice and change places."""

    def __init__(self) -> None:
        self.chance: Random | None = None

    def __call__(self, records: Sequence[Any]) -> Sequence[Any]:
        """Mangle what is sent, where a chance is set."""
        if self.chance is None:
            return records
        chance = self.chance
        kept = [r for r in records if chance.random() < 0.8]
        again = [record for record in kept if chance.random() < 0.3]
        return chance.sample(kept + again, len(kept) + len(again))


def act(hotel: SmallHotel, pms: ScriptedPms, way: Mangling, step: Step) -> None:
    """Do one thing, there or here; what the hotel's rules refuse is not done."""
    match step:
        case ("booking", number, fields):
            pms.put(booking(number, **fields))
        case ("rooms", numbers):
            pms.put(*rooms(numbers))
        case ("sync", seed):
            way.chance = Random(seed)
            with suppress(PmsFailure):  # what a record names may have been lost
                hotel.desk().run(op.sync_pms_data, snapshot=fetch(pms))
            way.chance = None
        case ("close the day",):
            hotel.close_day()
        case ("check in", number):
            with suppress(ActionRefused, RoomTaken, NotFound):
                hotel.desk().run(op.check_in_guest, booking_id=ours(hotel, number))
        case ("assign", number):
            with suppress(ActionRefused, RoomTaken, NotFound):
                hotel.desk().run(op.assign_room, booking_id=ours(hotel, number))
        case _:
            raise AssertionError(step)


def ours(hotel: SmallHotel, number: int) -> BookingId:
    """Return the id of a booking here; `NotFound` while there is none."""
    with hotel.desk().reading() as uow:
        return uow.bookings.by_confirmation(f"PMS-{number}").id


def rooms(numbers: Sequence[str]) -> list[RemoteRoom]:
    """Return the rooms there, doubles and two suites, with those numbers."""
    return [
        RemoteRoom(
            external_id=f"r{place}",
            room_type_external_id="t1" if place < 4 else "t2",
            number=number,
        )
        for place, number in enumerate(numbers)
    ]


def mapped(hotel: SmallHotel, kind: PmsResource, external_ids: Sequence[str]) -> dict[str, Any]:
    """Return our ids of some records there."""
    with hotel.desk().reading() as uow:
        found = uow.pms.mappings(kind, external_ids)
    return {key: found[key].internal_id for key in found}


def agrees(hotel: SmallHotel, record: RemoteBooking, ours: Booking | None, today: date) -> bool:
    """Tell whether a booking here is the one there: not coming, or coming alike."""
    late = record.stay.arrival < today
    comes = record.status is RemoteBookingStatus.CONFIRMED or (
        record.status is RemoteBookingStatus.NO_SHOW and not late
    )
    if ours is None:
        return not comes or record.stay.is_over(today)
    if not comes:
        return ours.status in (BookingStatus.CANCELLED, BookingStatus.NO_SHOW)
    types = mapped(hotel, PmsResource.ROOM_TYPE, [record.room_type_external_id])
    guests = mapped(hotel, PmsResource.GUEST, [record.guest_external_id])
    return (ours.status in STAYING, ours.stay, ours.room_type_id, ours.guest_id, ours.adults) == (
        True,
        record.stay,
        RoomTypeId(types[record.room_type_external_id]),
        GuestId(guests[record.guest_external_id]),
        record.adults,
    )


def check_rooms(hotel: SmallHotel, snapshot: PmsSnapshot) -> None:
    """See that every room there is one here, of that number and type, and no other is."""
    ours = mapped(hotel, PmsResource.ROOM, [record.external_id for record in snapshot.rooms])
    with hotel.desk().reading() as uow:
        here = {known.id: known for known in uow.rooms.page(RoomFilter(), limit=100).items}
        types = {known.id: known.code for known in uow.room_types.all()}
    told = {
        ours[record.external_id]: (
            record.number,
            {"t1": "DBL", "t2": "STE"}[record.room_type_external_id],
        )
        for record in snapshot.rooms
    }
    assert {key: (known.number, types[known.room_type_id]) for key, known in here.items()} == told


@pytest.mark.long
@settings(max_examples=40)
@given(steps=STEPS)
def test_one_reconciliation_ends_where_the_other_system_is(
    core: HotelCore, steps: list[Step]
) -> None:
    """Whatever was lost, doubled and disordered, and whatever the desk did meanwhile."""
    clock, way = FixedClock(NOON), Mangling()
    with closing(HotelCore(core.engine, clock=clock)) as moving:
        hotel, pms = connected(moving, clock, rules=KEEP), ScriptedPms(on_the_way=way)
        pms.put(TYPE, SUITE, *(guest(number) for number in range(3)))
        pms.put(*rooms(["000", "001", "002", "003", "S00", "S01"]))
        sync(hotel, pms)
        for step in steps:
            act(hotel, pms, way, step)
        snapshot = fetch(pms)
        before = bookings_of(hotel)
        report = hotel.desk().run(op.sync_pms_data, snapshot=snapshot)
        check(hotel, snapshot, report, before)
        rows = hotel.rows(without=MOVING)
        again = hotel.desk().run(op.sync_pms_data, snapshot=snapshot)
        assert again.bookings.created == again.bookings.updated == again.rooms.updated == 0
        assert again.not_followed == report.not_followed
        assert hotel.rows(without=MOVING) == rows


def check(
    hotel: SmallHotel, snapshot: PmsSnapshot, report: SyncReport, before: dict[str, Booking]
) -> None:
    """See that what is here is what is there, and that all that is not was told."""
    here, today = bookings_of(hotel), hotel.today
    stuck = {each.external_id for each in report.not_followed}
    for record in snapshot.bookings:
        known = here.get(record.confirmation_number)
        if record.external_id in stuck:
            assert known == before.get(record.confirmation_number)
            assert not agrees(hotel, record, known, today)
        elif not (known and is_extended(record, known, today)):
            assert agrees(hotel, record, known, today), (record, known)
    check_rooms(hotel, snapshot)
    assert counted_units(hotel) == recounted_units(hotel)
    assert misplaced_nights(hotel) == []
    assert untold(hotel) == []
    fees = [
        row
        for row in hotel.rows()["hc_folio_line"]
        if {"no_show_fee", "cancellation_fee"} & set(map(str, row))
    ]
    assert fees == []
    assert hotel.core.prove(hotel.hotel_id).ok
    taken = report.bookings
    assert taken.created + taken.updated + taken.unchanged + len(stuck) == len(snapshot.bookings)


def is_extended(record: RemoteBooking, ours: Booking, today: date) -> bool:
    """Tell whether the night audit kept a guest who should have left there."""
    return (
        ours.status is BookingStatus.IN_HOUSE
        and record.stay.departure < today
        and ours.stay.departure >= today - timedelta(days=1)
    )
