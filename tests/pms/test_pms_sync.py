"""What comes from a property management system is taken over exactly once."""

from __future__ import annotations

import asyncio
from contextlib import closing
from random import Random
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hotelcore import operations as op
from hotelcore.access import Role
from hotelcore.clock import FixedClock
from hotelcore.core import HotelCore
from hotelcore.domain.bookings import BookingStatus
from hotelcore.domain.cancellation import CancellationPolicy, Fee, FeeKind
from hotelcore.domain.hotels import HouseRules
from hotelcore.domain.rooms import RoomCondition
from hotelcore.errors import (
    AlreadyExists,
    HotelcoreError,
    InvalidInput,
    NotFound,
    PermissionDenied,
    PmsFailure,
)
from hotelcore.events import catalogue as fact
from hotelcore.lists import AuditFilter, RoomFilter
from hotelcore.operations.pms_sync import SyncReport, Taken
from hotelcore.pms import (
    PmsSnapshot,
    RemoteBooking,
    RemoteBookingStatus,
    RemoteGuest,
    RemoteRoom,
    RemoteRoomType,
    adapter_of,
    fetch,
    fetch_async,
    known_vendors,
)
from hotelcore.testing import AsyncScriptedPms, ScriptedPms
from tests.operations.recount import hearing
from tests.operations.reservations import KEEP
from tests.operations.small_hotel import NOON, TODAY, SmallHotel, eur, open_hotel
from tests.pms.remote import (
    TYPE,
    booking,
    bookings_of,
    connected,
    filled,
    guest,
    room,
    sync,
)

UNCHANGED = Taken(created=0, updated=0, unchanged=0)


def test_a_sync_adopts_what_is_known_and_adds_what_is_new(hotel: SmallHotel) -> None:
    """Our room type and four rooms are recognised, two rooms, guests and bookings are added."""
    report = sync(hotel, filled())
    assert report == SyncReport(
        room_types=Taken(created=1, updated=0, unchanged=0),
        rooms=Taken(created=6, updated=0, unchanged=0),
        guests=Taken(created=3, updated=0, unchanged=0),
        bookings=Taken(created=3, updated=0, unchanged=0),
    )
    with hotel.desk().reading() as uow:
        assert len(uow.rooms.page(RoomFilter(), limit=100).items) == 6
        assert len(uow.room_types.all()) == 1
        taken = uow.inventory.nights(booking(0).stay, hotel.type_id)
    assert [night.committed for night in taken] == [3, 3]
    assert {b.total for b in bookings_of(hotel).values()} == {eur(16_001)}


def test_a_second_run_changes_nothing(hotel: SmallHotel) -> None:
    """The same snapshot again moves no row but the connection's and the audit log's."""
    pms = filled()
    sync(hotel, pms)
    moving = ("hc_pms_config", "hc_audit_log", "hc_audit_head")
    before = hotel.rows(without=moving)
    report = sync(hotel, pms)
    assert hotel.rows(without=moving) == before
    with hotel.desk().reading() as uow:
        assert uow.pms.current().last_synced_at == NOON
    assert report.bookings == Taken(created=0, updated=0, unchanged=3)


def test_what_is_new_has_what_was_told_there(hotel: SmallHotel) -> None:
    """Types, rooms, guests and bookings that are made here have the data of the records there."""
    pms = ScriptedPms()
    suite = RemoteRoomType(external_id="t2", code="STE", name="Suite", base_rate=eur(30_000))
    who = RemoteGuest(
        external_id="g9",
        last_name="Hopper",
        first_name="Grace",
        email="grace@example.org",
        phone="+1 555 0100",
    )
    remote = attrs.evolve(
        booking(9), guest_external_id="g9", room_type_external_id="t2", adults=3, children=2
    )
    penthouse = attrs.evolve(room(9, RoomCondition.DIRTY), room_type_external_id="t2")
    pms.put(TYPE, suite, who, remote, penthouse, room(8))
    heard = hearing(hotel.core)
    sync(hotel, pms)
    made = bookings_of(hotel)["PMS-9"]
    assert not [event for event in heard if isinstance(event, fact.BookingUpdated)]
    assert (made.adults, made.children, made.channel, made.stay) == (3, 2, "pms", remote.stay)
    with hotel.desk().reading() as uow:
        found = uow.guests.get(made.guest_id)
        added = uow.room_types.get(made.room_type_id)
        rooms = {known.number: known for known in uow.rooms.page(RoomFilter()).items}
        nights = uow.bookings.nights(made.id)
    assert (found.last_name, found.first_name) == ("Hopper", "Grace")
    assert (found.email, found.phone) == ("grace@example.org", "+1 555 0100")
    assert (added.code, added.name, added.base_rate) == ("STE", "Suite", eur(30_000))
    assert (rooms["009"].room_type_id, rooms["009"].condition) == (added.id, RoomCondition.DIRTY)
    assert (rooms["008"].room_type_id, rooms["008"].condition) == (
        hotel.type_id,
        RoomCondition.CLEAN,
    )
    assert tuple(night.price for night in nights) == remote.nightly_prices


def test_what_was_taken_over_is_reported(hotel: SmallHotel) -> None:
    """Each record is told by our id and the one there, first when it is new, then as it changes."""
    heard = hearing(hotel.core)
    pms = ScriptedPms()
    pms.put(TYPE, room(0), guest(0), booking(0))
    sync(hotel, pms)
    ours = bookings_of(hotel)["PMS-0"]
    synced = [
        fact.PmsGuestSynced(hotel_id=hotel.hotel_id, guest_id=ours.guest_id, external_id="g0"),
        fact.PmsBookingSynced(hotel_id=hotel.hotel_id, booking_id=ours.id, external_id="b0"),
        fact.PmsRoomSynced(hotel_id=hotel.hotel_id, room_id=hotel.room_ids[0], external_id="r0"),
    ]
    assert [event for event in heard if type(event) in map(type, synced)] == synced
    heard.clear()
    pms.put(guest(0, last_name="Renamed"), room(0, RoomCondition.DIRTY), booking(0, nights=3))
    report = sync(hotel, pms)
    assert (report.guests, report.rooms, report.bookings) == (
        Taken(created=0, updated=1, unchanged=0),
    ) * 3
    assert [event for event in heard if type(event) in map(type, synced)] == synced


def test_a_record_may_name_what_was_sent_before(hotel: SmallHotel) -> None:
    """A snapshot of what changed names guests and types of an earlier one."""
    sync(hotel, filled())
    known = bookings_of(hotel)["PMS-1"]
    changed = attrs.evolve(booking(0), guest_external_id="g1")
    new = attrs.evolve(booking(5), guest_external_id="g1")
    hotel.desk().run(op.sync_pms_data, snapshot=PmsSnapshot(bookings=(changed, new)))
    found = bookings_of(hotel)
    assert {found["PMS-0"].guest_id, found["PMS-5"].guest_id} == {known.guest_id}
    assert found["PMS-5"].room_type_id == hotel.type_id


def test_what_is_the_hotels_own_stays(hotel: SmallHotel) -> None:
    """What a record does not say of a guest or a type is not changed by it."""
    pms = filled()
    sync(hotel, pms)
    guest_id = bookings_of(hotel)["PMS-0"].guest_id
    own: Any = {"country": "PRT", "vip": True, "attributes": {"card": 7}}
    hotel.desk().run(op.amend_guest, guest_id=guest_id, last_name="Guest", **own)
    pms.put(guest(0, last_name="Renamed"), attrs.evolve(TYPE, name="Twin", base_rate=eur(1)))
    report = sync(hotel, pms)
    assert (report.guests.updated, report.room_types.updated) == (1, 1)
    with hotel.desk().reading() as uow:
        found, kind = uow.guests.get(guest_id), uow.room_types.get(hotel.type_id)
    assert {name: getattr(found, name) for name in own} == own
    assert found.last_name == "Renamed"
    assert (kind.name, kind.base_rate) == ("Double", eur(10_000))


def test_a_late_guest_who_is_still_expected_there_is_expected_here(core: HotelCore) -> None:
    """Only a no-show there is given up: another change of a late booking is just taken over."""
    clock = FixedClock(NOON)
    with closing(HotelCore(core.engine, clock=clock)) as moving:
        hotel = open_hotel(moving, clock, rules=KEEP)
        hotel.desk().run(op.connect_pms, vendor="scripted", external_hotel_id="H-1")
        pms = filled()
        pms.put(booking(0, begins=0))
        sync(hotel, pms)
        hotel.close_day()
        pms.put(attrs.evolve(booking(0, begins=0), adults=2))
        sync(hotel, pms)
        late = bookings_of(hotel)["PMS-0"]
        assert (late.status, late.adults) == (BookingStatus.CONFIRMED, 2)


def test_a_sync_is_sold_whatever_the_limit(hotel: SmallHotel) -> None:
    """The system there is the master: a full night is sold once more, and the entry says why."""
    pms = filled()
    pms.put(*(guest(number) for number in range(3, 9)))
    pms.put(*(booking(number) for number in range(3, 9)))
    sync(hotel, pms)
    with hotel.desk().reading() as uow:
        taken = uow.inventory.nights(booking(0).stay, hotel.type_id)
        [entry] = uow.audit.page(AuditFilter(operation="sync_pms_data")).items
    assert [night.committed for night in taken] == [9, 9]
    assert entry.reason == "taken over from the property management system"
    assert (entry.resource, entry.business_date) == ("pms_config", TODAY)


def test_a_longer_stay_there_is_longer_here_whatever_the_limit(hotel: SmallHotel) -> None:
    """New nights are sold beyond the limit too, at the prices of the record."""
    pms = filled()
    sync(hotel, pms)
    for _ in range(6):
        hotel.book(1, begins=3)
    pms.put(booking(0, nights=3))
    sync(hotel, pms)
    changed = bookings_of(hotel)["PMS-0"]
    assert (changed.stay, changed.total) == (booking(0, nights=3).stay, eur(24_003))


def test_a_room_is_recognised_in_a_house_of_any_size(hotel: SmallHotel) -> None:
    """Rooms are read page by page, and the one after the first thousand is known too."""
    numbers = [f"N{number:04}" for number in range(1_000)]
    rooms = hotel.desk().run(op.add_rooms, room_type_id=hotel.type_id, numbers=numbers)
    pms = ScriptedPms()
    pms.put(TYPE, attrs.evolve(room(0, RoomCondition.DIRTY), number=numbers[-1]))
    assert sync(hotel, pms).rooms.created == 1
    with hotel.desk().reading() as uow:
        assert uow.rooms.get(rooms[-1].id).condition is RoomCondition.DIRTY


def test_a_booking_of_ours_is_adopted_by_its_number(hotel: SmallHotel) -> None:
    """A booking that we have under the number there is brought in line, not made once more."""
    ours, _ = hotel.desk().run(
        op.create_booking_with_folio,
        guest_id=hotel.guest_id,
        room_type_id=hotel.type_id,
        stay=booking(0, nights=1).stay,
        confirmation_number="PMS-0",
    )
    sync(hotel, filled())
    adopted = bookings_of(hotel)["PMS-0"]
    assert (adopted.id, adopted.stay) == (ours.id, booking(0).stay)
    assert len(bookings_of(hotel)) == 3


@pytest.mark.long
@settings(max_examples=20)
@given(seed=st.integers(0, 10_000))
def test_loss_repetition_and_disorder_are_mended_by_one_reconciliation(
    core: HotelCore, seed: int
) -> None:
    """However a first run was mangled, the next whole one ends where a clean one ends."""
    chance = Random(seed)

    def mangled(records: list[object]) -> list[object]:
        kept = [r for r in records if not isinstance(r, RemoteBooking) or chance.random() < 0.7]
        again = [record for record in kept if chance.random() < 0.3]
        return chance.sample(kept + again, len(kept) + len(again))

    pms, clean = filled(), connected(core)
    noisy = connected(core)
    damaged = ScriptedPms(on_the_way=mangled)  # type: ignore[arg-type]  # any records in, any out
    damaged.put(TYPE, *(room(n) for n in range(6)), *(guest(n) for n in range(3)))
    damaged.put(*(booking(n, nights=1) for n in range(3)))
    sync(noisy, damaged)
    pms.put(booking(1, nights=3), booking(2, status=RemoteBookingStatus.CANCELLED))
    for hotel in (noisy, clean):
        sync(hotel, pms)
    seen = [
        {n: b.stay for n, b in bookings_of(hotel).items() if b.status.holds_nights}
        for hotel in (noisy, clean)
    ]
    assert seen[0] == seen[1]


def test_a_change_of_ours_that_comes_back_changes_nothing(hotel: SmallHotel) -> None:
    """An amendment made here and echoed from there leaves the booking as we stored it."""
    pms = filled()
    sync(hotel, pms)
    ours = bookings_of(hotel)["PMS-1"]
    longer = booking(1, nights=3)
    amended = hotel.desk().run(
        op.amend_stay, booking_id=ours.id, stay=longer.stay, nightly_prices=[eur(8_002)]
    )
    pms.put(longer)
    sync(hotel, pms)
    assert bookings_of(hotel)["PMS-1"] == amended


def test_there_cancelled_is_cancelled_here_and_costs_nothing(hotel: SmallHotel) -> None:
    """A cancellation from there frees the nights and charges no fee, whatever the house's terms."""
    dear = CancellationPolicy(free_days=99, late_fee=Fee(kind=FeeKind.SHARE))
    hotel.desk().run(op.change_house_rules, rules=HouseRules(cancellation=dear))
    pms = filled()
    sync(hotel, pms)
    pms.put(booking(0, status=RemoteBookingStatus.CANCELLED))
    sync(hotel, pms)
    assert bookings_of(hotel)["PMS-0"].status is BookingStatus.CANCELLED
    with hotel.desk().reading() as uow:
        (folio,) = uow.folios.of_booking(bookings_of(hotel)["PMS-0"].id)
        nights = uow.inventory.nights(booking(0).stay, hotel.type_id)
    assert not folio.balance
    assert [night.committed for night in nights] == [2, 2]


def test_there_a_no_show_is_one_here_when_its_day_is_over(core: HotelCore) -> None:
    """On the day of arrival the guest may still come; a later run gives the booking up."""
    clock = FixedClock(NOON)
    with closing(HotelCore(core.engine, clock=clock)) as moving:
        hotel = open_hotel(moving, clock, rules=KEEP)
        hotel.desk().run(op.connect_pms, vendor="scripted", external_hotel_id="H-1")
        pms = filled()
        pms.put(booking(0, begins=0))
        sync(hotel, pms)
        pms.put(booking(0, begins=0, status=RemoteBookingStatus.NO_SHOW))
        assert sync(hotel, pms).bookings.unchanged == 3
        assert bookings_of(hotel)["PMS-0"].status is BookingStatus.CONFIRMED
        hotel.close_day()
        sync(hotel, pms)
        assert bookings_of(hotel)["PMS-0"].status is BookingStatus.NO_SHOW


def test_who_comes_follows(hotel: SmallHotel) -> None:
    """Guest, party and channel are taken over, in house too; prices that are fixed stay."""
    pms = filled()
    pms.put(booking(0, begins=0))
    sync(hotel, pms)
    other = attrs.evolve(
        booking(0, begins=0),
        guest_external_id="g1",
        adults=3,
        children=2,
        channel="web",
        nightly_prices=(eur(1), eur(2)),
    )
    pms.put(other)
    assert sync(hotel, pms).bookings.updated == 1
    found = bookings_of(hotel)
    taken = found["PMS-0"]
    assert taken.guest_id == found["PMS-1"].guest_id
    assert (taken.adults, taken.children, taken.channel) == (3, 2, "web")
    assert taken.total == eur(16_001)
    hotel.check_in(taken)
    pms.put(attrs.evolve(other, adults=1))
    sync(hotel, pms)
    assert bookings_of(hotel)["PMS-0"].adults == 1


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize(
    "again",
    [
        attrs.evolve(TYPE, external_id="other"),
        attrs.evolve(room(0), external_id="other"),
        attrs.evolve(booking(0), external_id="other"),
    ],
)
def test_two_records_there_that_are_one_here_are_refused(
    hotel: SmallHotel, again: RemoteRoomType | RemoteRoom | RemoteBooking, known: bool
) -> None:
    """A code, a room number or a confirmation number that comes under two external ids is named."""
    pms = filled()
    if known:
        sync(hotel, pms)
    before = hotel.rows()
    pms.put(again)
    kind = {RemoteRoomType: "room_type", RemoteRoom: "room", RemoteBooking: "booking"}[type(again)]
    with pytest.raises(PmsFailure) as refused:
        sync(hotel, pms)
    named = ", ".join(sorted(("other", {"room_type": "t1", "room": "r0", "booking": "b0"}[kind])))
    assert str(refused.value) == (
        f"scripted: two records there are one {kind} here ({named}): correct one there"
    )
    assert hotel.rows() == before


def test_two_that_are_one_are_named_in_what_goes_together(hotel: SmallHotel) -> None:
    """The end of a host's body, where they may first be noticed, tells the same of them."""
    pms = filled()
    pms.put(attrs.evolve(room(0), external_id="other"))
    with (
        pytest.raises(PmsFailure, match="two records there are one room here"),
        hotel.desk().transaction() as uow,
        uow.together(),
    ):
        op.sync_pms_data(uow, snapshot=fetch(pms))


def test_many_are_taken_over_like_one_after_the_other(hotel: SmallHotel) -> None:
    """Bookings of several types, stays and guests that share nights are each as they are there."""
    suite = RemoteRoomType(external_id="t2", code="STE", name="Suite", base_rate=eur(30_000))
    pms = filled()
    pms.put(suite, *(guest(number, last_name="Zoë \\ \"'") for number in range(30)))
    for number in range(30):
        remote = booking(number, begins=number % 7, nights=number % 4)
        pms.put(attrs.evolve(remote, room_type_external_id=("t1", "t2")[number % 2]))
    assert sync(hotel, pms).bookings.created == 30
    made = bookings_of(hotel)
    with hotel.desk().reading() as uow:
        for number in range(30):
            ours = made[f"PMS-{number}"]
            remote = booking(number, begins=number % 7, nights=number % 4)
            nights = uow.bookings.nights(ours.id)
            assert (ours.stay, ours.created_at, ours.status) == (remote.stay, NOON, "confirmed")
            assert [night.night for night in nights] == list(remote.stay)
            assert tuple(night.price for night in nights) == remote.nightly_prices
            assert len(uow.folios.of_booking(ours.id)) == 1
            assert uow.guests.get(ours.guest_id).first_name == str(number)
    assert hotel.core.prove(hotel.hotel_id).ok


def test_rooms_of_several_conditions_change_at_once(hotel: SmallHotel) -> None:
    """Each room has the condition that it has there, and one that has it already stays as it is."""
    told = [RoomCondition.DIRTY, RoomCondition.PICKUP, RoomCondition.DIRTY, RoomCondition.CLEAN]
    heard, pms = hearing(hotel.core), ScriptedPms()
    pms.put(TYPE, *(room(number, condition) for number, condition in enumerate(told)))
    sync(hotel, pms)
    with hotel.desk().reading() as uow:
        found = [uow.rooms.get(room_id) for room_id in hotel.room_ids]
    assert [here.condition for here in found] == told
    assert [here.version for here in found] == [2, 2, 2, 1]
    changed = {event.room_id for event in heard if isinstance(event, fact.RoomStatusChanged)}
    assert changed == set(hotel.room_ids[:3])


# -- part by part ------------------------------------------------------------------------------


def test_a_snapshot_comes_in_parts_in_the_order_in_which_records_name_each_other() -> None:
    """No part is larger than asked for, all are there, and only behind the last follows none."""
    whole = fetch(filled())
    parts = list(whole.parts(2))
    sizes = [
        tuple(map(len, (part.room_types, part.rooms, part.guests, part.bookings))) for part in parts
    ]
    types, rooms, guests = [(1, 0, 0, 0)], [(0, 2, 0, 0)] * 3, [(0, 0, 2, 0), (0, 0, 1, 0)]
    assert sizes == [*types, *rooms, *guests, (0, 0, 0, 2), (0, 0, 0, 1)]
    assert tuple(one for part in parts for one in part.bookings) == whole.bookings
    assert [part.more_follow for part in parts] == [True] * 7 + [False]
    nested = list(attrs.evolve(whole, more_follow=True).parts(2))
    assert all(part.more_follow for part in nested)


def test_nothing_at_all_is_one_part_and_no_size_is_refused() -> None:
    """A fetch that found nothing is taken over all the same, which moves the connection."""
    assert list(PmsSnapshot().parts()) == [PmsSnapshot()]
    with pytest.raises(InvalidInput):
        next(PmsSnapshot().parts(0))


def test_of_a_record_that_comes_twice_the_later_one_counts_in_parts_too(hotel: SmallHotel) -> None:
    """A booking that is cancelled first and confirmed later is not cancelled by an earlier part."""
    whole = fetch(filled())
    told = whole.bookings[0]
    cancelled = attrs.evolve(told, status=RemoteBookingStatus.CANCELLED)
    twice = attrs.evolve(whole, bookings=(cancelled, *whole.bookings))
    for part in twice.parts(1):
        hotel.desk().run(op.sync_pms_data, snapshot=part)
    assert bookings_of(hotel)[told.confirmation_number].status is BookingStatus.CONFIRMED


def test_a_takeover_in_parts_ends_like_one_as_a_whole(hotel: SmallHotel) -> None:
    """A run that breaks off halfway is not synced; the next one takes up what is missing."""
    whole, desk = fetch(filled()), hotel.desk()
    for part in list(whole.parts(2))[:-1]:
        desk.run(op.sync_pms_data, snapshot=part)
    with desk.reading() as uow:
        assert uow.pms.current().last_synced_at is None
    assert set(bookings_of(hotel)) == {"PMS-0", "PMS-1"}
    reports = [desk.run(op.sync_pms_data, snapshot=part) for part in whole.parts(2)]
    assert [report.bookings.created for report in reports] == [0] * 7 + [1]
    assert sum(report.bookings.unchanged for report in reports) == 2
    with desk.reading() as uow:
        assert uow.pms.current().last_synced_at == NOON
    again = desk.run(op.sync_pms_data, snapshot=whole)
    assert (again.rooms.unchanged, again.guests, again.bookings) == (
        6,
        Taken(created=0, updated=0, unchanged=3),
        Taken(created=0, updated=0, unchanged=3),
    )
    assert hotel.core.prove(hotel.hotel_id).ok


# -- changes ----------------------------------------------------------------------------------


def test_guests_and_conditions_follow(hotel: SmallHotel) -> None:
    """A renamed guest and a dirty room there are so here, and only those are updated."""
    pms = filled()
    sync(hotel, pms)
    pms.put(guest(0, last_name="Renamed"), room(0, RoomCondition.DIRTY))
    report = sync(hotel, pms)
    assert (report.guests.updated, report.rooms.updated) == (1, 1)
    with hotel.desk().reading() as uow:
        assert uow.guests.get(bookings_of(hotel)["PMS-0"].guest_id).last_name == "Renamed"
        assert uow.rooms.get(hotel.room_ids[0]).condition is RoomCondition.DIRTY


def test_a_bad_record_takes_nothing_over(hotel: SmallHotel) -> None:
    """A booking whose guest was never sent stops the sync before anything of it is kept."""
    before = hotel.rows()
    snapshot = attrs.evolve(fetch(filled()), guests=())
    with pytest.raises(PmsFailure) as refused:
        hotel.desk().run(op.sync_pms_data, snapshot=snapshot)
    assert str(refused.value) == (
        "scripted: booking b0 names the guest g0, which was never sent: fetch everything again"
    )
    assert hotel.rows() == before


def test_a_room_never_changes_its_type_by_a_message(hotel: SmallHotel) -> None:
    """A room that is of another type there stops the sync."""
    pms = filled()
    sync(hotel, pms)
    suite = RemoteRoomType(external_id="t2", code="STE", name="Suite", base_rate=eur(30_000))
    pms.put(suite, attrs.evolve(room(0), room_type_external_id="t2"))
    with pytest.raises(PmsFailure) as refused:
        sync(hotel, pms)
    assert str(refused.value) == (
        "scripted: room r0 there has another type than room 000 here, and no room changes its "
        "type: correct it there, or give it a new number and a new id"
    )


def test_a_failing_system_is_a_typed_error_and_writes_nothing(hotel: SmallHotel) -> None:
    """A refusal while fetching reaches the caller, and the next try works."""
    pms = filled()
    pms.fail_next("is down")
    before = hotel.rows()
    with pytest.raises(PmsFailure, match="scripted: is down"):
        sync(hotel, pms)
    assert hotel.rows() == before
    assert sync(hotel, pms).bookings.created == 3


def test_async_adapters_give_the_same_snapshot() -> None:
    """Fetching with awaits and without gives equal snapshots."""
    pms = filled()
    pms.test_connection()
    assert asyncio.run(fetch_async(AsyncScriptedPms(pms))) == fetch(pms)


def test_a_hotel_has_one_connection(hotel: SmallHotel) -> None:
    """A second connection is refused until the first is removed, and its mappings go with it."""
    desk, heard = hotel.desk(), hearing(hotel.core)
    with pytest.raises(AlreadyExists):
        desk.run(op.connect_pms, vendor="other", external_hotel_id="H-2")
    sync(hotel, filled())
    heard.clear()
    gone = desk.run(op.disconnect_pms)
    again = desk.run(
        op.connect_pms, vendor="other", external_hotel_id="H-2", attributes={"region": "eu"}
    )
    assert (again.vendor, again.external_hotel_id) == ("other", "H-2")
    assert (again.connected_at, dict(again.attributes)) == (NOON, {"region": "eu"})
    assert heard == [
        fact.PmsDisconnected(hotel_id=hotel.hotel_id, config_id=gone.id, vendor="scripted"),
        fact.PmsConnected(hotel_id=hotel.hotel_id, config_id=again.id, vendor="other"),
    ]
    assert desk.run(op.disconnect_pms) == again
    assert hotel.rows()["hc_external_mapping"] == []
    with pytest.raises(NotFound):
        desk.run(op.sync_pms_data, snapshot=PmsSnapshot())


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMIN])
def test_only_an_admin_connects_and_syncs(hotel: SmallHotel, role: Role) -> None:
    """Every role below admin is refused, and nothing is changed."""
    before = hotel.rows_beside_the_audit()
    with pytest.raises(PermissionDenied):
        hotel.desk(role).run(op.sync_pms_data, snapshot=PmsSnapshot())
    assert hotel.rows_beside_the_audit() == before


def test_an_adapter_that_is_not_installed_is_named() -> None:
    """An unknown vendor is a typed error that lists what is installed."""
    assert "acme" not in known_vendors()
    with pytest.raises(PmsFailure, match=r"acme: no adapter is installed"):
        adapter_of("acme")


def test_remote_records_refuse_what_cannot_be_stored() -> None:
    """A price list that does not fit the stay is refused before it can travel."""
    with pytest.raises(HotelcoreError):
        attrs.evolve(booking(0), nightly_prices=())
