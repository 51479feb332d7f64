"""The fixtures that pytest finds by itself give a downstream team what they promise."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from hotelcore import HotelCore, Money, Role
from hotelcore.clock import FixedClock
from hotelcore.domain.bookings import BookingStatus
from hotelcore.errors import NotFound
from hotelcore.events.catalogue import BookingCheckedOut, Event, PaymentReceived
from hotelcore.lists import BookingFilter
from hotelcore.operations import check_in_guest, check_out_guest, record_payment
from hotelcore.testing.hotels import NOON, SampleHotel

_A_STRANGERS_TEST = """
import sys

def test_nothing_is_imported():
    assert not {"sqlalchemy", "hotelcore"} & set(sys.modules)

def test_a_fixture_is_there(hotelcore_hotel):
    assert len(hotelcore_hotel.rooms) == 4
"""


def test_pytest_finds_the_fixtures_and_pays_nothing_without_them(tmp_path: Path) -> None:
    """In a run of its own nothing of the library is imported before a fixture is used."""
    [plugin] = entry_points(group="pytest11", name="hotelcore")
    assert plugin.value == "pytest_hotelcore"
    (tmp_path / "test_strange.py").write_text(_A_STRANGERS_TEST)
    # Other plugins are not its own doing, and older ones do not suit every pytest.
    without = ["-p", "no:randomly", "-p", "no:anyio"]
    command = [sys.executable, "-m", "pytest", "-q", *without, "--rootdir", ".", "."]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "2 passed" in ended.stdout


def test_the_hotel_is_at_work(hotelcore_hotel: SampleHotel, hotelcore_core: HotelCore) -> None:
    """One guest is expected, one in house, and its records agree with each other."""
    hotel = hotelcore_hotel
    assert hotel.expected.status is BookingStatus.CONFIRMED
    assert hotel.in_house.status is BookingStatus.IN_HOUSE
    assert hotel.folio.balance.minor == 950 - 5_000
    assert hotelcore_core.prove(hotel.hotel_id, commands=10).ok


def test_the_second_hotel_is_another(
    hotelcore_hotel: SampleHotel, hotelcore_second_hotel: SampleHotel
) -> None:
    """Neither sees a booking of the other, though both are in one database."""
    first, second = hotelcore_hotel, hotelcore_second_hotel
    for here, there in ((first, second), (second, first)):
        with here.desk.reading() as uow:
            assert len(uow.bookings.page(BookingFilter()).items) == 2
        with pytest.raises(NotFound):
            here.desk.run(check_in_guest, booking_id=there.expected.id)


def test_events_are_captured_when_they_are_committed(
    hotelcore_hotel: SampleHotel, hotelcore_events: list[Event], hotelcore_clock: FixedClock
) -> None:
    """What happens from now on is in the list, in its order; the clock stands still."""
    hotel = hotelcore_hotel
    assert hotelcore_events == []
    desk = hotel.acting_as(Role.MANAGER)
    desk.run(record_payment, folio_id=hotel.folio.id, amount=Money(100, "EUR"), method="cash")
    assert [type(event) for event in hotelcore_events] == [PaymentReceived]
    assert hotelcore_clock.now() == NOON
    desk.run(check_out_guest, booking_id=hotel.in_house.id, unsettled_reason="shown here")
    assert BookingCheckedOut in {type(event) for event in hotelcore_events}
