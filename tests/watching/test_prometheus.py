"""What a core tells arrives in Prometheus."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

import pytest
from attrs import frozen
from prometheus_client import CollectorRegistry, generate_latest
from sqlalchemy import NullPool, create_engine

from hotelcore import HotelCore, Role
from hotelcore.errors import AlreadyExists, DatabaseBusy, PermissionDenied
from hotelcore.lists import GuestFilter
from hotelcore.operations import add_rooms, register_guest
from hotelcore.unit_of_work import UnitOfWork
from hotelcore.watching.prometheus import instrument
from tests.small_hotel import SmallHotel, open_hotel

CANARY = "Zaunkönig-7"


@frozen
class Scraped:
    """A hotel whose core is measured in a registry of its own."""

    hotel: SmallHotel
    registry: CollectorRegistry

    def value(self, name: str, **labels: str) -> float | None:
        """Return the value of one series, if there is one."""
        return self.registry.get_sample_value(name, labels)


@pytest.fixture
def scraped(schema_url: str) -> Generator[Scraped]:
    """Return a hotel under Prometheus, on SQLite and PostgreSQL in turn."""
    registry = CollectorRegistry()
    with closing(HotelCore(schema_url)) as core:
        core.create_schema()
        hotel = open_hotel(core)
        instrument(core.watch, registry=registry)
        yield Scraped(hotel, registry)


def test_statements_are_measured(scraped: Scraped) -> None:
    """Seconds and rows are kept by the name of the statement, failures by their class."""
    hotel = scraped.hotel
    for name in (CANARY, "Second"):
        hotel.desk.run(register_guest, last_name=name)
    with hotel.desk.reading() as uow:
        uow.guests.page(GuestFilter())
    taken = [hotel.rooms[0].number]
    with pytest.raises(AlreadyExists):
        hotel.desk.run(add_rooms, room_type_id=hotel.room_type_id, numbers=taken)
    seconds = "hotelcore_statement_seconds"
    assert scraped.value(f"{seconds}_count", statement="INSERT hc_guest", error="") == 2
    total = scraped.value(f"{seconds}_sum", statement="INSERT hc_guest", error="")
    assert total is not None
    assert 0 < total < 10
    failed = {"statement": "INSERT hc_room", "error": "UniqueViolation"}
    assert scraped.value(f"{seconds}_count", **failed) == 1
    assert scraped.value("hotelcore_statement_rows_total", statement="SELECT hc_guest") == 3
    assert CANARY not in generate_latest(scraped.registry).decode()
    assert str(hotel.hotel_id) not in generate_latest(scraped.registry).decode()


def test_units_are_counted(scraped: Scraped) -> None:
    """Units are counted by what became of them, and each attempt after the first as a retry."""
    hotel, attempts = scraped.hotel, list[int]()

    def stubborn(uow: UnitOfWork) -> None:
        attempts.append(1)
        if len(attempts) < 3:
            raise DatabaseBusy

    hotel.desk.run(stubborn)
    hotel.desk.run(register_guest, last_name="Second")
    with pytest.raises(PermissionDenied):
        hotel.acting(Role.STAFF).run(register_guest, last_name=CANARY)
    committed = {"unit": "register_guest", "ending": "committed", "error": ""}
    refused = {"unit": "register_guest", "ending": "refused", "error": "PermissionDenied"}
    assert scraped.value("hotelcore_units_total", **committed) == 1
    assert scraped.value("hotelcore_units_total", **refused) == 1
    assert scraped.value("hotelcore_unit_seconds_count", unit="register_guest") == 2
    assert scraped.value("hotelcore_unit_retries_total", unit="register_guest") == 0
    again = f"{stubborn.__module__}.{stubborn.__qualname__}"
    assert scraped.value("hotelcore_unit_retries_total", unit=again) == 2


def test_the_pool_is_read_when_it_is_scraped(scraped: Scraped) -> None:
    """The gauges tell what is so at the moment."""
    engine = scraped.hotel.core.engine
    with engine.connect(), engine.connect():
        assert scraped.value("hotelcore_pool_connections", state="used") == 2
    assert scraped.value("hotelcore_pool_connections", state="used") == 0
    assert scraped.value("hotelcore_pool_connections", state="idle") == 2
    assert scraped.value("hotelcore_pool_connections_most") == 15
    assert scraped.value("hotelcore_pool_waiting") == 0


def test_a_pool_that_does_not_count_has_no_gauges(sqlite_url: str) -> None:
    """What a host's pool does not tell is left out."""
    registry = CollectorRegistry()
    instrument(HotelCore(create_engine(sqlite_url, poolclass=NullPool)).watch, registry=registry)
    engine = create_engine(sqlite_url, pool_size=0)
    unbounded = CollectorRegistry()
    instrument(HotelCore(engine).watch, registry=unbounded)
    assert b"hotelcore_pool" not in generate_latest(registry)
    assert unbounded.get_sample_value("hotelcore_pool_connections", {"state": "idle"}) == 0
    assert unbounded.get_sample_value("hotelcore_pool_connections_most") is None
    assert unbounded.get_sample_value("hotelcore_pool_waiting") is None
    engine.dispose()


def test_a_registry_takes_one_core(sqlite_url: str) -> None:
    """A second core in a registry is refused in words of its own."""
    registry = CollectorRegistry()
    with closing(HotelCore(sqlite_url)) as core:
        instrument(core.watch, registry=registry)
        with pytest.raises(ValueError, match="Duplicated timeseries"):
            instrument(core.watch, registry=registry)
