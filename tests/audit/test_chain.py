"""An audit log that nobody touched always verifies, and the database lets nobody touch it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Uuid, bindparam, create_engine, text
from sqlalchemy.exc import DBAPIError

from hotelcore import Actor, AsyncHotelCore, HotelCore, Role, new_id, wire
from hotelcore import operations as op
from hotelcore.domain.audit import AuditHead, AuditProblem, AuditReport, Fault, Outcome
from hotelcore.errors import NotFound, PermissionDenied, TenantMismatch
from hotelcore.ids import HotelId
from hotelcore.vault import KeyRing
from tests.audit.conftest import KEYS
from tests.audit.work import DEEDS, entries_of, live
from tests.small_hotel import TODAY, SmallHotel, open_hotel, shared_core


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shared(request: pytest.FixtureRequest) -> Generator[HotelCore]:
    """Return one core with keys for all examples."""
    with shared_core(request) as core:
        keyed = HotelCore(core.engine, keys=KEYS)
        yield keyed


@given(names=st.lists(st.sampled_from(sorted(DEEDS)), max_size=12))
def test_an_untouched_log_verifies(shared: HotelCore, names: list[str]) -> None:
    """Whatever happens, each command and each refusal has one entry, and the chain holds."""
    hotel = open_hotel(shared, rooms=30)
    before = entries_of(hotel)
    done, denied = (
        (sum(counts) for counts in zip(*[DEEDS[name](hotel) for name in names], strict=True))
        if names
        else (0, 0)
    )
    assert entries_of(hotel) == {
        Outcome.DONE: before[Outcome.DONE] + done,
        Outcome.DENIED: denied,
    }
    report = shared.verify_audit(hotel.hotel_id)
    assert (report.ok, report.problems) == (True, ())
    assert report.entries == report.head.sequence == sum(before.values()) + done + denied
    assert report.head.key_number == KEYS.current().number
    assert shared.verify_audit(hotel.hotel_id, since=report.head) == report


@pytest.mark.parametrize("schema_url", ["postgresql"], indirect=True)
def test_a_session_may_have_another_encoding(hotel: SmallHotel, schema_url: str) -> None:
    """What hides a guest's data is a character that Latin-1 lacks, and the mac is over UTF-8."""
    engine = create_engine(schema_url, connect_args={"client_encoding": "latin1"})
    elsewhere = HotelCore(engine, keys=KEYS).acting_as(hotel.desk.actor)
    elsewhere.run(op.register_guest, last_name="Núñez", attributes={"club": "日本"})
    engine.dispose()
    assert hotel.core.verify_audit(hotel.hotel_id).ok


@pytest.mark.race
def test_writers_at_once_leave_one_chain(hotel: SmallHotel) -> None:
    """16 threads that write, fail, are denied and undo things leave no gap and no fork."""

    def one(seed: int) -> None:
        live(hotel, 8, Random(seed))

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(one, range(16)))
    counts = entries_of(hotel)
    assert counts[Outcome.DONE] > 50 < sum(counts.values())
    assert hotel.core.verify_audit(hotel.hotel_id).ok


def test_a_head_travels_as_json(hotel: SmallHotel) -> None:
    """An exported head comes back as it was, and is good for a log that has grown since."""
    head = hotel.core.verify_audit(hotel.hotel_id).head
    live(hotel, 5, Random(1))
    kept = wire.decode(wire.encode(head), AuditHead)
    assert kept == head
    assert hotel.core.verify_audit(hotel.hotel_id, since=kept).ok


def test_a_head_is_for_its_hotel(core: HotelCore, hotel: SmallHotel) -> None:
    """Another hotel's head is no measure of this one, and an unknown hotel has no log."""
    other = open_hotel(core)
    head = core.verify_audit(other.hotel_id).head
    with pytest.raises(TenantMismatch):
        core.verify_audit(hotel.hotel_id, since=head)
    with pytest.raises(NotFound):
        core.verify_audit(HotelId(new_id()))


def test_asyncio_verifies_alike(schema_url: str) -> None:
    """What an asyncio core wrote it verifies, and so does a synchronous one."""
    actor = Actor(hotel_id=HotelId(new_id()), subject="root", role=Role.ADMIN)

    async def work() -> AuditReport:
        core = AsyncHotelCore(schema_url, keys=KEYS)
        await core.create_schema()
        desk = core.acting_as(actor)
        await desk.run(
            op.register_hotel,
            name="H",
            time_zone="Etc/UTC",
            currency="EUR",
            business_date=TODAY,
        )
        for _ in range(3):
            await desk.run(op.register_guest, last_name="A")
        staff = core.acting_as(Actor(hotel_id=actor.hotel_id, subject="s", role=Role.STAFF))
        with suppress(PermissionDenied):
            await staff.run(op.register_guest, last_name="A")
        report = await core.verify_audit(actor.hotel_id)
        await core.close()
        return report

    report = asyncio.run(work())
    core = HotelCore(schema_url, keys=KEYS)
    assert core.verify_audit(actor.hotel_id) == report
    core.close()
    assert (report.ok, report.entries) == (True, 5)


# -- with and without keys ----------------------------------------------------------------------


def test_a_log_from_before_the_keys_is_covered_by_a_head(schema_url: str) -> None:
    """Entries under no key are a problem, unless a head that was exported stands for them."""
    keyless = HotelCore(schema_url)
    keyless.create_schema()
    hotel = open_hotel(keyless)
    head = keyless.verify_audit(hotel.hotel_id).head
    assert head.key_number is None
    core = HotelCore(keyless.engine, keys=KEYS)
    keyed = SmallHotel(
        core,
        hotel.hotel_id,
        core.acting_as(hotel.desk.actor),
        hotel.guest_id,
        hotel.room_type_id,
        hotel.rooms,
    )
    live(keyed, 4, Random(2))
    assert core.verify_audit(hotel.hotel_id, since=head).ok
    without = core.verify_audit(hotel.hotel_id)
    assert without.found == head.sequence
    assert without.problems[0] == AuditProblem(1, Fault.UNKEYED)
    DEEDS["register"](hotel)  # by a process that was given no keys
    late = core.verify_audit(hotel.hotel_id, since=head)
    assert [problem.fault for problem in late.problems] == [Fault.UNKEYED]
    keyless.close()


def test_a_log_goes_on_under_a_new_key(schema_url: str) -> None:
    """Entries of both keys verify while both are in the ring, and not without the older."""
    older, newer = os.urandom(32), os.urandom(32)
    core = HotelCore(schema_url, keys=KeyRing({1: older}))
    core.create_schema()
    hotel = open_hotel(core)
    entries = core.verify_audit(hotel.hotel_id).entries
    later = HotelCore(core.engine, keys=KeyRing({1: older, 2: newer}))
    later.acting_as(hotel.desk.actor).run(op.register_guest, last_name="B")
    report = later.verify_audit(hotel.hotel_id)
    assert (report.ok, report.head.key_number) == (True, 2)
    found = HotelCore(core.engine, keys=KeyRing({2: newer})).verify_audit(hotel.hotel_id)
    assert {problem.fault for problem in found.problems} == {Fault.UNKNOWN_KEY}
    assert found.found == entries
    core.close()


# -- what the database itself refuses -----------------------------------------------------------

_COPY = (
    "INSERT INTO hc_audit_log SELECT hotel_id, :id, {sequence}, outcome, at, business_date, "
    "subject, role, operation, permission, resource, resource_id, changes, reason, "
    "correlation_id, key_number, mac FROM hc_audit_log WHERE sequence = 2"
)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE hc_audit_log SET subject = 'nobody'",
        "DELETE FROM hc_audit_log",
        _COPY.format(sequence="sequence"),
        _COPY.format(sequence="4"),
        _COPY.format(sequence="6"),
        _COPY.format(sequence="0"),
    ],
)
def test_the_database_takes_the_next_entry_alone(hotel: SmallHotel, statement: str) -> None:
    """No row is changed, deleted, or put anywhere but behind the last one."""
    assert hotel.core.verify_audit(hotel.hotel_id).head.sequence == 4
    new = bindparam("id", new_id(), Uuid())
    copying = text(statement).bindparams(*[new] if ":id" in statement else [])
    with pytest.raises(DBAPIError), hotel.core.engine.begin() as connection:
        connection.execute(copying)
    assert hotel.core.verify_audit(hotel.hotel_id).ok


def test_an_entry_and_its_head_are_one_transaction(hotel: SmallHotel) -> None:
    """An entry that is rolled back takes its head along, and its number is used again."""
    before = hotel.core.verify_audit(hotel.hotel_id)
    with hotel.core.engine.connect() as host, host.begin() as transaction:
        with hotel.desk.joining(host) as uow:
            op.register_guest(uow, last_name="Gone")
        transaction.rollback()
    assert hotel.core.verify_audit(hotel.hotel_id) == before
    DEEDS["register"](hotel)
    assert hotel.core.verify_audit(hotel.hotel_id).head.sequence == before.head.sequence + 1
