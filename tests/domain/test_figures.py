"""The figures of a closed day, and what a room type and a maintenance period refuse."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotelcore.domain.business_day import BusinessDay
from hotelcore.domain.money import Money
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
