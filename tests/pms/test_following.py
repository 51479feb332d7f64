"""A booking follows the one there wherever the trade allows it, and else that is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import attrs
import pytest

from hotelcore import operations as op
from hotelcore.clock import FixedClock
from hotelcore.core import HotelCore
from hotelcore.domain.bookings import Booking, BookingStatus
from hotelcore.domain.cancellation import CancellationPolicy, Fee, FeeKind
from hotelcore.domain.hotels import HouseRules, OverdueDeparture, UnresolvedArrival
from hotelcore.domain.pms import PmsResource
from hotelcore.errors import PmsFailure
from hotelcore.events import catalogue as fact
from hotelcore.ids import BookingId, GuestId, RoomId
from hotelcore.lists import BookingFilter, GuestFilter
from hotelcore.operations.pms_sync import Hindrance, NotFollowed, SyncReport, Taken
from hotelcore.pms import RemoteBooking, RemoteBookingStatus
from hotelcore.testing import ScriptedPms
from tests.operations.recount import (
    counted_units,
    events_of,
    hearing,
    misplaced_nights,
    recounted_units,
    untold,
)
from tests.operations.reservations import add_suites
from tests.operations.small_hotel import DAY, NOON, TODAY, SmallHotel, eur
from tests.pms.remote import SUITE, booking, bookings_of, connected, filled, guest, sync

CONFIRMED, CANCELLED, NO_SHOW = RemoteBookingStatus
MOVING = ("hc_pms_config", "hc_audit_log", "hc_audit_head")
DEAR = CancellationPolicy(
    free_days=99, late_fee=Fee(kind=FeeKind.SHARE), no_show_fee=Fee(kind=FeeKind.FIRST_NIGHT)
)
NO_SHOWS = HouseRules(
    cancellation=DEAR,
    unresolved_arrival=UnresolvedArrival.NO_SHOW,
    overdue_departure=OverdueDeparture.EXTEND,
)
WAITING = attrs.evolve(NO_SHOWS, unresolved_arrival=UnresolvedArrival.KEEP)


@contextmanager
def passing_days(core: HotelCore, rules: HouseRules = NO_SHOWS) -> Iterator[SmallHotel]:
    """Give a connected hotel whose days can be closed, and see at the end that its books agree."""
    clock = FixedClock(NOON)
    with closing(HotelCore(core.engine, clock=clock)) as moving:
        hotel = connected(moving, clock, rules=rules)
        yield hotel
        in_order(hotel)


def in_order(hotel: SmallHotel) -> None:
    """See that counters, rooms, folios and the log agree with the rows."""
    assert counted_units(hotel) == recounted_units(hotel)
    assert misplaced_nights(hotel) == []
    assert untold(hotel) == []
    assert hotel.core.prove(hotel.hotel_id).ok


def synced(hotel: SmallHotel, pms: ScriptedPms, record: RemoteBooking) -> SyncReport:
    """Put a booking there and take everything over, twice: the second time nothing moves."""
    pms.put(record)
    report = sync(hotel, pms)
    rows = hotel.rows(without=MOVING)
    again = sync(hotel, pms)
    assert (again.bookings.created, again.bookings.updated) == (0, 0)
    assert again.not_followed == report.not_followed
    assert hotel.rows(without=MOVING) == rows
    in_order(hotel)
    return report


def stuck(number: int, reason: Hindrance) -> NotFollowed:
    """Return what is told of a booking that could not be followed."""
    return NotFollowed(resource=PmsResource.BOOKING, external_id=f"b{number}", reason=reason)


def refuses(hotel: SmallHotel, pms: ScriptedPms, record: RemoteBooking, reason: Hindrance) -> None:
    """See that a record is told with a reason, and that nothing here says that it was followed."""
    ours = bookings_of(hotel).get(record.confirmation_number)
    known, pms_events = fingerprint_of(hotel, record), events_of(hotel).count("pms.booking.synced")
    report = synced(hotel, pms, record)
    assert report.not_followed == (stuck(int(record.external_id[1:]), reason),)
    assert report.bookings.updated == report.bookings.created == 0
    assert bookings_of(hotel).get(record.confirmation_number) == ours
    assert fingerprint_of(hotel, record) == known
    assert events_of(hotel).count("pms.booking.synced") == pms_events


def fingerprint_of(hotel: SmallHotel, record: RemoteBooking) -> str | None:
    """Return what was remembered of a record."""
    with hotel.desk().reading() as uow:
        known = uow.pms.mappings(PmsResource.BOOKING, [record.external_id])
    return known[record.external_id].fingerprint if known else None


def assign(hotel: SmallHotel, ours: Booking, room_id: RoomId) -> None:
    """Give a booking a room ahead."""
    hotel.desk().run(op.assign_room, booking_id=ours.id, room_id=room_id)


def balance_of(hotel: SmallHotel, booking_id: BookingId) -> list[int]:
    """Return what is open on a booking's folios."""
    with hotel.desk().reading() as uow:
        return [folio.balance.minor for folio in uow.folios.of_booking(booking_id)]


# -- taken back -------------------------------------------------------------------------------


def test_what_is_confirmed_there_again_is_reinstated(hotel: SmallHotel) -> None:
    """A cancelled booking gets its nights back at their prices, also in a house that is full."""
    pms = filled()
    synced(hotel, pms, booking(0))
    synced(hotel, pms, booking(0, status=CANCELLED))
    for _ in range(2):
        hotel.book(2, begins=1)
    heard = hearing(hotel.core)
    report = synced(hotel, pms, booking(0))
    ours = bookings_of(hotel)["PMS-0"]
    assert report.bookings == Taken(created=0, updated=1, unchanged=2)
    assert (ours.status, ours.cancelled_at, ours.total) == ("confirmed", None, eur(16_001))
    told = [type(event) for event in heard if getattr(event, "booking_id", None) == ours.id]
    assert told == [fact.BookingReinstated, fact.PmsBookingSynced]
    with hotel.desk().reading() as uow:
        taken = uow.inventory.nights(ours.stay, hotel.type_id)
    assert [night.committed for night in taken] == [5, 5]


def test_it_comes_back_as_it_is_there_now(hotel: SmallHotel) -> None:
    """Other dates, type, party and guest are taken with it; a night known keeps its price."""
    pms = filled()
    synced(hotel, pms, booking(0))
    synced(hotel, pms, booking(0, status=CANCELLED))
    changed = booking(0, begins=2, nights=3, adults=4, guest_external_id="g1", channel="web")
    synced(hotel, pms, changed)
    ours = bookings_of(hotel)
    taken = ours["PMS-0"]
    assert (taken.status, taken.stay, taken.adults) == ("confirmed", changed.stay, 4)
    assert (taken.guest_id, taken.channel) == (ours["PMS-1"].guest_id, "web")
    assert taken.total == eur(8_001 + 8_001 + 8_002)
    synced(hotel, pms, attrs.evolve(changed, status=CANCELLED))
    pms.put(SUITE)
    synced(hotel, pms, attrs.evolve(changed, room_type_external_id="t2"))
    again = bookings_of(hotel)["PMS-0"]
    assert (again.status, again.total) == ("confirmed", eur(8_000 + 8_001 + 8_002))
    assert again.room_type_id != hotel.type_id


def test_a_no_show_that_is_expected_after_all_is_expected_here(core: HotelCore) -> None:
    """The nights to come are sold again, and those that went by stay what they are."""
    with passing_days(core) as hotel:
        pms = filled()
        late = booking(0, begins=0, nights=3)
        synced(hotel, pms, late)
        hotel.close_day()
        assert bookings_of(hotel)["PMS-0"].status is BookingStatus.NO_SHOW
        synced(hotel, pms, attrs.evolve(late, adults=2))
        ours = bookings_of(hotel)["PMS-0"]
        assert (ours.status, ours.no_show_on, ours.adults) == ("confirmed", None, 2)


def test_what_is_over_does_not_come_back_but_may_come_anew(core: HotelCore) -> None:
    """A stay that is over is told; the same booking for other days is taken back."""
    with passing_days(core) as hotel:
        pms = filled()
        synced(hotel, pms, booking(0, nights=1))
        synced(hotel, pms, booking(0, nights=1, status=CANCELLED))
        for _ in range(3):
            hotel.close_day()
        refuses(hotel, pms, booking(0, nights=1), Hindrance.STAY_IS_OVER)
        refuses(hotel, pms, booking(0, begins=2, nights=3), Hindrance.PAST_NIGHTS)
        report = synced(hotel, pms, booking(0, begins=6, nights=2))
        assert report.not_followed == ()
        ours = bookings_of(hotel)["PMS-0"]
        assert (ours.status, ours.stay) == ("confirmed", booking(0, begins=6, nights=2).stay)


def test_a_night_that_a_no_show_used_up_keeps_it_from_other_days(core: HotelCore) -> None:
    """The night that stayed sold belongs to the stay, so the stay cannot be another one."""
    with passing_days(core) as hotel:
        pms = filled()
        synced(hotel, pms, booking(0, begins=0, nights=2))
        hotel.close_day()
        refuses(hotel, pms, booking(0, begins=5, nights=2), Hindrance.PAST_NIGHTS)


def test_what_is_only_held_here_and_sold_there_is_sold(hotel: SmallHotel) -> None:
    """A tentative booking of ours under the number there is confirmed, so no hold ends it."""
    hotel.desk().run(
        op.create_booking_with_folio,
        guest_id=hotel.guest_id,
        room_type_id=hotel.type_id,
        stay=booking(0).stay,
        confirmation_number="PMS-0",
        hold_until=NOON + DAY,
    )
    report = synced(hotel, filled(), booking(0))
    assert report.bookings.created == 3
    ours = bookings_of(hotel)["PMS-0"]
    assert (ours.status, ours.hold_until) == ("confirmed", None)


@pytest.mark.parametrize("known", [False, True])
def test_two_that_change_one_booking_are_named(hotel: SmallHotel, known: bool) -> None:
    """Neither is taken over the other, whether the first is new or known."""
    pms = filled()
    synced(hotel, pms, booking(0))
    if not known:
        hotel.desk().run(op.disconnect_pms)
        hotel.desk().run(op.connect_pms, vendor="scripted", external_hotel_id="H-1")
    pms.put(booking(0, adults=2), attrs.evolve(booking(0, adults=3), external_id="twin"))
    before = hotel.rows()
    with pytest.raises(PmsFailure, match=r"one booking here \(b0, twin\): correct one there"):
        sync(hotel, pms)
    assert hotel.rows() == before


# -- in house, and gone -----------------------------------------------------------------------


def test_who_stays_longer_there_stays_longer_here(hotel: SmallHotel) -> None:
    """The departure of a guest in house follows, either way, and so do the keys."""
    pms = filled()
    synced(hotel, pms, booking(0, begins=0, nights=3))
    hotel.check_in(bookings_of(hotel)["PMS-0"])
    for nights in (6, 2, 0):
        report = synced(hotel, pms, booking(0, begins=0, nights=nights))
        assert report.bookings == Taken(created=0, updated=1, unchanged=2)
        ours = bookings_of(hotel)["PMS-0"]
        assert (ours.status, ours.stay.departure) == ("in_house", TODAY + nights * DAY)
        assert ours.total == eur(sum(8_000 + night for night in range(nights)))
        with hotel.desk().reading() as uow:
            valid = [key for key in uow.keys.of_booking(ours.id) if key.revoked_at is None]
        assert [key.valid_until for key in valid] == [ours.stay.departure]


@pytest.mark.parametrize(
    "changed",
    [
        {"status": CANCELLED},
        {"status": NO_SHOW, "begins": -1},
        {"begins": 1},
        {"begins": -2, "nights": 1},
        {"room_type_external_id": "t2"},
    ],
)
def test_what_the_desk_has_to_settle_is_told(hotel: SmallHotel, changed: dict[str, Any]) -> None:
    """Nobody is put out, moved or dated back by a message, and the other records go on."""
    pms = filled()
    pms.put(SUITE)
    synced(hotel, pms, booking(0, begins=0))
    hotel.check_in(bookings_of(hotel)["PMS-0"])
    pms.put(booking(1, adults=3))
    wanted: dict[str, Any] = {"begins": 0, **changed}
    refused = booking(0, **wanted)
    ours = bookings_of(hotel)["PMS-0"]
    report = synced(hotel, pms, refused)
    assert report.not_followed == (stuck(0, Hindrance.IN_HOUSE),)
    assert report.bookings == Taken(created=0, updated=1, unchanged=1)
    here = bookings_of(hotel)
    assert (here["PMS-0"], here["PMS-1"].adults) == (ours, 3)


def test_who_cannot_stay_in_the_room_is_told_until_somebody_moves(hotel: SmallHotel) -> None:
    """A room that is promised to another keeps a guest from staying on there, and is not taken."""
    pms = filled()
    synced(hotel, pms, booking(0, begins=0, nights=1))
    staying, coming = (bookings_of(hotel)[number] for number in ("PMS-0", "PMS-1"))
    hotel.desk().run(op.check_in_guest, booking_id=staying.id, room_id=hotel.room_ids[0])
    assign(hotel, coming, hotel.room_ids[0])
    longer = booking(0, begins=0, nights=2, adults=2)
    refuses(hotel, pms, longer, Hindrance.ROOM_TAKEN)
    assign(hotel, coming, hotel.room_ids[1])
    report = sync(hotel, pms)
    assert (report.bookings.updated, report.not_followed) == (1, ())
    ours = bookings_of(hotel)["PMS-0"]
    assert (ours.stay, ours.adults) == (longer.stay, 2)


def test_who_stays_longer_gets_the_nights_that_another_gives_up(hotel: SmallHotel) -> None:
    """One run is enough, whatever the order: the room is free by the time that it is asked for."""
    pms = filled()
    synced(hotel, pms, booking(0, begins=0, nights=1))
    staying, coming = (bookings_of(hotel)[number] for number in ("PMS-0", "PMS-1"))
    hotel.desk().run(op.check_in_guest, booking_id=staying.id, room_id=hotel.room_ids[0])
    assign(hotel, coming, hotel.room_ids[0])
    pms.put(booking(1, begins=4))
    report = synced(hotel, pms, booking(0, begins=0, nights=3))
    assert report.not_followed == ()
    here = bookings_of(hotel)
    assert here["PMS-0"].stay.departure == here["PMS-1"].stay.arrival - DAY
    assert here["PMS-0"].room_id == here["PMS-1"].room_id == hotel.room_ids[0]


def test_who_has_left_has_left(core: HotelCore) -> None:
    """A stay that ended here is not changed from there, but who it was of may be."""
    with passing_days(core) as hotel:
        pms = filled()
        synced(hotel, pms, booking(0, begins=0, nights=2))
        ours = bookings_of(hotel)["PMS-0"]
        hotel.check_in(ours)
        hotel.desk().run(op.check_out_guest, booking_id=ours.id)
        refuses(hotel, pms, booking(0, begins=0, nights=2, adults=2), Hindrance.CHECKED_OUT)
        refuses(hotel, pms, booking(0, begins=0, nights=2, status=CANCELLED), Hindrance.CHECKED_OUT)
        report = synced(hotel, pms, booking(0, begins=0, nights=0, adults=2))
        assert report.not_followed == ()
        left = bookings_of(hotel)["PMS-0"]
        assert (left.status, left.adults) == ("checked_out", 2)


def test_a_past_that_differs_is_told(core: HotelCore) -> None:
    """A booking that still waits for its guest gets no other past and none that is over."""
    with passing_days(core, WAITING) as hotel:
        pms = filled()
        synced(hotel, pms, booking(0, begins=0, nights=3))
        hotel.close_day()
        refuses(hotel, pms, booking(0, begins=1, nights=3), Hindrance.PAST_NIGHTS)
        refuses(hotel, pms, booking(0, begins=-4, nights=3), Hindrance.STAY_IS_OVER)


# -- another type -----------------------------------------------------------------------------


def test_another_type_there_is_another_type_here(hotel: SmallHotel) -> None:
    """The units of the old type are free, those of the new one taken, at the prices there."""
    suites, _ = add_suites(hotel)
    pms = filled()
    pms.put(SUITE)
    synced(hotel, pms, booking(0))
    assign(hotel, bookings_of(hotel)["PMS-0"], hotel.room_ids[0])
    prices = (eur(30_000), eur(31_000))
    changed = booking(0, room_type_external_id="t2", nightly_prices=prices)
    synced(hotel, pms, changed)
    ours = bookings_of(hotel)["PMS-0"]
    assert (ours.room_type_id, ours.room_id, ours.total) == (suites, None, eur(61_000))
    with hotel.desk().reading() as uow:
        old, new = (uow.inventory.nights(ours.stay, kind) for kind in (hotel.type_id, suites))
        room_free = uow.rooms.free(hotel.type_id, ours.stay)
    assert [night.committed for night in old] == [2, 2]
    assert [night.committed for night in new] == [1, 1]
    assert hotel.room_ids[0] in {room.id for room in room_free}
    longer = booking(0, begins=2, nights=3)
    synced(hotel, pms, longer)
    back = bookings_of(hotel)["PMS-0"]
    assert (back.room_type_id, back.stay) == (hotel.type_id, longer.stay)
    assert back.total == eur(8_000 + 8_001 + 8_002)


def test_a_room_of_the_new_type_is_kept(hotel: SmallHotel) -> None:
    """Who was given a suite here ahead, and is sold one there, has the suite."""
    suites, [suite] = add_suites(hotel)
    pms = filled()
    pms.put(SUITE)
    synced(hotel, pms, booking(0))
    assign(hotel, bookings_of(hotel)["PMS-0"], suite)
    synced(hotel, pms, booking(0, room_type_external_id="t2", nights=3))
    ours = bookings_of(hotel)["PMS-0"]
    assert (ours.room_type_id, ours.room_id) == (suites, suite)
    assert ours.total == eur(8_000 + 8_001 + 8_002)


@pytest.mark.parametrize("in_a_suite", [False, True])
def test_a_room_that_is_not_free_for_the_longer_stay_is_taken_back(
    hotel: SmallHotel, in_a_suite: bool
) -> None:
    """The stay is what was sold there; which room it gets is decided here, and later."""
    _, [suite] = add_suites(hotel)
    wanted = suite if in_a_suite else hotel.room_ids[0]
    pms = filled()
    synced(hotel, pms, booking(1, begins=3))
    first, then = (bookings_of(hotel)[number] for number in ("PMS-0", "PMS-1"))
    assign(hotel, first, wanted)
    assign(hotel, then, wanted)
    report = synced(hotel, pms, booking(0, nights=4))
    assert report.not_followed == ()
    ours = bookings_of(hotel)["PMS-0"]
    assert (ours.stay, ours.room_id) == (booking(0, nights=4).stay, None)
    assert bookings_of(hotel)["PMS-1"].room_id == wanted
    assert counted_units(hotel)["DBL", str(TODAY + DAY)] == (2, 0)


# -- history ----------------------------------------------------------------------------------


def test_a_history_is_not_sold_again(core: HotelCore) -> None:
    """What is over, cancelled or a no-show there when it is new is left: no night, no fee."""
    with passing_days(core) as hotel:
        pms = ScriptedPms()
        history = [
            booking(0, begins=-9, nights=3),
            booking(1, begins=-2, nights=2),
            booking(2, begins=-1, nights=0),
            booking(3, begins=-3, nights=1, status=NO_SHOW),
            booking(4, begins=-1, nights=4, status=NO_SHOW),
            booking(5, begins=3, status=CANCELLED),
        ]
        pms.put(SUITE, *(guest(number) for number in range(6)), *history)
        pms.put(*(attrs.evolve(record, room_type_external_id="t2") for record in history))
        for _ in range(2):
            report = sync(hotel, pms)
            assert report.bookings == Taken(created=0, updated=0, unchanged=6)
            assert report.not_followed == ()
        hotel.close_day()
        assert (bookings_of(hotel), counted_units(hotel)) == ({}, {})
        held = hotel.rows()
        assert (held["hc_folio"], held["hc_room_availability"]) == ([], [])
        booked = {"booking.created", "booking.cancelled", "booking.no_show", "pms.booking.synced"}
        assert booked.isdisjoint(events_of(hotel))


def test_what_was_left_is_sold_when_it_is_confirmed_after_all(hotel: SmallHotel) -> None:
    """A booking that was cancelled there before it was known here is new when it is confirmed."""
    pms = filled()
    report = synced(hotel, pms, booking(1, status=CANCELLED))
    assert report.bookings == Taken(created=2, updated=0, unchanged=1)
    assert "PMS-1" not in bookings_of(hotel)
    report = synced(hotel, pms, booking(1))
    assert report.bookings == Taken(created=1, updated=0, unchanged=2)
    assert bookings_of(hotel)["PMS-1"].status is BookingStatus.CONFIRMED


def test_what_is_left_needs_no_guest_and_no_type(hotel: SmallHotel) -> None:
    """Of a booking that is not taken over nothing it names has to be known."""
    pms = filled()
    record = booking(9, status=CANCELLED, room_type_external_id="gone", guest_external_id="gone")
    assert synced(hotel, pms, record).bookings == Taken(created=3, updated=0, unchanged=1)


def test_a_no_show_there_costs_nothing_here(core: HotelCore) -> None:
    """It is given up here without the fee that the house's own terms ask for."""
    with passing_days(core, WAITING) as hotel:
        pms = filled()
        synced(hotel, pms, booking(0, begins=0))
        hotel.close_day()
        heard = hearing(hotel.core)
        synced(hotel, pms, booking(0, begins=0, status=NO_SHOW))
        ours = bookings_of(hotel)["PMS-0"]
        assert (ours.status, balance_of(hotel, ours.id)) == ("no_show", [0])
        [missed] = [event for event in heard if isinstance(event, fact.BookingNoShow)]
        assert (missed.fee, missed.nights_released) == (eur(0), 1)


def test_an_end_is_an_end(core: HotelCore) -> None:
    """A no-show here that is cancelled there stays a no-show, and the other way round."""
    with passing_days(core) as hotel:
        pms = filled()
        pms.put(booking(0, begins=0), booking(1, begins=0))
        sync(hotel, pms)
        hotel.close_day()
        synced(hotel, pms, booking(0, begins=0, status=CANCELLED))
        assert bookings_of(hotel)["PMS-0"].status is BookingStatus.NO_SHOW
        synced(hotel, pms, booking(2, begins=2, status=CANCELLED))
        hotel.close_day()
        hotel.close_day()
        synced(hotel, pms, booking(2, begins=2, status=NO_SHOW))
        assert bookings_of(hotel)["PMS-2"].status is BookingStatus.CANCELLED


# -- guests who were erased -------------------------------------------------------------------


def erased(hotel: SmallHotel, first_name: str) -> GuestId:
    """Anonymise the guest of that name."""
    with hotel.desk().reading() as uow:
        guests = uow.guests.page(GuestFilter(last_name="Guest"), limit=10).items
    [guest_id] = [each.id for each in guests if each.first_name == first_name]
    hotel.desk().run(op.anonymise_guest, guest_id=guest_id)
    return guest_id


def test_nothing_is_taken_over_for_a_guest_who_was_erased(hotel: SmallHotel) -> None:
    """Bookings that are new, moved to the guest or confirmed again are told, the rest goes on."""
    pms = filled()
    pms.put(guest(7), booking(7), booking(8, guest_external_id="g0"), booking(1))
    sync(hotel, pms)
    synced(hotel, pms, booking(7, status=CANCELLED))
    guest_id = erased(hotel, "7")
    before = hotel.rows()["hc_guest"]
    pms.put(
        attrs.evolve(guest(7), last_name="Back", email="back@example.org"),
        booking(7),
        booking(8, guest_external_id="g7"),
        booking(9, guest_external_id="g7"),
        booking(1, adults=3),
    )
    report = sync(hotel, pms)
    why = Hindrance.ANONYMISED
    the_guest = NotFollowed(resource=PmsResource.GUEST, external_id="g7", reason=why)
    assert set(report.not_followed) == {the_guest, *(stuck(number, why) for number in (7, 8, 9))}
    assert report.bookings == Taken(created=0, updated=1, unchanged=2)
    assert report.guests == Taken(created=0, updated=0, unchanged=3)
    here = bookings_of(hotel)
    assert (here["PMS-7"].status, here["PMS-1"].adults, "PMS-9" in here) == ("cancelled", 3, False)
    assert here["PMS-8"].guest_id == here["PMS-0"].guest_id
    assert hotel.rows()["hc_guest"] == before
    assert not any("Back" in str(rows) or "back@" in str(rows) for rows in hotel.rows().values())
    with hotel.desk().reading() as uow:
        [left] = uow.bookings.page(BookingFilter(guest_id=guest_id)).items
    assert left.confirmation_number == "PMS-7"
    assert sync(hotel, pms).not_followed == report.not_followed
