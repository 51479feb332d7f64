"""Closed business days, and the PMS connection with its mappings."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import date
from uuid import UUID

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from hotelcore.domain.business_day import BusinessDay
from hotelcore.domain.pms import ExternalMapping, ExternalPMSConfig, PmsResource
from hotelcore.errors import AlreadyExists, NotFound, StaleVersion
from hotelcore.ids import PmsConfigId, new_id
from hotelcore.sql.repositories.business_day import SqlBusinessDays
from hotelcore.sql.repositories.pms import SqlPmsConnections
from hotelcore.sql.sealing.sealed import Sealing
from hotelcore.sql.seam.statements import Statements
from tests.sql.house import (
    NOON,
    House,
    attributes,
    days,
    instants,
    monies,
    new_house,
    texts,
)

counts = st.integers(0, 2**31 - 1)


def closed_days(house: House) -> st.SearchStrategy[BusinessDay]:
    """Give any closed day of a hotel."""
    return st.builds(
        BusinessDay,
        hotel_id=st.just(house.hotel_id),
        date=days,
        rooms=counts,
        out_of_inventory=counts,
        out_of_order=counts,
        rooms_sold=counts,
        room_revenue=monies,
        arrivals=counts,
        departures=counts,
        no_shows=counts,
        closed_at=instants,
        closed_by=texts(200),
    )


@given(data=st.data(), first=days, last=days)
def test_closed_days_come_back(
    database: Engine, data: st.DataObject, first: date, last: date
) -> None:
    """Days are read back equal, one by one and in order between two dates, both included."""
    house = new_house(database)
    stored = data.draw(st.lists(closed_days(house), max_size=6, unique_by=lambda day: day.date))
    ends = [day.date for day in stored]
    first, last = (data.draw(st.sampled_from([*ends, end])) for end in (first, last))
    with house.writing() as run:
        store = SqlBusinessDays(run)
        for day in stored:
            store.add(day)
        assert [store.find(day.date) for day in stored] == stored
        between = [day for day in stored if first <= day.date <= last]
        assert store.between(first, last) == tuple(sorted(between, key=lambda day: day.date))


@given(data=st.data())
def test_a_day_is_closed_once_in_a_hotel(database: Engine, data: st.DataObject) -> None:
    """A date that is closed is refused again; for another hotel it is still open."""
    house, other = new_house(database), new_house(database)
    day, again = data.draw(closed_days(house)), data.draw(closed_days(house))
    with house.writing() as run:
        SqlBusinessDays(run).add(day)
    with house.writing() as run, pytest.raises(AlreadyExists):
        SqlBusinessDays(run).add(attrs.evolve(again, date=day.date))
    with other.writing() as run:
        assert SqlBusinessDays(run).find(day.date) is None
        SqlBusinessDays(run).add(attrs.evolve(day, hotel_id=other.hotel_id))


# -- PMS --------------------------------------------------------------------------------------


def connections(run: Statements) -> SqlPmsConnections:
    """Return the repository of a hotel that has no keys, for an actor who may do anything."""
    return SqlPmsConnections(run, Sealing(run.hotel_id, None, lambda permission, what: None))


def configs(house: House) -> st.SearchStrategy[ExternalPMSConfig]:
    """Give any connection of a hotel."""
    return st.builds(
        ExternalPMSConfig,
        id=st.builds(lambda: PmsConfigId(new_id())),
        hotel_id=st.just(house.hotel_id),
        vendor=texts(50),
        external_hotel_id=texts(200),
        connected_at=instants,
        last_synced_at=st.none() | instants,
        attributes=attributes,
        version=st.integers(1, 1_000),
    )


@pytest.fixture
def connected(house: House) -> ExternalPMSConfig:
    """Connect the house and return its connection."""
    config = ExternalPMSConfig(
        id=PmsConfigId(new_id()),
        hotel_id=house.hotel_id,
        vendor="acme",
        external_hotel_id="H1",
        connected_at=NOON,
    )
    with house.writing() as run:
        connections(run).add(config)
    return config


def a_mapping(config: ExternalPMSConfig, external_id: str, **changes: object) -> ExternalMapping:
    """Build the mapping of a room to a new record, or another one."""
    values: dict[str, object] = {
        "hotel_id": config.hotel_id,
        "config_id": config.id,
        "resource": PmsResource.ROOM,
        "external_id": external_id,
        "internal_id": new_id(),
        "fingerprint": "0" * 64,
    }
    return ExternalMapping(**{**values, **changes})  # type: ignore[arg-type]  # checked when built


def mapped_otherwise() -> AlreadyExists:
    """Build the error for an id that has another mapping."""
    return AlreadyExists("external mapping", "id")


@given(data=st.data())
def test_a_connection_comes_back_as_stored(database: Engine, data: st.DataObject) -> None:
    """A connection is read back equal, and an update stores every field once."""
    house = new_house(database)
    config, other = data.draw(configs(house)), data.draw(configs(house))
    with house.writing() as run:
        store = connections(run)
        store.add(config)
        assert store.current() == store.lock() == config
        changed = attrs.evolve(other, id=config.id, version=config.version)
        later = store.update(changed)
        assert later == store.current() == attrs.evolve(changed, version=config.version + 1)
        with pytest.raises(StaleVersion):
            store.update(config)


def test_a_hotel_has_one_connection(house: House, connected: ExternalPMSConfig) -> None:
    """A second connection is refused; a hotel without one says so."""
    with house.writing() as run, pytest.raises(AlreadyExists):
        connections(run).add(attrs.evolve(connected, id=PmsConfigId(new_id())))
    with new_house(house.engine).reading() as run, pytest.raises(NotFound):
        connections(run).current()


def test_a_removed_connection_takes_its_mappings_along(
    house: House, connected: ExternalPMSConfig
) -> None:
    """A connection is removed at its latest version only, and a new one starts without mappings."""
    with house.writing() as run:
        store = connections(run)
        store.put_mappings([a_mapping(connected, "101")], twice=mapped_otherwise)
        with pytest.raises(StaleVersion):
            store.remove(attrs.evolve(connected, version=9))
        assert store.mappings(PmsResource.ROOM, ["101"])
        store.remove(connected)
        with pytest.raises(NotFound):
            store.current()
        # The same id again: mappings left behind would come back to light.
        store.add(connected)
        assert store.mappings(PmsResource.ROOM, ["101"]) == {}


@given(data=st.data())
def test_mappings_come_back_by_external_id(database: Engine, data: st.DataObject) -> None:
    """Of the ids that were asked for exactly the known ones of that kind are answered."""
    house = new_house(database)
    config = data.draw(configs(house))
    mapping = st.builds(
        ExternalMapping,
        hotel_id=st.just(house.hotel_id),
        config_id=st.just(config.id),
        resource=st.sampled_from(PmsResource),
        external_id=texts(200),
        internal_id=st.builds(lambda: new_id()),
        fingerprint=texts(64),
    )
    stored = data.draw(
        st.lists(mapping, max_size=8, unique_by=lambda one: (one.resource, one.external_id))
    )
    known = [one.external_id for one in stored]
    asked = data.draw(st.lists(st.sampled_from(known or ["x"]) | texts(9)))
    resource = data.draw(st.sampled_from(PmsResource))
    with house.writing() as run:
        store = connections(run)
        store.add(config)
        store.put_mappings(stored, twice=mapped_otherwise)
        assert store.mappings(resource, asked) == {
            one.external_id: one
            for one in stored
            if one.resource is resource and one.external_id in asked
        }


def test_thousands_of_ids_are_asked_for_at_once(house: House, connected: ExternalPMSConfig) -> None:
    """More ids than one statement takes are answered together."""
    stored = {str(n): a_mapping(connected, str(n)) for n in range(0, 2_400, 2)}
    with house.writing() as run:
        store = connections(run)
        store.put_mappings(list(stored.values()), twice=mapped_otherwise)
        found = store.mappings(PmsResource.ROOM, [str(n) for n in range(2_400)])
        assert found == stored
        assert store.mappings(PmsResource.ROOM, []) == {}


@pytest.mark.parametrize("schema_url", ["postgresql"], indirect=True)
def test_a_server_that_knows_nothing_of_the_table_looks_up_each_id(
    house: House, connected: ExternalPMSConfig
) -> None:
    """In a first synchronisation it has no statistics, and reads no other mappings all the same."""
    stored = {str(n): a_mapping(connected, str(n)) for n in range(2_000)}
    asked = [str(n) for n in range(1_990, 2_010)]
    with house.writing() as run:
        store = connections(run)
        store.put_mappings(list(stored.values()), twice=mapped_otherwise)
        before = rows_fetched(run)
        assert len(store.mappings(PmsResource.ROOM, asked)) == 10
        assert rows_fetched(run) - before == 2 * 10  # its two columns are looked up each


def rows_fetched(run: Statements) -> int:
    """Return how many mappings this transaction has fetched by an index."""
    statistics = text("SELECT idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = :name")
    return int(run._connection.scalar(statistics, {"name": "hc_external_mapping"}) or 0)


def test_a_mapping_put_again_takes_the_new_fingerprint(
    house: House, connected: ExternalPMSConfig
) -> None:
    """A mapping is stored again with another fingerprint, also twice in one go."""
    mapping = a_mapping(connected, "101")
    latest = attrs.evolve(mapping, fingerprint="f" * 64)
    with house.writing() as run:
        store = connections(run)
        store.put_mappings(
            [mapping, attrs.evolve(mapping, fingerprint="a" * 64), latest], twice=mapped_otherwise
        )
        assert store.mappings(PmsResource.ROOM, ["101"]) == {"101": latest}


@pytest.mark.parametrize("beside", [1, 20])
@pytest.mark.parametrize("together", [False, True])
def test_records_map_one_to_one(
    house: House, connected: ExternalPMSConfig, beside: int, together: bool
) -> None:
    """Neither side of a mapping is ever mapped to something else, and nothing of it is kept."""
    first = a_mapping(connected, "101")
    with house.writing() as run:
        connections(run).put_mappings([first], twice=mapped_otherwise)
    other: UUID = new_id()
    for wrong in (
        attrs.evolve(first, internal_id=other, fingerprint="x"),
        attrs.evolve(first, external_id="102"),
    ):
        others = [a_mapping(connected, f"{103 + n}") for n in range(beside)]
        with (
            pytest.raises(AlreadyExists, match="mapping"),
            house.writing() as run,
            run.together() if together else nullcontext(),
        ):
            connections(run).put_mappings([*others, wrong], twice=mapped_otherwise)
    with house.writing() as run:
        store = connections(run)
        assert store.mappings(PmsResource.ROOM, ["101", "102", "103"]) == {"101": first}
        # Another kind of record is another matter.
        elsewhere = attrs.evolve(first, resource=PmsResource.GUEST)
        store.put_mappings([elsewhere], twice=mapped_otherwise)
