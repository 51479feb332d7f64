"""Events under torture: whoever writes, relays or handles them is killed, again and again.

`HOTELCORE_EVENTS` says how many events each run has (600 unless told). The summary at the end of
the run gives the figures of each, with its seed; `pytest --randomly-seed` gives the same ones.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from tests.postgres_server import administration, fresh_database
from tests.records import RECORD
from tests.torture.consumer import GROUP
from tests.torture.processes import Crowd, Part, crowd
from tests.torture.runs import Record, prepared, torture
from tests.torture.server import CrashingServer
from tests.transports.places import BROKERS, Place, place_on

pytestmark = pytest.mark.race

RELAYS: list[Part] = [("relay", 0), ("relay", 1)]
CONSUMERS: list[Part] = [("consumer", 0), ("consumer", 1)]


@pytest.fixture
def record(record_property: Callable[[str, object], None]) -> Generator[Record]:
    """Return the record that the run fills; it is shown at the end."""
    record = Record(seed=random.getrandbits(32))
    yield record
    record_property(RECORD, str(record))


@pytest.fixture
def people(tmp_path: Path) -> Generator[Crowd]:
    """Return the processes of the run, which are gone afterwards."""
    with crowd(tmp_path) as processes:
        yield processes


@pytest.fixture
def crashing_url(own_server: CrashingServer) -> Generator[str]:
    """Return the URL of an empty database on the server that may crash."""
    with fresh_database(administration(own_server.url)) as url:
        yield url


@pytest.fixture(params=BROKERS)
def place(request: pytest.FixtureRequest) -> Generator[Place]:
    """Return a place on each broker in turn, where the consumers' group is known already."""
    place = place_on(request.param)
    with place.transport() as transport:
        transport.consume(lambda _: None, group=GROUP).stop()
    yield place
    place.cleared()


def test_nothing_is_lost_twice_or_out_of_order_on_sqlite(
    sqlite_url: str, tmp_path: Path, people: Crowd, record: Record
) -> None:
    """Whoever is killed, each event has one effect, in the order of its booking."""
    torture(prepared(tmp_path, sqlite_url, seed=record.seed), people, RELAYS, record)


def test_nothing_is_lost_twice_or_out_of_order_on_postgresql(
    crashing_url: str, own_server: CrashingServer, tmp_path: Path, people: Crowd, record: Record
) -> None:
    """The same holds while the server crashes too."""
    scene = prepared(tmp_path, crashing_url, seed=record.seed)
    torture(scene, people, RELAYS, record, server=own_server)


def test_nothing_is_lost_twice_or_out_of_order_behind_a_broker(
    place: Place,
    crashing_url: str,
    own_server: CrashingServer,
    tmp_path: Path,
    people: Crowd,
    record: Record,
) -> None:
    """The same holds for what a broker brings to consumers, who are killed as well."""
    scene = prepared(tmp_path, crashing_url, seed=record.seed, place=place)
    torture(scene, people, [*RELAYS, *CONSUMERS], record, server=own_server)
