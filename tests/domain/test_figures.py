"""What is reckoned or told from a record alone: figures of a day, units left, states, and zones."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import (
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_HALF_EVEN,
    ROUND_UP,
    Context,
    Decimal,
    Inexact,
    Rounded,
    Subnormal,
    localcontext,
)

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hotelcore.domain.audit import AuditHead, AuditReport
from hotelcore.domain.availability import Availability, RoomAvailability
from hotelcore.domain.bookings import BookingStatus
from hotelcore.domain.business_day import BusinessDay
from hotelcore.domain.hotels import Hotel
from hotelcore.domain.money import MINOR_LIMIT, Money
from hotelcore.domain.rooms import MaintenanceKind, MaintenancePeriod, RoomType
from hotelcore.domain.stays import Stay
from hotelcore.errors import InvalidInput
from hotelcore.ids import HotelId, MaintenanceId, RoomId, RoomTypeId, new_id

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY = date(2026, 6, 1)


def closed(rooms: int, out: int, sold: int, revenue: int) -> BusinessDay:
    """Return a closed day."""
    return BusinessDay(
        hotel_id=HotelId(new_id()),
        date=DAY,
        rooms=rooms,
        out_of_inventory=out,
        out_of_order=0,
        rooms_sold=sold,
        room_revenue=Money(revenue, "EUR"),
        arrivals=0,
        departures=0,
        no_shows=0,
        closed_at=NOON,
        closed_by="ana",
    )


@given(st.integers(0, 50), st.integers(0, 10), st.integers(0, 60), st.integers(-999, 999_999))
def test_the_averages_are_the_nearest_to_the_exact_ones(
    rooms: int, out: int, sold: int, revenue: int
) -> None:
    """Each is off by half a unit at most; without a room to divide by it is nothing."""
    day = closed(rooms + out, out, sold, revenue)
    assert day.rooms_available == rooms
    for average, number in ((day.adr, sold), (day.rev_par, rooms)):
        assert average.currency == "EUR"
        assert 2 * abs(average.minor * number - revenue * bool(number)) <= number
    assert day.occupancy == (Decimal(sold) / Decimal(rooms) if rooms else 0)


def test_the_averages_of_a_day() -> None:
    """Three of four rooms, one of five out of inventory, for 100.00 together."""
    day = closed(5, 1, 3, 10_000)
    assert (day.adr, day.rev_par) == (Money(3_333, "EUR"), Money(2_500, "EUR"))
    assert day.occupancy == Decimal("0.75")


_CONTEXTS = st.builds(
    Context,
    prec=st.integers(1, 60),
    rounding=st.sampled_from([ROUND_CEILING, ROUND_DOWN, ROUND_HALF_EVEN, ROUND_UP]),
    traps=st.lists(st.sampled_from([Inexact, Rounded, Subnormal]), unique=True),
)


@given(
    st.integers(1, 2_000),
    st.integers(0, 2_500),
    st.integers(1 - MINOR_LIMIT, MINOR_LIMIT - 1),
    _CONTEXTS,
)
@example(1, 1, 1_763_668, Context(prec=4))
@example(3, 1, 1_000, Context(traps=[Inexact]))
def test_the_callers_decimal_context_changes_no_figure(
    rooms: int, sold: int, revenue: int, context: Context
) -> None:
    """However a host reckons with decimals, and whatever it refuses, a day's figures are these."""
    day = closed(rooms, 0, sold, revenue)
    with localcontext(Context()):
        expected = day.adr, day.rev_par, day.occupancy
    with localcontext(context):
        assert (day.adr, day.rev_par, day.occupancy) == expected


def test_a_price_below_nothing_is_no_base_rate() -> None:
    """A room type may be free, and no more than that."""

    def of(rate: int) -> RoomType:
        return RoomType(
            id=RoomTypeId(new_id()),
            hotel_id=HotelId(new_id()),
            code="DBL",
            name="Double",
            base_rate=Money(rate, "EUR"),
        )

    assert not of(0).base_rate
    with pytest.raises(InvalidInput) as refused:
        of(-1)
    assert str(refused.value) == "base_rate: must not be negative"


@pytest.mark.parametrize("nights", [0, 1])
def test_maintenance_takes_a_night_at_least(nights: int) -> None:
    """A day use withdraws nothing, so it is no period of maintenance."""

    def period() -> MaintenancePeriod:
        return MaintenancePeriod(
            id=MaintenanceId(new_id()),
            hotel_id=HotelId(new_id()),
            room_id=RoomId(new_id()),
            kind=MaintenanceKind.OUT_OF_ORDER,
            period=Stay(DAY, date(2026, 6, 1 + nights)),
            reason="paint",
            created_at=NOON,
        )

    if nights:
        assert len(period().period) == 1
        return
    with pytest.raises(InvalidInput) as refused:
        period()
    assert str(refused.value) == "period: must cover at least one night"


def left(rooms: int, taken: tuple[int, int, int, int], limit: int) -> RoomAvailability:
    """Return a night on which so many rooms are committed, held, out of order, out of inventory."""
    committed, held, out_of_order, out_of_inventory = taken
    return RoomAvailability(
        hotel_id=HotelId(new_id()),
        room_type_id=RoomTypeId(new_id()),
        night=DAY,
        rooms=rooms,
        out_of_inventory=out_of_inventory,
        out_of_order=out_of_order,
        committed=committed,
        held=held,
        overbooking_limit=limit,
        forced=0,
    )


numbers = st.integers(0, 4)
nights_left = st.builds(
    left, st.integers(0, 9), st.tuples(numbers, numbers, numbers, numbers), st.integers(0, 3)
)


@given(st.integers(0, 9), st.tuples(numbers, numbers, numbers, numbers), st.integers(0, 3))
def test_whatever_takes_a_room_leaves_one_less(
    rooms: int, taken: tuple[int, int, int, int], limit: int
) -> None:
    """Each kind counts alike; what may be sold goes beyond it by the limit, and never below 0."""
    night = left(rooms, taken, limit)
    assert night.available == rooms - sum(taken)
    assert night.sellable == max(0, rooms - sum(taken) + limit)


@given(st.lists(nights_left, max_size=4))
def test_a_stay_has_what_its_fullest_night_has(nights: list[RoomAvailability]) -> None:
    """A stay can be sold as often as its fullest night; a day use as there are free rooms."""
    stay = Stay(DAY, date(2026, 6, 1 + len(nights)))
    found = Availability(
        room_type_id=RoomTypeId(new_id()), stay=stay, nights=tuple(nights), free_rooms=()
    )
    assert found.sellable == min((night.sellable for night in nights), default=0)


def test_states_and_kinds_tell_what_they_take() -> None:
    """Three states hold nights, and maintenance keeps a room off sale unless it is in service."""
    holding = {status for status in BookingStatus if status.holds_nights}
    assert holding == {BookingStatus.TENTATIVE, BookingStatus.CONFIRMED, BookingStatus.IN_HOUSE}
    off_sale = {kind for kind in MaintenanceKind if kind.off_sale}
    assert off_sale == {MaintenanceKind.OUT_OF_ORDER, MaintenanceKind.OUT_OF_INVENTORY}
    assert all(stay for stay in (Stay(DAY, DAY), Stay(DAY, date(2026, 6, 2))))


@pytest.mark.parametrize("found", [0, 1])
def test_a_log_is_whole_when_nothing_was_found(found: int) -> None:
    """A report is good exactly when it counts no problem."""
    head = AuditHead(hotel_id=HotelId(new_id()), sequence=1, mac="m")
    assert AuditReport(head=head, entries=1, found=found, problems=()).ok == (not found)


def test_a_hotel_has_a_zone_and_a_currency_that_exist() -> None:
    """Both are checked when the hotel is made, and kept as they were named."""

    def of(zone: str, code: str) -> Hotel:
        return Hotel(
            id=HotelId(new_id()),
            name="Sea View",
            time_zone=zone,
            currency=code,
            business_date=DAY,
            created_at=NOON,
        )

    hotel = of("Europe/Lisbon", "EUR")
    assert (hotel.time_zone, hotel.currency) == ("Europe/Lisbon", "EUR")
    for zone, code in (("Europe/Atlantis", "EUR"), ("Europe/Lisbon", "ATL")):
        with pytest.raises(InvalidInput):
            of(zone, code)
