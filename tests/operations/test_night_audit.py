"""The night audit closes each day once, whole or not at all, with figures that agree."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from hotelcore import operations as op
from hotelcore.access import Role
from hotelcore.clock import FixedClock, local_date
from hotelcore.core import HotelCore
from hotelcore.domain.bookings import Booking, BookingStatus
from hotelcore.domain.business_day import BusinessDay
from hotelcore.domain.cancellation import CancellationPolicy, Fee, FeeKind
from hotelcore.domain.hotels import HouseRules, OverdueDeparture, UnresolvedArrival
from hotelcore.domain.money import MINOR_LIMIT
from hotelcore.domain.rooms import MaintenanceKind
from hotelcore.domain.stays import Stay
from hotelcore.errors import (
    AmountRefused,
    BusinessDayBlocked,
    InvalidInput,
    PermissionDenied,
)
from hotelcore.events.catalogue import BookingNoShow, BusinessDayClosed, ChargePosted, Event
from hotelcore.ids import BookingId, HotelId, RoomId, new_id
from hotelcore.lists import FolioFilter
from hotelcore.tenancy import Actor
from tests.operations.recount import untold
from tests.operations.small_hotel import (
    DAY,
    NOON,
    TODAY,
    Rows,
    SmallHotel,
    counted_statements,
    eur,
    open_hotel,
    refusal,
)

FIRST_NIGHT = CancellationPolicy(no_show_fee=Fee(kind=FeeKind.FIRST_NIGHT))
ALL_AT_ONCE = HouseRules(
    unresolved_arrival=UnresolvedArrival.NO_SHOW,
    overdue_departure=OverdueDeparture.EXTEND,
    cancellation=FIRST_NIGHT,
)


def close(hotel: SmallHotel, day: date, no_shows: Collection[BookingId] = ()) -> BusinessDay:
    """Run the audit of a day."""
    return hotel.desk().run(op.close_business_day, business_date=day, no_shows=no_shows)


def busy_evening(core: HotelCore, clock: FixedClock) -> SmallHotel:
    """Open a hotel with a stay-over, an overdue guest, a no-show, and a room out of order."""
    hotel = open_hotel(core, clock, rooms=5, rules=ALL_AT_ONCE)
    hotel.move_in(1, prices=[7_000])
    hotel.close_day()
    hotel.move_in(2, prices=[8_000, 9_000])
    hotel.book(2, prices=[6_000, 6_500])
    hotel.desk().run(
        op.block_room,
        room_id=hotel.room_ids[4],
        kind=MaintenanceKind.OUT_OF_ORDER,
        period=Stay(hotel.today, hotel.today + DAY),
        reason="paint",
    )
    clock.advance(DAY)
    return hotel


# -- one run ----------------------------------------------------------------------------------


def test_a_day_closes_with_all_that_belongs_to_it(core: HotelCore, clock: FixedClock) -> None:
    """Nights are charged, the overdue guest kept, the missing one given up, the date moved on."""
    hotel = busy_evening(core, clock)
    heard: list[Event] = []
    for kind in (BusinessDayClosed, BookingNoShow):
        core.events.subscribe(kind, heard.append)
    today = hotel.today
    day = close(hotel, today)
    assert hotel.today == today + DAY
    assert (day.rooms, day.out_of_order, day.out_of_inventory) == (5, 1, 0)
    assert (day.rooms_sold, day.room_revenue) == (2, eur(15_000))
    assert (day.arrivals, day.departures, day.no_shows) == (1, 0, 1)
    assert (day.occupancy, day.adr, day.rev_par) == (Decimal("0.4"), eur(7_500), eur(3_000))
    assert (day.closed_at, day.closed_by, day.hotel_id) == (clock.now(), "ana", hotel.hotel_id)
    given_up, closed = heard
    assert isinstance(given_up, BookingNoShow)
    assert (given_up.fee, given_up.nights_released) == (eur(6_000), 1)
    assert closed == BusinessDayClosed(
        hotel_id=hotel.hotel_id,
        business_date=today,
        next_business_date=today + DAY,
        rooms_sold=2,
        room_revenue=eur(15_000),
    )
    assert untold(hotel) == []
    with hotel.desk().transaction() as uow:
        (tomorrow,) = uow.inventory.nights(Stay(today + DAY, today + 2 * DAY))
        no_show = uow.bookings.unresolved_arrivals(today)
        assert uow.business_days.find(today) == day
    assert (tomorrow.committed, no_show) == (1, ())


def test_a_no_show_pays_its_fee_on_the_day_that_closes(core: HotelCore, clock: FixedClock) -> None:
    """The closed day counts the no-show, its night stays taken, the nights to come are free."""
    hotel = open_hotel(core, clock, rules=ALL_AT_ONCE)
    booking, folio = hotel.book(3, prices=[6_000, 6_500, 7_000])
    clock.advance(DAY)
    assert close(hotel, TODAY).no_shows == 1
    given_up = hotel.booking(booking.id)
    assert (given_up.status, given_up.no_show_on) == (BookingStatus.NO_SHOW, TODAY)
    (line,) = hotel.lines(folio.id)
    assert (line.code, line.amount, line.business_date) == ("no_show_fee", eur(6_000), TODAY)
    with hotel.desk().reading() as uow:
        nights = uow.inventory.nights(Stay(TODAY, TODAY + 3 * DAY))
    assert [night.committed for night in nights] == [1, 0, 0]


def test_each_night_is_charged_once_at_the_price_fixed_on_it(hotel: SmallHotel) -> None:
    """What a stay costs was agreed at booking; the audit adds the lines up to exactly that."""
    booking, folio = hotel.move_in(3, prices=[10_000, 0, -500])
    for _ in range(3):
        hotel.close_day()
    lines = hotel.lines(folio.id)
    assert [line.amount.minor for line in lines] == [10_000, 0, -500]
    assert [line.night for line in lines] == [TODAY, TODAY + DAY, TODAY + 2 * DAY]
    assert [line.business_date for line in lines] == [line.service_date for line in lines]
    assert hotel.folio(folio.id).balance == booking.total


def test_every_room_charge_is_reported(hotel: SmallHotel, core: HotelCore) -> None:
    """The audit posts many lines at once and reports each like any other charge."""
    folios = {hotel.move_in()[1].id for _ in range(3)}
    heard: list[ChargePosted] = []
    core.events.subscribe(ChargePosted, heard.append)
    hotel.close_day()
    assert {fact.folio_id for fact in heard} == folios
    assert all((fact.code, fact.amount) == ("room", eur(10_000)) for fact in heard)


@pytest.mark.parametrize("role", [Role.GUEST, Role.STAFF, Role.RECEPTION])
def test_only_a_manager_closes_the_day(hotel: SmallHotel, role: Role) -> None:
    """The books of a day are not closed from the front desk by mistake."""
    hotel.clock.advance(DAY)
    with pytest.raises(PermissionDenied):
        hotel.desk(role).run(op.close_business_day, business_date=TODAY)
    assert hotel.today == TODAY


# -- what stops it ----------------------------------------------------------------------------


def test_everything_that_stops_the_audit_is_named_at_once(
    core: HotelCore, clock: FixedClock
) -> None:
    """The night auditor gets one list, and nothing was charged before it is empty."""
    rules = HouseRules(
        unresolved_arrival=UnresolvedArrival.BLOCK, overdue_departure=OverdueDeparture.BLOCK
    )
    hotel = open_hotel(core, clock, rules=rules)
    overdue, _ = hotel.move_in(1)
    hotel.close_day()
    without_folio, folio = hotel.move_in(2)
    hotel.desk().run(op.close_folio, folio_id=folio.id)
    missing, _ = hotel.book(1)
    clock.advance(DAY)
    before = hotel.rows()
    with pytest.raises(BusinessDayBlocked) as refused:
        close(hotel, hotel.today)
    assert (refused.value.business_date, refused.value.local_date) == (hotel.today, None)
    assert refused.value.reasons == (
        f"departure_overdue {overdue.confirmation_number}",
        f"arrival_unresolved {missing.confirmation_number}",
        f"no_open_folio {without_folio.confirmation_number}",
    )
    assert hotel.rows() == before


def promise_to_another(hotel: SmallHotel, room_id: RoomId) -> None:
    """Assign the room to a guest who comes tomorrow."""
    other, _ = hotel.book(1, begins=1)
    hotel.desk().run(op.assign_room, booking_id=other.id, room_id=room_id)


def block_from_tomorrow(hotel: SmallHotel, room_id: RoomId) -> None:
    """Give the room to maintenance for two nights."""
    hotel.desk().run(
        op.block_room,
        room_id=room_id,
        kind=MaintenanceKind.OUT_OF_ORDER,
        period=Stay(hotel.today + DAY, hotel.today + 3 * DAY),
        reason="leak",
    )


@pytest.mark.parametrize("give_away", [promise_to_another, block_from_tomorrow])
def test_a_room_that_is_not_free_for_another_night_stops_the_audit(
    core: HotelCore, clock: FixedClock, give_away: Callable[[SmallHotel, RoomId], None]
) -> None:
    """An overdue guest is kept, but neither in another guest's room nor in a blocked one."""
    hotel = open_hotel(core, clock, rules=ALL_AT_ONCE)
    overdue, _ = hotel.move_in(1)
    room_id = hotel.booking(overdue.id).room_id
    assert room_id is not None
    give_away(hotel, room_id)
    hotel.close_day()
    clock.advance(DAY)
    before = hotel.rows()
    with pytest.raises(BusinessDayBlocked) as refused:
        close(hotel, hotel.today)
    assert refused.value.reasons == (f"room_taken {overdue.confirmation_number}",)
    assert "the room is not free for one more night" in str(refused.value)
    assert hotel.rows() == before


def test_an_overdue_guest_is_kept_though_the_house_is_sold_out(
    core: HotelCore, clock: FixedClock
) -> None:
    """Who is in the room takes a unit, and the counters say how far the house is oversold."""
    hotel = open_hotel(core, clock, rooms=1, rules=ALL_AT_ONCE)
    overdue, folio = hotel.move_in(1, prices=[7_000])
    hotel.close_day()
    hotel.book(1)
    clock.advance(DAY)
    close(hotel, hotel.today)
    kept = hotel.booking(overdue.id)
    assert (kept.stay, kept.status) == (Stay(TODAY, TODAY + 2 * DAY), BookingStatus.IN_HOUSE)
    assert hotel.folio(folio.id).balance == eur(14_000)


def test_a_guest_of_the_day_who_stays_is_kept_at_the_base_rate(
    core: HotelCore, clock: FixedClock
) -> None:
    """A day use has no night whose price could be taken, so the type's own is."""
    hotel = open_hotel(core, clock, rules=ALL_AT_ONCE)
    booking, folio = hotel.move_in(0)
    clock.advance(DAY)
    assert close(hotel, TODAY).rooms_sold == 1
    assert hotel.booking(booking.id).stay == Stay(TODAY, TODAY + DAY)
    assert hotel.folio(folio.id).balance == eur(10_000)


def test_a_missing_guest_may_be_waited_for(core: HotelCore, clock: FixedClock) -> None:
    """Where the house keeps arrivals, a late one is checked in and pays the nights missed."""
    rules = HouseRules(unresolved_arrival=UnresolvedArrival.KEEP)
    hotel = open_hotel(core, clock, rules=rules)
    booking, folio = hotel.book(2, prices=[6_000, 6_500])
    hotel.close_day()
    assert hotel.booking(booking.id).status is BookingStatus.CONFIRMED
    hotel.check_in(booking)
    (missed,) = hotel.lines(folio.id)
    assert (missed.night, missed.business_date) == (TODAY, TODAY + DAY)
    hotel.close_day()
    with hotel.desk().reading() as uow:
        days = uow.business_days.between(TODAY, TODAY + DAY)
    assert [day.room_revenue.minor for day in days] == [0, 6_500]
    assert hotel.folio(folio.id).balance == booking.total


@pytest.mark.parametrize("rule", UnresolvedArrival)
def test_who_is_named_is_a_no_show_of_the_day_that_closes(
    core: HotelCore, clock: FixedClock, rule: UnresolvedArrival
) -> None:
    """Whatever the house rules say of the others; so also who stops the audit can be given up."""
    hotel = open_hotel(core, clock, rules=HouseRules(unresolved_arrival=rule))
    named, _ = hotel.book(2)
    others = [] if rule is UnresolvedArrival.BLOCK else [hotel.book(2)[0]]
    clock.advance(DAY)
    day = close(hotel, TODAY, no_shows=[named.id])
    given_up = hotel.booking(named.id)
    assert (given_up.status, given_up.no_show_on) == (BookingStatus.NO_SHOW, TODAY)
    expected = len(others) if rule is UnresolvedArrival.NO_SHOW else 0
    assert day.no_shows == 1 + expected
    kept = [hotel.booking(other.id).status is BookingStatus.CONFIRMED for other in others]
    assert kept == [not expected] * len(others)


def test_nobody_else_is_named_a_no_show(core: HotelCore, clock: FixedClock) -> None:
    """Who is in house, not due, cancelled, of another hotel or unknown, and what is no id."""
    hotel = open_hotel(core, clock)
    there, later, gone = hotel.move_in(2)[0], hotel.book(1, begins=1)[0], hotel.book(1)[0]
    hotel.desk().run(op.cancel_booking_with_refund, booking_id=gone.id, reason="other plans")
    strange, _ = open_hotel(core, clock).book(1)
    clock.advance(DAY)
    before = hotel.rows()
    ids = (there.id, later.id, gone.id, strange.id, new_id())
    wrong: list[Any] = [*([key] for key in ids), ["x"], "x", [None]]  # Any: wrong on purpose
    for no_shows in wrong:
        with pytest.raises(InvalidInput, match="no_shows: "):
            close(hotel, TODAY, no_shows)
    assert hotel.rows() == before


def test_a_posting_error_stops_the_day_from_closing(hotel: SmallHotel) -> None:
    """A folio that cannot hold the charge fails the audit whole, and it works once mended."""
    hotel.move_in(1)
    _, folio = hotel.move_in(1)
    huge = hotel.charge(folio.id, MINOR_LIMIT - 1)
    hotel.clock.advance(DAY)
    before = hotel.rows()
    with pytest.raises(AmountRefused):
        close(hotel, TODAY)
    assert hotel.rows() == before
    hotel.desk().run(op.void_charge, line_id=huge.id, reason="typing error")
    assert close(hotel, TODAY).rooms_sold == 2


@pytest.mark.parametrize("days", [-1, 1, 2])
def test_only_the_open_day_closes(hotel: SmallHotel, days: int) -> None:
    """A day that is not the open one and was never closed is refused."""
    hotel.clock.advance(5 * DAY)
    with pytest.raises(InvalidInput) as refused:
        close(hotel, TODAY + days * DAY)
    assert str(refused.value) == "business_date: must be the open day, 2026-12-01"
    assert hotel.today == TODAY


@pytest.mark.parametrize("bad", [None, "2026-12-01", NOON, date(1, 1, 1), date(9999, 12, 31)])
def test_what_is_no_date_is_refused(hotel: SmallHotel, bad: date) -> None:
    """Text, instants and absurd years get a typed error and change nothing."""
    refused = refusal(lambda: close(hotel, bad))
    assert isinstance(refused, InvalidInput)
    assert refused.field == "business_date"
    assert "open day" not in str(refused)


# -- once, whatever happens -------------------------------------------------------------------

_BESIDE_THE_DAY = ("hc_audit_log", "hc_audit_head")


def test_a_closed_day_is_returned_as_it_is(core: HotelCore, clock: FixedClock) -> None:
    """Running a finished audit again gives the stored day and touches nothing."""
    hotel = busy_evening(core, clock)
    today = hotel.today
    day = close(hotel, today)
    before = hotel.rows(without=_BESIDE_THE_DAY)
    clock.advance(DAY)
    assert close(hotel, today) == day
    assert hotel.rows(without=_BESIDE_THE_DAY) == before


class PowerCut(Exception):
    """What the tests raise in the middle of an audit."""


@contextmanager
def power_cut_at(core: HotelCore, nth: int) -> Iterator[None]:
    """Fail just before the ``nth`` statement that is sent meanwhile."""
    numbers = count()

    def fail(*arguments: object) -> None:
        if of_the_audit(arguments) and next(numbers) == nth:
            raise PowerCut

    event.listen(core.engine, "before_cursor_execute", fail)
    try:
        yield
    finally:
        event.remove(core.engine, "before_cursor_execute", fail)


def statements_of_a_clean_run(core: HotelCore, clock: FixedClock) -> int:
    """Count what the audit of a busy evening sends."""
    twin = busy_evening(core, clock)
    today = twin.today
    with counted_statements(core) as sent:
        close(twin, today)
    return len(own_statements(sent))


def own_statements(sent: list[str]) -> list[str]:
    """Leave out those that tell limits: how often they are told depends on the machine."""
    return [text for text in sent if "set_config" not in text]


def of_the_audit(arguments: tuple[object, ...]) -> bool:
    """Tell whether a statement is the audit's; how often limits are told depends on the machine."""
    return "set_config" not in str(arguments[2])


def test_stopped_at_any_statement_and_run_again_it_is_one_clean_run(
    core: HotelCore, clock: FixedClock
) -> None:
    """A failure anywhere leaves the day untouched, so the repeated run starts from the same."""
    hotel = busy_evening(core, clock)
    today, before = hotel.today, hotel.rows()
    statements = statements_of_a_clean_run(core, clock)
    assert statements > 20
    for nth in range(statements):
        with power_cut_at(core, nth), pytest.raises(PowerCut):
            close(hotel, today)
        assert hotel.rows() == before, nth
    day = close(hotel, today)
    assert (day.rooms_sold, day.room_revenue, day.no_shows) == (2, eur(15_000), 1)
    assert core.prove(hotel.hotel_id).ok


def _die_in_the_audit(url: str, hotel_id: UUID, day: date, now: datetime, nth: int) -> None:
    """Run an audit in a process of its own that is killed before its ``nth`` statement."""
    core, numbers = HotelCore(url, clock=FixedClock(now)), count()

    def die(*arguments: object) -> None:
        if of_the_audit(arguments) and next(numbers) == nth:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(core.engine, "before_cursor_execute", die)
    actor = Actor(hotel_id=HotelId(hotel_id), subject="ana", role=Role.ADMIN)
    core.acting_as(actor).run(op.close_business_day, business_date=day)


@pytest.mark.long
def test_a_killed_audit_leaves_the_day_open(
    core: HotelCore, clock: FixedClock, prepared_url: str
) -> None:
    """Killed early, amid the postings and at its very end, the process leaves nothing behind."""
    statements = statements_of_a_clean_run(core, clock)
    hotel = busy_evening(core, clock)
    today, before = hotel.today, hotel.rows()
    spawn = multiprocessing.get_context("spawn")
    for nth in (0, statements // 2, statements - 1):
        arguments = (prepared_url, hotel.hotel_id, today, clock.now(), nth)
        process = spawn.Process(target=_die_in_the_audit, args=arguments)
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        assert hotel.rows() == before
    assert close(hotel, today).rooms_sold == 2


@pytest.mark.race
def test_many_auditors_at_once_close_the_day_once(core: HotelCore, clock: FixedClock) -> None:
    """All of them get the same closed day, and the guests one charge a night."""
    hotel = busy_evening(core, clock)
    today = hotel.today
    with ThreadPoolExecutor(8) as pool:
        days = [run.result() for run in [pool.submit(close, hotel, today) for _ in range(8)]]
    assert all(day == days[0] for day in days)
    assert hotel.today == today + DAY
    assert core.prove(hotel.hotel_id).ok


# -- figures ----------------------------------------------------------------------------------

STAYS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20_000)), max_size=6)


@pytest.mark.long
@settings(max_examples=25)
@given(evenings=st.lists(STAYS, min_size=1, max_size=3), off=st.integers(0, 2))
@example(evenings=[[(1, 10_000), (1, 10_000), (1, 10_001)]], off=1)
def test_the_figures_come_from_the_stays_in_house(
    core: HotelCore, clock: FixedClock, evenings: list[list[tuple[int, int]]], off: int
) -> None:
    """Rooms sold and revenue are those of the guests in house; RevPAR is ADR times occupancy."""
    hotel = open_hotel(core, clock, rooms=8, rules=ALL_AT_ONCE)
    first = hotel.today
    for room_id in hotel.room_ids[:off]:
        hotel.desk().run(
            op.block_room,
            room_id=room_id,
            kind=MaintenanceKind.OUT_OF_INVENTORY,
            period=Stay(first, first + 5 * DAY),
            reason="rebuilt",
        )
    in_house: list[tuple[Booking, int]] = []
    for evening in evenings:
        today = hotel.today
        _check_out_who_is_due(hotel, in_house)
        for nights, price in evening[: 8 - off - len(in_house)]:
            booking, _ = hotel.move_in(nights, prices=[price] * nights)
            in_house.append((booking, price if nights else 10_000))
        hotel.clock.advance(DAY)
        day = close(hotel, today)
        assert day.rooms_sold == len(in_house)
        assert day.room_revenue.minor == sum(price for _, price in in_house)
        assert day.rooms_available == 8 - off
        assert_rev_par(day)
    assert core.prove(hotel.hotel_id).ok


def _check_out_who_is_due(hotel: SmallHotel, in_house: list[tuple[Booking, int]]) -> None:
    for booking, price in list(in_house):
        if hotel.booking(booking.id).stay.departure <= hotel.today:
            hotel.desk().run(
                op.check_out_guest, booking_id=booking.id, unsettled_reason="pays later"
            )
            in_house.remove((booking, price))
    hotel.clean_all()


def assert_rev_par(day: BusinessDay) -> None:
    """Check that RevPAR = ADR times occupancy, up to the rounding of both to a cent."""
    exact = day.adr.amount * day.occupancy
    # The occupancy of a third has 28 digits, so the bound itself is no sharper than that.
    bound = Decimal("0.005") * (1 + day.occupancy) + Decimal("1e-20")
    assert abs(exact - day.rev_par.amount) <= bound


def test_the_number_of_statements_does_not_grow_with_the_house(
    core: HotelCore, clock: FixedClock
) -> None:
    """Thirty guests in house are charged with as many statements as three."""
    numbers = []
    for guests in (3, 30):
        hotel = open_hotel(core, clock, rooms=guests)
        for _ in range(guests):
            hotel.move_in()
        clock.advance(DAY)
        with counted_statements(core) as sent:
            assert close(hotel, hotel.today).rooms_sold == guests
        numbers.append(len(own_statements(sent)))
    assert numbers[0] == numbers[1]


# -- time -------------------------------------------------------------------------------------

ZONES = [
    "Pacific/Apia",
    "Pacific/Kiritimati",
    "Pacific/Pago_Pago",
    "America/New_York",
    "America/Santiago",
    "Europe/Lisbon",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Etc/UTC",
]
# Apia left out 30 December 2011; clocks changed in New York, Lisbon, Santiago, Lord Howe.
TURNS = [
    datetime(2011, 12, 28, 12, tzinfo=UTC),
    datetime(2025, 3, 8, 12, tzinfo=UTC),
    datetime(2025, 3, 29, 12, tzinfo=UTC),
    datetime(2025, 9, 6, 12, tzinfo=UTC),
    datetime(2025, 10, 4, 12, tzinfo=UTC),
]


@settings(max_examples=25)
@given(
    zone=st.sampled_from(ZONES),
    begin=st.sampled_from(TURNS),
    hours=st.lists(st.integers(1, 40), min_size=1, max_size=12),
)
@example(zone="Pacific/Apia", begin=TURNS[0], hours=[6] * 12)
@example(zone="America/New_York", begin=TURNS[1], hours=[16, 1, 1, 22, 1, 1])
def test_the_business_date_is_never_ahead_of_the_local_date(
    core: HotelCore, clock: FixedClock, zone: str, begin: datetime, hours: list[int]
) -> None:
    """It moves by a day exactly when the hotel's own calendar is past it, whatever clocks do."""
    clock.set(begin)
    hotel = open_hotel(core, clock, time_zone=zone)
    for step in hours:
        clock.advance(timedelta(hours=step))
        open_day, local = hotel.today, local_date(clock.now(), zone)
        error = refusal(lambda day=open_day: close(hotel, day))  # type: ignore[misc]
        if open_day < local:
            assert error is None
            assert hotel.today == open_day + DAY
        else:
            assert isinstance(error, BusinessDayBlocked)
            assert (error.business_date, error.local_date) == (open_day, local)
            assert error.reasons == ("local_date_not_reached",)
            assert hotel.today == open_day == local


def test_apia_closes_the_day_that_its_calendar_left_out(core: HotelCore, clock: FixedClock) -> None:
    """30 December 2011 is a business date like any other; its audit is simply due at once."""
    clock.set(datetime(2011, 12, 29, 12, tzinfo=UTC))
    hotel = open_hotel(core, clock, time_zone="Pacific/Apia")
    assert hotel.today == date(2011, 12, 29)
    _, folio = hotel.move_in(3)
    clock.set(datetime(2011, 12, 30, 12, tzinfo=UTC))
    assert local_date(clock.now(), "Pacific/Apia") == date(2011, 12, 31)
    close(hotel, date(2011, 12, 29))
    close(hotel, date(2011, 12, 30))
    with pytest.raises(BusinessDayBlocked):
        close(hotel, date(2011, 12, 31))
    assert hotel.folio(folio.id).balance == eur(20_000)


@pytest.fixture
def server_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Let a test move the machine to another time zone, and bring it back."""
    yield monkeypatch
    monkeypatch.undo()
    time.tzset()


def test_the_time_zone_of_the_server_changes_nothing(
    core: HotelCore, clock: FixedClock, server_zone: pytest.MonkeyPatch
) -> None:
    """The same evening gives the same figures, lines and days wherever the machine stands."""
    seen = []
    for zone in ("UTC", "Pacific/Kiritimati", "America/Los_Angeles", "Asia/Kathmandu"):
        for variable in ("TZ", "PGTZ"):
            server_zone.setenv(variable, zone)
        time.tzset()
        core.close()  # so that new connections are made under the new zone
        clock.set(datetime(2025, 3, 8, 23, 30, tzinfo=UTC))
        hotel = busy_evening(core, clock)
        day = close(hotel, hotel.today)
        seen.append((_facts(day), hotel.today, _without_ids(hotel.rows())))
    assert all(facts == seen[0] for facts in seen)


def _facts(day: BusinessDay) -> tuple[object, ...]:
    return (day.date, day.rooms_sold, day.room_revenue, day.arrivals, day.no_shows, day.closed_at)


def _without_ids(rows: Rows) -> dict[str, list[tuple[object, ...]]]:
    """Keep of each line its dates, instants and amounts, which no id decides."""
    plain = (date, int)
    return {
        name: sorted(
            (tuple(value for value in row if isinstance(value, plain)) for row in rows[name]),
            key=repr,
        )
        for name in ("hc_folio_line", "hc_booking", "hc_booking_night", "hc_business_day")
    }


def test_no_line_is_written_into_a_closed_day(core: HotelCore, clock: FixedClock) -> None:
    """In the order of posting the business dates of all lines never go back."""
    hotel = busy_evening(core, clock)
    close(hotel, hotel.today)
    _, folio = hotel.book()
    hotel.charge(folio.id, 100)
    hotel.close_day()
    lines = hotel.rows()["hc_folio_line"]
    assert len(lines) > 4
    with hotel.desk().reading() as uow:
        pages = uow.folios.page(FolioFilter(), limit=50)
    posted = [line for folio in pages.items for line in hotel.lines(folio.id)]
    dates = [line.business_date for line in sorted(posted, key=lambda line: line.id)]
    assert dates == sorted(dates)
    assert dates[-1] < hotel.today
