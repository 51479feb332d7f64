"""The key of another system: sealed in its row, given to who may manage it, and nowhere else."""

from __future__ import annotations

import asyncio
import logging
import pickle
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, inspect, select, text, update
from sqlalchemy.engine import make_url

from hotelcore import (
    AsyncHotelCore,
    HotelCore,
    HotelcoreError,
    Permission,
    Role,
    Secret,
    TableNames,
    new_id,
)
from hotelcore.domain.sealed import Resealed
from hotelcore.errors import (
    InvalidInput,
    NoKeys,
    NotFound,
    PermissionDenied,
    SealBroken,
    StaleVersion,
)
from hotelcore.ids import HotelId
from hotelcore.lists import AuditFilter
from hotelcore.operations import (
    change_pms_key,
    connect_pms,
    disconnect_pms,
    register_guest,
    reseal_secrets,
)
from hotelcore.relay import Relay
from hotelcore.sql.repositories.pms import PMS_CONFIG
from hotelcore.unit_of_work import UnitOfWork
from hotelcore.vault import Place, unseal
from tests.small_hotel import nothing_kept
from tests.vault.canary import CANARY, shown, traced
from tests.vault.houses import desk_of, open_house, ring, secrets_of

any_value: Callable[..., Any] = lambda value: value  # noqa: E731  # hides a type from mypy
_c = PMS_CONFIG.c


@pytest.fixture
def core(schema_url: str) -> Generator[HotelCore]:
    """Return a core with keys over an empty database."""
    with closing(HotelCore(schema_url, keys=ring(1, 2))) as core:
        core.create_schema()
        yield core


@pytest.fixture
def keyless(schema_url: str) -> Generator[HotelCore]:
    """Return a core without keys over an empty database."""
    with closing(HotelCore(schema_url)) as core:
        core.create_schema()
        yield core


def envelopes(engine: Engine) -> list[bytes]:
    """Return every sealed key, as the table has it."""
    with engine.connect() as connection:
        rows = connection.execute(select(_c.api_key).where(_c.api_key.is_not(None)))
        return [bytes(row.api_key) for row in rows]


# -- kept, given, changed ---------------------------------------------------------------------


def test_a_key_comes_back_to_who_may_manage_it(core: HotelCore) -> None:
    """The administrator gets the key, in a unit that writes and in one that reads."""
    hotel = open_house(core, CANARY)
    assert secrets_of(core, [hotel]) == {hotel: CANARY}
    with desk_of(core, hotel).transaction() as uow:
        assert uow.pms.api_key() == Secret(CANARY)
        assert uow.pms.current().has_key
        assert uow.pms.lock().has_key


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMIN])
def test_nobody_else_gets_it(core: HotelCore, role: Role) -> None:
    """Without the permission there is no key, and the refusal says which one is missing."""
    hotel = open_house(core, CANARY)
    desk = desk_of(core, hotel, role)
    with pytest.raises(PermissionDenied) as caught, desk.reading() as uow:
        uow.pms.api_key()
    expected = Permission.BOOKINGS_VIEW if role is Role.GUEST else Permission.PMS_MANAGE
    assert caught.value.permission == expected
    assert CANARY not in traced(caught.value)


def test_a_key_is_changed_forgotten_and_gone_with_its_connection(core: HotelCore) -> None:
    """The last key given counts; without one, and without a connection, there is nothing to get."""
    hotel = open_house(core, "first")
    desk = desk_of(core, hotel)
    config = desk.run(change_pms_key, api_key=Secret("second"))
    assert config.has_key
    with desk.reading() as uow:
        [entry] = uow.audit.page(AuditFilter(operation="change_pms_key")).items
    [change] = entry.changes
    assert (change.resource, change.resource_id) == ("pms_config", config.id)
    assert (change.before, change.after) == ({}, {})  # a key for another: nothing of it is shown
    assert secrets_of(core, [hotel]) == {hotel: "second"}
    config = desk.run(change_pms_key, api_key=None)
    assert not config.has_key
    with desk.reading() as uow:
        assert uow.pms.current() == config
        with pytest.raises(NotFound, match="no PMS key at all"):
            uow.pms.api_key()
    desk.run(change_pms_key, api_key=Secret("third"))
    desk.run(disconnect_pms)
    assert envelopes(core.engine) == []
    with desk.reading() as uow, pytest.raises(NotFound, match="no PMS connection at all"):
        uow.pms.api_key()
    with pytest.raises(NotFound):
        desk.run(change_pms_key, api_key=Secret("fourth"))


def test_another_change_leaves_the_key(core: HotelCore) -> None:
    """Storing the connection anew keeps its key; a key for a stale connection is refused."""
    hotel = open_house(core, CANARY)

    def touch(uow: UnitOfWork) -> None:
        with uow.command("touch", Permission.PMS_MANAGE):
            config = uow.pms.lock()
            uow.pms.update(config)
            with pytest.raises(StaleVersion):
                uow.pms.set_key(config, Secret("stale"))

    desk_of(core, hotel).run(touch)
    assert secrets_of(core, [hotel]) == {hotel: CANARY}


def test_a_rotation_takes_no_more_than_it_is_told(schema_url: str) -> None:
    """It stops at its limit and says that there is more, and goes on from there the next time."""
    with closing(HotelCore(schema_url, keys=ring(1))) as older:
        older.create_schema()
        hotel = open_house(older, CANARY)
        for number in range(3):
            desk_of(older, hotel).run(register_guest, last_name=f"Guest {number}")
    with closing(HotelCore(schema_url, keys=ring(1, 2))) as newer:
        desk = desk_of(newer, hotel)
        first = desk.run(reseal_secrets, limit=1)
        assert first == Resealed(resealed=1, broken=0, more=True)
        rest = desk.run(reseal_secrets, limit=1_000)
        assert rest.resealed >= 3
        assert not rest.more
        with desk.reading() as uow:
            entries = uow.audit.page(AuditFilter(operation="reseal_secrets")).items
            assert {entry.business_date for entry in entries} == {uow.hotel.business_date}


@pytest.mark.parametrize("limit", [-1, 0, 1_001])
def test_a_rotation_is_no_longer_than_a_thousand_values(core: HotelCore, limit: int) -> None:
    """Another number of values is refused by name."""
    hotel = open_house(core, CANARY)
    with pytest.raises(InvalidInput) as refused:
        desk_of(core, hotel).run(reseal_secrets, limit=limit)
    assert str(refused.value) == "limit: must be a whole number from 1 to 1000"


def test_a_hotel_must_be_registered_before_its_keys_are_renewed(core: HotelCore) -> None:
    """A hotel that is not registered is told so, although it has nothing to seal."""
    with pytest.raises(NotFound, match="not registered"):
        desk_of(core, HotelId(new_id())).run(reseal_secrets)


def test_asyncio_has_keys_too(core: HotelCore, schema_url: str) -> None:
    """A key that one core sealed is opened by an asynchronous one with the same ring."""
    hotel = open_house(core, CANARY)

    def revealed(uow: UnitOfWork) -> str:
        return uow.pms.api_key().reveal()

    async def opened() -> str:
        other = AsyncHotelCore(schema_url, keys=ring(1, 2))
        try:
            desk = other.acting_as(desk_of(core, hotel).actor)
            return await desk.run(revealed)
        finally:
            await other.close()

    assert asyncio.run(opened()) == CANARY


# -- without keys -----------------------------------------------------------------------------


def test_without_keys_no_key_is_taken(keyless: HotelCore) -> None:
    """A key that cannot be sealed is not stored at all; the error says how to give keys."""
    desk = desk_of(keyless, open_house(keyless))
    with nothing_kept(keyless.engine):
        with pytest.raises(NoKeys, match="keys=") as caught:
            desk.run(connect_pms, vendor="acme", external_hotel_id="H1", api_key=Secret(CANARY))
        with pytest.raises(NoKeys):
            desk.run(reseal_secrets)
    assert CANARY not in traced(caught.value)
    config = desk.run(connect_pms, vendor="acme", external_hotel_id="H1")
    assert not config.has_key
    with pytest.raises(NoKeys):
        desk.run(change_pms_key, api_key=Secret(CANARY))
    assert desk.run(change_pms_key, api_key=None).version == 2


def test_without_keys_a_sealed_key_stays_shut(core: HotelCore, schema_url: str) -> None:
    """A core without keys, or with others, says so; with the right ones it opens again."""
    hotel = open_house(core, CANARY)
    with closing(HotelCore(schema_url)) as other, pytest.raises(NoKeys):
        secrets_of(other, [hotel])
    with closing(HotelCore(schema_url, keys=ring(1, 3))) as other, pytest.raises(SealBroken):
        secrets_of(other, [hotel])
    with closing(HotelCore(schema_url, keys=ring(2, 3))) as other:
        assert secrets_of(other, [hotel]) == {hotel: CANARY}


# -- in its own row alone ---------------------------------------------------------------------


def test_a_key_moved_to_another_hotel_stays_shut(core: HotelCore) -> None:
    """Whoever copies an envelope into another hotel's row gains nothing."""
    one, other = open_house(core, CANARY), open_house(core, "of the other")
    [mine] = [envelope for envelope in envelopes(core.engine) if _opens(core, one, envelope)]
    with core.engine.begin() as connection:
        connection.execute(update(PMS_CONFIG).where(_c.hotel_id == other).values(api_key=mine))
    with pytest.raises(SealBroken) as caught:
        secrets_of(core, [other])
    assert CANARY not in traced(caught.value)
    assert secrets_of(core, [one]) == {one: CANARY}


def _opens(core: HotelCore, hotel: Any, envelope: bytes) -> bool:  # Any: a hotel's id
    with desk_of(core, hotel).reading() as uow:
        config = uow.pms.current()
    try:
        unseal(ring(1, 2), Place(hotel, "hc_pms_config", "api_key", config.id), envelope)
    except SealBroken:
        return False
    return True


def test_a_renamed_table_still_opens(schema_url: str) -> None:
    """The place has the library's own names, so an envelope outlives another prefix."""
    names = TableNames(prefix="inn_")
    with closing(HotelCore(schema_url, keys=ring(1), names=names)) as core:
        core.create_schema()
        hotel = open_house(core, CANARY)
        with core.engine.connect() as connection:
            envelope = bytes(
                connection.execute(text("SELECT api_key FROM inn_pms_config")).scalar_one()
            )
        assert _opens(core, hotel, envelope)


def test_the_table_takes_envelopes_alone(core: HotelCore) -> None:
    """A secret as it is never reaches the column, whoever writes there."""
    hotel = open_house(core, CANARY)
    statement = update(PMS_CONFIG).where(_c.hotel_id == hotel)
    with pytest.raises(Exception, match="envelope: ") as caught, core.engine.begin() as connection:
        connection.execute(statement.values(api_key=CANARY.encode()))
    assert isinstance(caught.value.__cause__ or caught.value, InvalidInput)


# -- nowhere else -----------------------------------------------------------------------------


def test_a_secret_under_an_idempotency_key_is_refused(core: HotelCore) -> None:
    """A fingerprint of the arguments would be a hash of the secret, so nothing is stored."""
    desk = desk_of(core, open_house(core))
    with nothing_kept(core.engine), pytest.raises(InvalidInput) as caught:
        desk.once("k").run(
            connect_pms, vendor="acme", external_hotel_id="H1", api_key=Secret(CANARY)
        )
    assert caught.value.field == "api_key"
    assert "without an idempotency key" in str(caught.value)
    assert CANARY not in traced(caught.value)


def everything_stored(engine: Engine) -> bytes:
    """Return the content of the database: of SQLite its files, of PostgreSQL a dump of all rows."""
    if engine.dialect.name == "sqlite":
        file = Path(str(make_url(engine.url).database))
        return b"".join(path.read_bytes() for path in file.parent.glob(f"{file.name}*"))
    with engine.connect() as connection:
        names = inspect(connection).get_table_names()
        assert "hc_pms_config" in names
        rows = [
            connection.execute(text(f'SELECT t::text FROM "{name}" t')).scalars().all()
            for name in names
        ]
        return repr(rows).encode()


def test_no_sink_of_a_whole_life_shows_a_key(
    schema_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither database, debug log, events, audit nor results show it, whatever is done with it."""
    engine = create_engine(schema_url, echo="debug")
    told: list[object] = []
    with caplog.at_level(logging.DEBUG), closing(HotelCore(engine, keys=ring(1))) as core:
        core.create_schema()
        hotel = open_house(core)
        desk = desk_of(core, hotel)
        told += [desk.run(connect_pms, vendor="a", external_hotel_id="1", api_key=Secret(CANARY))]
        told += [desk.run(change_pms_key, api_key=Secret(CANARY[::-1]))]
        told += [desk.run(change_pms_key, api_key=Secret(CANARY))]
        rotating = HotelCore(engine, keys=ring(1, 2))
        told += [desk_of(rotating, hotel).run(reseal_secrets)]
        assert secrets_of(rotating, [hotel]) == {hotel: CANARY}
        Relay(core).run_until_idle()
        with desk.reading() as uow:
            told += [uow.pms.current(), uow.audit.page(AuditFilter()), uow.events.behind()]
        stored = everything_stored(engine)
        told += [desk.run(disconnect_pms)]
    assert "hc_pms_config" in caplog.text
    for form in (CANARY, CANARY[::-1], CANARY.encode().hex(), CANARY.encode().hex().upper()):
        assert form not in repr(told)
        assert form.encode() not in stored
        assert form not in caplog.text
        assert all(form not in repr(vars(record)) for record in caplog.records)


def test_a_failing_database_shows_no_key(schema_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """No error, traceback with locals, debug log or pickle of a failed statement shows it."""
    engine = create_engine(schema_url, echo="debug")
    with closing(HotelCore(engine, keys=ring(1))) as core, caplog.at_level(logging.DEBUG):
        core.create_schema()
        hotel = open_house(core, CANARY)
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE hc_pms_config RENAME COLUMN api_key TO gone"))
        desk = desk_of(core, hotel)
        failing: list[Callable[[], object]] = [
            lambda: desk.run(change_pms_key, api_key=Secret(CANARY)),
            lambda: desk.run(
                connect_pms, vendor="acme", external_hotel_id="2", api_key=Secret(CANARY)
            ),
            lambda: secrets_of(core, [hotel]),
        ]
        for fail in failing:
            with pytest.raises(HotelcoreError) as caught:
                fail()
            assert CANARY not in traced(caught.value)
            assert CANARY not in shown(pickle.loads(pickle.dumps(caught.value)))
    assert CANARY not in caplog.text
