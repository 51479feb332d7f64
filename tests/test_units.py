"""Units of work: whole or not at all, run again when the database asks, audited once."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial
from threading import Barrier, Event
from typing import Any
from uuid import UUID

import attrs
import pytest
from attrs import define, frozen
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Uuid, bindparam, event, text

from hotelcore import Actor, HotelCore, Permission, Role, new_id
from hotelcore.access import POLICY
from hotelcore.clock import SystemClock
from hotelcore.domain.audit import AuditLogEntry
from hotelcore.domain.guests import Guest
from hotelcore.domain.hotels import OverdueDeparture
from hotelcore.domain.rooms import Room, RoomCondition
from hotelcore.errors import (
    AlreadyExists,
    DatabaseBusy,
    HotelcoreError,
    IdempotencyConflict,
    InvalidInput,
    NotFound,
    PermissionDenied,
    ReadOnly,
    TenantMismatch,
    TransactionTimeout,
    UnitAborted,
)
from hotelcore.events.catalogue import RoomStatusChanged
from hotelcore.ids import FolioId, GuestId, RoomId
from hotelcore.lists import AuditFilter, GuestFilter
from hotelcore.operations import (
    OPERATIONS,
    add_rooms,
    amend_guest,
    bulk_update_room_status,
    change_house_rules,
    operation,
    post_charge_to_folio,
    register_guest,
)
from hotelcore.operations.declaring import permission_of
from hotelcore.sql.seam.driver import send
from hotelcore.unit_of_work import UnitOfWork
from hotelcore.wire import Json
from tests.hindrances import linger, locked_by_a_process
from tests.postgres_server import administration
from tests.small_hotel import (
    PRICE,
    TODAY,
    SmallHotel,
    new_rows,
    nothing_kept,
    open_hotel,
    opened,
    row_counts,
    shared_core,
    written_statements,
)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def core(request: pytest.FixtureRequest) -> Generator[HotelCore]:
    """Return a core that all tests share, on SQLite and PostgreSQL in turn."""
    with shared_core(request) as core:
        yield core


@pytest.fixture
def hotel(core: HotelCore) -> SmallHotel:
    """Return a new hotel."""
    return open_hotel(core)


def guest_names(hotel: SmallHotel) -> list[str]:
    """Return the hotel's guests by name, except the one it began with."""
    with hotel.desk.reading() as uow:
        guests = uow.guests.page(GuestFilter(), limit=1_000).items
    return sorted(guest.last_name for guest in guests if guest.id != hotel.guest_id)


def audit_entries(hotel: SmallHotel) -> list[AuditLogEntry]:
    """Return what was audited after the hotel was set up, oldest first."""
    with hotel.desk.reading() as uow:
        return list(reversed(uow.audit.page(AuditFilter(), limit=1_000).items))[4:]


def operations_audited(hotel: SmallHotel) -> list[str]:
    """Return the names of the operations that were audited."""
    return [entry.operation for entry in audit_entries(hotel)]


def events_stored(hotel: SmallHotel) -> int:
    """Count the hotel's events in the outbox."""
    with hotel.core.engine.connect() as connection:
        found = connection.execute(
            text("SELECT count(*) FROM hc_outbox WHERE hotel_id = :hotel").bindparams(
                bindparam("hotel", hotel.hotel_id, Uuid())
            )
        )
        return int(found.scalar_one())


@operation(Permission.HOUSEKEEPING)
def dirty_room(uow: UnitOfWork, *, room_id: RoomId, why: str) -> Room:
    """Make a room dirty: one command with one change, one event and a reason."""
    uow.reason(why)
    [room] = bulk_update_room_status(uow, room_ids=[room_id], condition=RoomCondition.DIRTY)
    return room


@operation(Permission.HOTEL_MANAGE)
def fail_late(uow: UnitOfWork, *, name: str) -> None:
    """Write something, and then fail by a rule of the database."""
    register_guest(uow, last_name=name)
    add_rooms(uow, room_type_id=uow.room_types.all()[0].id, numbers=["000"])


# -- as a whole or not at all -------------------------------------------------------------------


def test_a_savepoint_undoes_its_body_alone(hotel: SmallHotel) -> None:
    """What a savepoint undid left no row, no audit entry and no event; the rest is kept."""
    first, second, third, _ = hotel.rooms
    heard: list[RoomStatusChanged] = []
    hotel.core.events.subscribe(RoomStatusChanged, heard.append)
    with hotel.desk.transaction() as uow:
        dirty_room(uow, room_id=first.id, why="before")
        with suppress(AlreadyExists), uow.savepoint():
            register_guest(uow, last_name="Undone")
            dirty_room(uow, room_id=second.id, why="inside")
            fail_late(uow, name="Undone")
        with uow.savepoint():
            register_guest(uow, last_name="Kept")
        dirty_room(uow, room_id=third.id, why="after")
    assert guest_names(hotel) == ["Kept"]
    assert operations_audited(hotel) == ["dirty_room", "register_guest", "dirty_room"]
    assert [event.room_id for event in heard] == [first.id, third.id]
    assert events_stored(hotel) == 2
    with hotel.desk.reading() as uow:
        assert uow.rooms.get(second.id) == second


def test_a_savepoint_inside_a_command_undoes_what_was_noted(hotel: SmallHotel) -> None:
    """Changes, events and the reason that a failed attempt noted are not audited."""
    first, second, _, _ = hotel.rooms

    @operation(Permission.HOUSEKEEPING)
    def try_both(uow: UnitOfWork) -> None:
        uow.reason("outer")
        bulk_update_room_status(uow, room_ids=[first.id], condition=RoomCondition.DIRTY)
        with suppress(ValueError), uow.savepoint():
            uow.reason("inner")
            bulk_update_room_status(uow, room_ids=[second.id], condition=RoomCondition.DIRTY)
            raise ValueError

    hotel.desk.run(try_both)
    [entry] = audit_entries(hotel)
    assert [change.resource_id for change in entry.changes] == [first.id]
    assert entry.reason == "outer"
    assert events_stored(hotel) == 1


def test_a_savepoint_that_is_undone_leaves_the_hotel_as_it_was(hotel: SmallHotel) -> None:
    """The unit does not go on with house rules that were never kept."""
    with hotel.desk.transaction() as uow:
        before = uow.hotel
        with suppress(ValueError), uow.savepoint():
            change_house_rules(
                uow, rules=attrs.evolve(before.rules, overdue_departure=OverdueDeparture.EXTEND)
            )
            assert uow.hotel != before
            raise ValueError
        assert uow.hotel == before
        dirty_room(uow, room_id=hotel.rooms[0].id, why="after")
    with hotel.desk.reading() as uow:
        assert uow.hotel == before


def test_savepoints_nest(hotel: SmallHotel) -> None:
    """The failure of an outer savepoint undoes what an inner one had kept."""
    with hotel.desk.transaction() as uow:
        register_guest(uow, last_name="Kept")
        with suppress(ValueError), uow.savepoint():
            with uow.savepoint():
                register_guest(uow, last_name="Kept inside")
            with suppress(AlreadyExists), uow.savepoint():
                fail_late(uow, name="Undone at once")
            raise ValueError
    assert guest_names(hotel) == ["Kept"]
    assert operations_audited(hotel) == ["register_guest"]


def test_a_failed_command_aborts_its_unit(hotel: SmallHotel) -> None:
    """A refusal that the host swallows still leaves nothing: the unit is refused as a whole."""

    def swallow(uow: UnitOfWork) -> None:
        register_guest(uow, last_name="Before")
        with suppress(AlreadyExists, HotelcoreError):
            fail_late(uow, name="Half")

    def go_on(uow: UnitOfWork) -> None:
        swallow(uow)
        register_guest(uow, last_name="After")

    with nothing_kept(hotel.core.engine):
        for work in (swallow, go_on):
            with pytest.raises(UnitAborted), hotel.desk.transaction() as uow:
                work(uow)
            with pytest.raises(UnitAborted):
                hotel.desk.run(work)
    assert operations_audited(hotel) == []


def test_a_command_that_fails_inside_another_aborts_the_unit(hotel: SmallHotel) -> None:
    """A command that swallows the failure of a command inside it cannot keep that one's half."""

    @operation(Permission.HOTEL_MANAGE)
    def careless(uow: UnitOfWork) -> None:
        register_guest(uow, last_name="Before")
        with suppress(NotFound):
            careful(uow)

    @operation(Permission.GUESTS_EDIT)
    def careful(uow: UnitOfWork) -> None:
        register_guest(uow, last_name="Half")
        uow.guests.get(GuestId(new_id()))

    with nothing_kept(hotel.core.engine), pytest.raises(UnitAborted):
        hotel.desk.run(careless)


def test_a_command_may_try_another_in_a_savepoint(hotel: SmallHotel) -> None:
    """In a savepoint, the failure of a command inside a command is that one's alone."""

    @operation(Permission.HOTEL_MANAGE)
    def cautious(uow: UnitOfWork) -> None:
        with suppress(AlreadyExists), uow.savepoint():
            fail_late(uow, name="Half")
        register_guest(uow, last_name="Whole")

    hotel.desk.run(cautious)
    assert guest_names(hotel) == ["Whole"]
    assert operations_audited(hotel) == ["cautious"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_error_of_the_host_leaves_nothing(hotel: SmallHotel, error: type[BaseException]) -> None:
    """Whatever leaves the unit early reaches the caller as it is, and takes everything with it."""
    mine = error("mine")

    def work(uow: UnitOfWork) -> None:
        register_guest(uow, last_name="Gone")
        raise mine

    with nothing_kept(hotel.core.engine):
        with pytest.raises(error) as raised:
            hotel.desk.run(work)
        assert raised.value is mine
        with pytest.raises(error) as raised, hotel.desk.transaction() as uow:
            work(uow)
        assert raised.value is mine


Plan = tuple["Plan | str", ...]
"""Steps of a unit: a command, a failure of the host, or a savepoint with steps of its own."""

PLANS = st.recursive(
    st.lists(st.sampled_from(["command", "fail"]), max_size=3).map(tuple),
    lambda inner: st.lists(inner | st.just("command") | st.just("fail"), max_size=4).map(tuple),
    max_leaves=6,
)


def carry_out(uow: UnitOfWork, plan: Plan, room_id: RoomId) -> None:
    """Do what a plan says."""
    for step in plan:
        if step == "command":
            uow_room = uow.rooms.get(room_id)
            dirty = uow_room.condition is RoomCondition.DIRTY
            wanted = RoomCondition.CLEAN if dirty else RoomCondition.DIRTY
            bulk_update_room_status(uow, room_ids=[room_id], condition=wanted)
        elif step == "fail":
            raise ValueError
        elif isinstance(step, tuple):
            with suppress(ValueError), uow.savepoint():
                carry_out(uow, step, room_id)


def kept_commands(plan: Plan) -> int:
    """Say how many commands of a plan survive its savepoints: the model of the test below."""
    if "fail" in plan:
        return 0
    return sum(kept_commands(step) if isinstance(step, tuple) else 1 for step in plan)


@given(plan=PLANS, commits=st.booleans())
def test_each_kept_command_is_audited_and_reported_once(
    core: HotelCore, plan: Plan, commits: bool
) -> None:
    """Over any commands, failures and savepoints: one entry and one event for each kept command."""
    hotel = open_hotel(core, rooms=1)
    heard: list[UUID] = []

    @core.events.on(RoomStatusChanged)
    def hear(event: RoomStatusChanged) -> None:
        heard.append(event.hotel_id)

    with suppress(ValueError), hotel.desk.transaction() as uow:
        carry_out(uow, plan, hotel.rooms[0].id)
        if not commits:
            raise ValueError
    core.events.unsubscribe(RoomStatusChanged, hear)
    expected = kept_commands(plan) if commits else 0
    assert len(audit_entries(hotel)) == expected
    assert events_stored(hotel) == expected
    assert heard.count(hotel.hotel_id) == expected


def test_a_unit_is_over_once_its_handle_is_left(hotel: SmallHotel) -> None:
    """What a host kept of a unit neither reads nor writes any more, inside its transaction too."""
    with hotel.desk.transaction() as written:
        pass
    with hotel.desk.reading() as read:
        pass
    with nothing_kept(hotel.core.engine), hotel.core.engine.begin() as host:
        with hotel.desk.joining(host) as joined:
            pass
        for uow in (written, read, joined):
            with pytest.raises(InvalidInput, match="uow: is over"):
                uow.guests.get(hotel.guest_id)
            with pytest.raises((InvalidInput, ReadOnly)):
                register_guest(uow, last_name="Late")


# -- who may write, and where -------------------------------------------------------------------


def test_a_reading_unit_refuses_to_write(hotel: SmallHotel) -> None:
    """Neither a command nor a repository writes in a reading unit, also not in a savepoint."""
    with hotel.desk.reading() as uow:
        guest = attrs.evolve(uow.guests.get(hotel.guest_id), id=GuestId(new_id()))
    with (
        nothing_kept(hotel.core.engine),
        written_statements(hotel.core.engine) as written,
        hotel.desk.reading() as uow,
    ):
        with pytest.raises(ReadOnly):
            register_guest(uow, last_name="Never")
        with pytest.raises(ReadOnly):
            uow.guests.add_all([guest])
        with pytest.raises(ReadOnly), uow.savepoint():
            register_guest(uow, last_name="Never")
        assert uow.guests.get(hotel.guest_id).last_name == "First"
    assert written == []


def list_of_rows(cursor: Any) -> list[tuple[object, ...]]:  # Any: of whichever driver
    """Take all rows."""
    return list(cursor.fetchall())


def test_the_server_knows_that_a_unit_only_reads(hotel: SmallHotel) -> None:
    """PostgreSQL refuses writes by itself, and on SQLite no transaction is open at all."""
    with hotel.desk.reading() as uow:
        assert uow.guests.get(hotel.guest_id).id == hotel.guest_id
        connection = uow._run._connection  # type: ignore[attr-defined]  # inner parts
        if connection.dialect.name == "postgresql":
            told = uow._run._deadline.enforce(connection)  # type: ignore[attr-defined]  # as above
            mode = send(connection, "SHOW transaction_read_only", [()], list_of_rows, before=told)
            assert mode == [("on",)]
        else:
            assert not connection.connection.driver_connection.in_transaction


def test_only_commands_write(hotel: SmallHotel) -> None:
    """In a writing unit too, what no command is about cannot be written, noted or reported."""
    with hotel.desk.reading() as uow:
        guest = uow.guests.get(hotel.guest_id)
    event = RoomStatusChanged(
        hotel_id=hotel.hotel_id,
        room_id=hotel.rooms[0].id,
        previous=RoomCondition.CLEAN,
        condition=RoomCondition.DIRTY,
    )
    with (
        nothing_kept(hotel.core.engine),
        written_statements(hotel.core.engine) as written,
        hotel.desk.transaction() as uow,
    ):
        for write in (
            lambda: uow.guests.add_all([attrs.evolve(guest, id=GuestId(new_id()))]),
            lambda: uow.guests.update(guest),
            lambda: uow.changed("guest", guest.id, None, guest),
            lambda: uow.emit(event),
            lambda: uow.reason("why"),
        ):
            with pytest.raises(ReadOnly):
                write()
    assert written == []


def test_an_event_of_another_hotel_is_refused(hotel: SmallHotel, core: HotelCore) -> None:
    """A command cannot report a fact of another hotel."""
    other = open_hotel(core)

    @operation(Permission.HOTEL_MANAGE)
    def gossip(uow: UnitOfWork) -> None:
        uow.emit(
            RoomStatusChanged(
                hotel_id=other.hotel_id,
                room_id=other.rooms[0].id,
                previous=RoomCondition.CLEAN,
                condition=RoomCondition.DIRTY,
            )
        )

    with nothing_kept(core.engine), pytest.raises(TenantMismatch):
        hotel.desk.run(gossip)


def test_a_guest_of_the_house_may_do_nothing(hotel: SmallHotel) -> None:
    """The role guest is refused every handle and every operation, before anything is read."""
    desk = hotel.acting(Role.GUEST)
    with nothing_kept(hotel.core.engine, refusals=len(OPERATIONS) + 2):
        for work in OPERATIONS.values():
            with pytest.raises(PermissionDenied):
                desk.run(work)
        with pytest.raises(PermissionDenied), desk.reading():
            pytest.fail("the reading unit was opened")
        with pytest.raises(PermissionDenied), desk.transaction():
            pytest.fail("the writing unit was opened")


@pytest.mark.parametrize("role", Role)
def test_an_operation_is_refused_to_who_may_not(hotel: SmallHotel, role: Role) -> None:
    """Each role is refused exactly the operations whose permission the policy does not give it.

    Nothing is written but the refusals themselves.
    """
    desk = hotel.acting(role)
    with written_statements(hotel.core.engine) as written:
        for name, work in OPERATIONS.items():
            permission = permission_of(work)
            if permission in POLICY.rights_of(role):
                continue
            with pytest.raises(PermissionDenied) as denied:
                desk.run(work)
            if role is not Role.GUEST:  # who does not even get a unit
                found = (denied.value.role, denied.value.permission, denied.value.operation)
                assert found == (role, permission, name)
    assert all(statement.startswith("INSERT INTO hc_audit_log ") for statement in written)


def test_a_permission_is_asked_again_inside_a_command(hotel: SmallHotel) -> None:
    """A permitted command cannot smuggle in one that its actor may not run."""

    @operation(Permission.FRONT_DESK)
    def smuggle(uow: UnitOfWork) -> None:
        register_guest(uow, last_name="Before")
        add_rooms(uow, room_type_id=hotel.room_type_id, numbers=["X"])

    with nothing_kept(hotel.core.engine, refusals=1), pytest.raises(PermissionDenied):
        hotel.acting(Role.RECEPTION).run(smuggle)


@define
class Leaping(SystemClock):
    """A clock that somebody can move."""

    ahead: float = 0.0

    def monotonic(self) -> float:
        """Return the real seconds, and those that it was moved by."""
        return SystemClock.monotonic(self) + self.ahead


def test_a_session_that_ended_with_the_time_limit_is_told_so(postgresql_url: str) -> None:
    """The server ends it at the same moment, and who is slow meets that before the limit."""
    clock = Leaping()
    with closing(HotelCore(postgresql_url, clock=clock)) as core:
        core.create_schema()
        hotel = open_hotel(core)

        def be_late() -> None:
            with hotel.desk.transaction() as uow:
                uow.guests.get(hotel.guest_id)
                end_other_sessions(postgresql_url)
                event.listen(core.engine, "before_cursor_execute", leap)
                uow.guests.get(hotel.guest_id)

        def leap(*_: object) -> None:
            clock.ahead = 1_000

        with pytest.raises(TransactionTimeout):
            be_late()


def test_a_lost_connection_is_told_in_our_words(postgresql_url: str) -> None:
    """Whatever a host tries after the server ended its session gets a typed error, to the end."""
    outcomes: list[str] = []

    def note(step: Callable[[], object]) -> None:
        try:
            step()
        except HotelcoreError as error:
            outcomes.append(type(error).__name__)
        else:
            outcomes.append("done")

    def in_savepoint(uow: UnitOfWork) -> None:
        with uow.savepoint():
            uow.guests.get(GuestId(new_id()))

    def unit(hotel: SmallHotel, steps: Sequence[Callable[[UnitOfWork], object]]) -> None:
        with hotel.desk.transaction() as uow:
            register_guest(uow, last_name="Lost")
            end_other_sessions(postgresql_url)
            for step in steps:
                note(partial(step, uow))

    def register(uow: UnitOfWork) -> object:
        return register_guest(uow, last_name="Lost too")

    def read(uow: UnitOfWork) -> object:
        return uow.guests.page(GuestFilter())

    with opened(postgresql_url) as hotel:
        for steps in ((), (read, read), (in_savepoint, read, in_savepoint), (register, read)):
            note(partial(unit, hotel, steps))
            hotel.desk.run(register_guest, last_name="Kept")
        assert guest_names(hotel) == ["Kept"] * 4
    assert set(outcomes) <= {"DatabaseFailure", "UnitAborted"}
    assert len(outcomes) == 4 + 7


def end_other_sessions(url: str) -> None:
    """Have the server end every session of the database but the one that asks for it."""
    with administration(url).connect() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )


# -- again when the database asks for it ----------------------------------------------------------


def renaming(attempts: list[str], before_writing: Callable[[], object]) -> Callable[..., None]:
    """Make a unit that reads a guest, lets something happen at its first attempt, and renames."""

    def rename(uow: UnitOfWork, *, guest_id: GuestId, name: str) -> None:
        found = uow.guests.get(guest_id).last_name
        attempts.append(found)
        if len(attempts) == 1:
            before_writing()
        amend_guest(uow, guest_id=guest_id, last_name=f"{found} {name}")

    return rename


def rival_of(hotel: SmallHotel) -> Callable[[], object]:
    """Return what renames the hotel's guest in a unit of its own."""
    return lambda: hotel.desk.run(amend_guest, guest_id=hotel.guest_id, last_name="Second")


@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_serialization_failure_runs_the_unit_again(postgresql_url: str, isolation: str) -> None:
    """A unit that read what another changed meanwhile starts again with fresh eyes."""
    with opened(postgresql_url) as hotel:
        attempts: list[str] = []
        desk = hotel.desk.within(isolation=isolation)
        desk.run(renaming(attempts, rival_of(hotel)), guest_id=hotel.guest_id, name="Third")
        assert attempts == ["First", "Second"]
        with hotel.desk.reading() as uow:
            assert uow.guests.get(hotel.guest_id).last_name == "Second Third"
        assert operations_audited(hotel) == ["amend_guest", "amend_guest"]


def test_a_failure_at_the_commit_runs_the_unit_again(postgresql_url: str) -> None:
    """Two serializable units that each read what the other writes do not both pass unseen."""
    with opened(postgresql_url) as hotel:
        other = hotel.desk.run(register_guest, last_name="Other")
        attempts: list[int] = []

        def copy_name(uow: UnitOfWork, *, source: GuestId, target: GuestId) -> None:
            amend_guest(uow, guest_id=target, last_name=uow.guests.get(source).last_name)

        def first(uow: UnitOfWork) -> None:
            attempts.append(1)
            copy_name(uow, source=hotel.guest_id, target=other.id)
            if len(attempts) == 1:
                desk.run(copy_name, source=other.id, target=hotel.guest_id)

        desk = hotel.desk.within(isolation="SERIALIZABLE")
        desk.run(first)
        assert len(attempts) == 2
        # As if the rival had run first: then both have the other's name.
        assert guest_names(hotel) == ["Other"]
        assert operations_audited(hotel) == ["register_guest", "amend_guest", "amend_guest"]


def test_a_deadlock_runs_one_unit_again(postgresql_url: str) -> None:
    """Of two units that lock two folios crosswise one is stopped, runs again, and both succeed."""
    with opened(postgresql_url) as hotel:
        left, right = hotel.booked()[1].id, hotel.booked()[1].id
        attempts: Counter[str] = Counter()
        both_hold_one = Barrier(2)

        def charge_both(uow: UnitOfWork, *, first: FolioId, second: FolioId, code: str) -> None:
            attempts[code] += 1
            post_charge_to_folio(uow, folio_id=first, code=code, amount=PRICE)
            if attempts[code] == 1:
                both_hold_one.wait(timeout=30)
            post_charge_to_folio(uow, folio_id=second, code=code, amount=PRICE)

        def charge(first: FolioId, second: FolioId, code: str) -> None:
            hotel.desk.run(charge_both, first=first, second=second, code=code)

        with ThreadPoolExecutor(2) as threads:
            units = [
                threads.submit(charge, left, right, "one"),
                threads.submit(charge, right, left, "other"),
            ]
            assert [unit.result() for unit in units] == [None, None]
        assert attempts.total() == 3
        with hotel.desk.reading() as uow:
            for folio_id in (left, right):
                assert uow.folios.get(folio_id).balance == PRICE * 2
                assert {line.code for line in uow.folios.lines(folio_id)} == {"one", "other"}
        assert operations_audited(hotel)[2:] == ["post_charge_to_folio"] * 4


def test_a_transaction_is_not_run_again(postgresql_url: str) -> None:
    """A block cannot run again by itself, so its caller is told that the database asks for it."""
    with opened(postgresql_url) as hotel:
        desk = hotel.desk.within(isolation="REPEATABLE READ")
        rename = renaming([], rival_of(hotel))
        with pytest.raises(DatabaseBusy), desk.transaction() as uow:
            rename(uow, guest_id=hotel.guest_id, name="Third")
        with hotel.desk.reading() as uow:
            assert uow.guests.get(hotel.guest_id).last_name == "Second"


def test_a_host_may_ask_for_another_attempt(hotel: SmallHotel) -> None:
    """What failed attempts wrote and reported is gone, also the key they were run under."""
    attempts: list[UUID] = []

    def work(uow: UnitOfWork) -> str:
        attempts.append(register_guest(uow, last_name="Again").id)
        bulk_update_room_status(uow, room_ids=[hotel.rooms[0].id], condition=RoomCondition.DIRTY)
        if len(attempts) < 4:
            raise DatabaseBusy
        return str(attempts[-1])

    before = row_counts(hotel.core.engine)
    assert hotel.desk.once("again").run(work) == str(attempts[-1])
    assert len(set(attempts)) == 4
    assert new_rows(hotel.core.engine, since=before) == {
        "hc_audit_log": 2,
        "hc_guest": 1,
        "hc_idempotency": 1,
        "hc_outbox": 1,
        "hc_subject_key": 1,
    }


_WRITE_GUESTS = """
import sys
from uuid import UUID
from hotelcore import Actor, HotelCore, Role
from hotelcore.operations import register_guest
core = HotelCore(sys.argv[1])
desk = core.acting_as(Actor(hotel_id=UUID(sys.argv[2]), subject="other", role=Role.ADMIN))
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[3])):
    desk.run(register_guest, last_name="Other")
core.close()
"""


def test_two_processes_write_at_once(hotel: SmallHotel) -> None:
    """While another process keeps the database busy, no command is lost, doubled or refused."""
    url = hotel.core.engine.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", _WRITE_GUESTS, url, str(hotel.hotel_id), "100"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.stdin.write("go\n")
        process.stdin.flush()
        for _ in range(100):
            hotel.desk.run(register_guest, last_name="Ours")
        assert process.wait() == 0
    assert Counter(guest_names(hotel)) == {"Other": 100, "Ours": 100}
    assert Counter(operations_audited(hotel)) == {"register_guest": 200}


def test_a_busy_file_is_waited_for(sqlite_url: str) -> None:
    """A unit that finds SQLite's one write lock taken by a process succeeds once that is done."""
    with opened(sqlite_url) as hotel, ThreadPoolExecutor(1) as thread:
        with locked_by_a_process(hotel.core.engine):
            waiting = thread.submit(hotel.desk.run, register_guest, last_name="Patient")
            linger(0.2)
            assert not waiting.done()
        assert waiting.result().last_name == "Patient"
        assert guest_names(hotel) == ["Patient"]
        assert operations_audited(hotel) == ["register_guest"]


def test_a_database_in_memory_is_used_by_turns() -> None:
    """Threads share the one connection of a database in memory, and lose nothing."""
    with opened("sqlite://") as hotel, ThreadPoolExecutor(8) as threads:
        run = hotel.desk.run
        units = [threads.submit(run, register_guest, last_name="Many") for _ in range(40)]
        assert len({unit.result().id for unit in units}) == 40
        assert guest_names(hotel) == ["Many"] * 40
        assert operations_audited(hotel) == ["register_guest"] * 40


# -- idempotency keys ---------------------------------------------------------------------------


def test_a_key_has_one_effect_and_one_result(hotel: SmallHotel) -> None:
    """The same call under the same key gives the first result again, whoever calls and when."""
    first = hotel.desk.once("web-1").run(register_guest, last_name="Once", vip=True)
    with nothing_kept(hotel.core.engine):
        again = hotel.acting(Role.RECEPTION).once("web-1")
        assert again.run(register_guest, vip=True, last_name="Once") == first
    assert hotel.desk.once("web-2").run(register_guest, last_name="Once", vip=True) != first
    assert operations_audited(hotel) == ["register_guest"] * 2


def test_a_key_refuses_other_arguments(hotel: SmallHotel) -> None:
    """Other arguments under a used key are a conflict, and change nothing."""
    hotel.desk.once("web-1").run(register_guest, last_name="Once")
    with nothing_kept(hotel.core.engine):
        for name, vip in (("Twice", False), ("Once", True)):
            with pytest.raises(IdempotencyConflict) as refused:
                hotel.desk.once("web-1").run(register_guest, last_name=name, vip=vip)
            assert refused.value.operation == "register_guest"


def test_a_key_is_the_hotels_and_the_operations(hotel: SmallHotel, core: HotelCore) -> None:
    """Another operation, and another hotel, may use the same key for itself."""
    other = open_hotel(core)
    ours = hotel.desk.once("key").run(register_guest, last_name="Same")
    theirs = other.desk.once("key").run(register_guest, last_name="Same")
    assert ours != theirs
    amended = hotel.desk.once("key").run(amend_guest, guest_id=ours.id, last_name="Changed")
    assert amended.last_name == "Changed"
    # Nobody's result was put over another's.
    assert hotel.desk.once("key").run(register_guest, last_name="Same") == ours
    assert other.desk.once("key").run(register_guest, last_name="Same") == theirs


def test_a_failed_call_leaves_no_key(hotel: SmallHotel) -> None:
    """After a refusal the key is free, for other arguments too."""
    desk = hotel.desk.once("web-1")
    with nothing_kept(hotel.core.engine, refusals=1):
        with pytest.raises(AlreadyExists):
            desk.run(fail_late, name="Gone")
        with pytest.raises(AlreadyExists):
            desk.run(fail_late, name="Gone again")
        with pytest.raises(PermissionDenied):
            hotel.acting(Role.STAFF).once("web-1").run(register_guest, last_name="Never")
    assert desk.run(register_guest, last_name="Kept").last_name == "Kept"


def test_a_key_is_no_way_around_a_permission(hotel: SmallHotel) -> None:
    """Who may not run an operation does not get its stored result either."""
    hotel.desk.once("web-1").run(register_guest, last_name="Once")
    with pytest.raises(PermissionDenied):
        hotel.acting(Role.STAFF).once("web-1").run(register_guest, last_name="Once")


def test_a_key_whose_holder_fails_is_free_again(hotel: SmallHotel) -> None:
    """Who waits for another's call under the same key takes over when that one is rolled back."""
    begun, done = Event(), Event()

    def work(uow: UnitOfWork) -> str:
        if not begun.is_set():
            begun.set()
            done.wait()
            raise ValueError
        return register_guest(uow, last_name="Second").last_name

    desk = hotel.desk.once("key")
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(desk.run, work)
        assert begun.wait(timeout=30)
        second = threads.submit(desk.run, work)
        linger(0.2)
        done.set()
        assert isinstance(first.exception(), ValueError)
        assert second.result() == "Second"
    assert guest_names(hotel) == ["Second"]


def test_nothing_is_a_result_too(hotel: SmallHotel) -> None:
    """An operation that returns None runs once under a key as any other."""
    calls: list[int] = []

    def work(uow: UnitOfWork) -> None:
        calls.append(1)

    for _ in range(2):
        hotel.desk.once("none").run(work)
    assert calls == [1]


def _one_guest(uow: UnitOfWork, *, guest_id: GuestId) -> Guest:
    return uow.guests.get(guest_id)


def _guests(uow: UnitOfWork, *, guest_id: GuestId) -> tuple[tuple[int, Guest], ...]:
    return ((1, uow.guests.get(guest_id)),)


@pytest.mark.parametrize("work", [_one_guest, _guests])
def test_a_key_keeps_no_guest_whom_nobody_would_erase(
    hotel: SmallHotel, work: Callable[..., object]
) -> None:
    """A host's own function that returns a guest is refused under a key, and leaves no key."""
    with (
        nothing_kept(hotel.core.engine),
        pytest.raises(InvalidInput, match="return the id instead"),
    ):
        hotel.desk.once("guest").run(work, guest_id=hotel.guest_id)
    assert hotel.desk.run(work, guest_id=hotel.guest_id)


_begun: list[UnitOfWork] = []


def _kept(uow: UnitOfWork) -> Guest:
    _begun.append(uow)
    return register_guest(uow, last_name="Kept")


def _ids_in_a_list(uow: UnitOfWork) -> list[UUID]:
    return [_kept(uow).id]


def _a_dict(uow: UnitOfWork) -> dict[str, str]:
    return {"name": _kept(uow).last_name}


def _anything(uow: UnitOfWork) -> object:
    return _kept(uow).id


def _text_for_a_number(uow: UnitOfWork) -> int:
    return _kept(uow).last_name  # type: ignore[return-value]  # tested


def _a_float(uow: UnitOfWork) -> Mapping[str, Json]:
    return {_kept(uow).last_name: 1.5}  # type: ignore[dict-item]  # tested


@frozen
class _Listed:
    numbers: list[int]


def _a_field_that_does_not_travel(uow: UnitOfWork) -> _Listed:
    _kept(uow)
    return _Listed([1])


def _unreadable(uow: UnitOfWork) -> UUID:
    return _kept(uow).id


_unreadable.__annotations__ = {"return": "OnlyForTheTypeChecker"}


@pytest.mark.parametrize(
    ("work", "said", "is_done"),
    [
        (_ids_in_a_list, r"returns list\[.*return an id, text", False),
        (_a_dict, r"returns dict\[.*Mapping\[str, X\]", False),
        (_anything, "returns <class 'object'>", False),
        (_unreadable, "import what they name outside of TYPE_CHECKING", False),
        (_text_for_a_number, "its annotation does not say.*must be int, not str", True),
        (_a_float, "does not travel", True),
        (_a_field_that_does_not_travel, "does not travel", True),
    ],
)
def test_a_result_that_cannot_come_again_is_refused_the_first_time(
    hotel: SmallHotel, work: Callable[[UnitOfWork], object], said: str, is_done: bool
) -> None:
    """A call whose stored result nobody could read leaves nothing, or does not even begin."""
    _begun.clear()
    for _ in range(2):
        with nothing_kept(hotel.core.engine), pytest.raises(InvalidInput, match=said) as caught:
            hotel.desk.once("result").run(work)
        assert caught.value.field == "operation"
    assert bool(_begun) is is_done
    assert hotel.desk.run(work)


# -- telling ------------------------------------------------------------------------------------


def test_listeners_read_what_they_are_told(hotel: SmallHotel) -> None:
    """A listener is called after the commit, so another unit shows it what happened."""
    seen: list[RoomCondition] = []
    room = hotel.rooms[0]

    @hotel.core.events.on(RoomStatusChanged)
    def listen(event: RoomStatusChanged) -> None:
        if event.hotel_id == hotel.hotel_id:
            with hotel.desk.reading() as uow:
                seen.append(uow.rooms.get(event.room_id).condition)

    with hotel.desk.transaction() as uow:
        dirty_room(uow, room_id=room.id, why="seen")
        assert seen == []
    assert seen == [RoomCondition.DIRTY]


def test_a_broken_listener_hurts_nobody(
    hotel: SmallHotel, caplog: pytest.LogCaptureFixture
) -> None:
    """The command succeeds, the other listeners hear of it, and the failure is reported."""
    heard: list[UUID] = []
    failed: list[dict[str, object]] = []
    events = hotel.core.events

    def broken(event: RoomStatusChanged) -> None:
        raise RuntimeError("a guest's name")

    def note(sender: object, **facts: object) -> None:
        failed.append(facts)

    events.subscribe(RoomStatusChanged, broken)
    events.subscribe(RoomStatusChanged, lambda event: heard.append(event.room_id))
    events.error.connect(note)
    room = hotel.rooms[0]
    changed = hotel.desk.run(dirty_room, room_id=room.id, why="anyhow")
    assert changed.condition is RoomCondition.DIRTY
    assert room.id in heard
    assert [type(facts["error"]) for facts in failed] == [RuntimeError]
    assert "RuntimeError" in caplog.text
    assert "a guest's name" not in caplog.text


def test_an_entry_says_who_did_what_and_why(hotel: SmallHotel) -> None:
    """An audit entry names actor, role, operation, record, changes, reason and correlation."""
    actor = Actor(hotel_id=hotel.hotel_id, subject="ana", role=Role.RECEPTION)
    desk = hotel.core.acting_as(actor, correlation_id="request-7")
    room = hotel.rooms[0]
    desk.run(dirty_room, room_id=room.id, why="a spill")
    [entry] = audit_entries(hotel)
    assert (entry.subject, entry.role, entry.operation) == ("ana", Role.RECEPTION, "dirty_room")
    assert (entry.resource, entry.resource_id) == ("room", room.id)
    assert (entry.reason, entry.correlation_id) == ("a spill", "request-7")
    [change] = entry.changes
    assert (change.resource, change.resource_id) == ("room", room.id)


# -- errors cross process borders ---------------------------------------------------------------


def error_classes(kind: type[HotelcoreError] = HotelcoreError) -> Iterator[type[HotelcoreError]]:
    """Give the library's error classes, each once."""
    yield kind
    for more in kind.__subclasses__():
        yield from error_classes(more)


EXAMPLES: dict[str, object] = {
    "UUID": UUID(int=7),
    "UUID | str": UUID(int=7),
    "str": "text",
    "bool": False,
    "int": 3,
    "float": 2.5,
    "date": TODAY,
    "tuple[str, ...]": ("one", "two"),
    "tuple[date, ...]": (TODAY,),
    "Mapping[str, str]": {"a table is open": "ALTER TABLE it"},
}


@pytest.mark.parametrize("kind", sorted(set(error_classes()), key=str))
def test_errors_survive_pickling_and_copying(kind: type[HotelcoreError]) -> None:
    """Every error comes back with its type, its attributes and its text."""
    fields = [(f.name, str(f.type)) for f in getattr(kind, "__attrs_attrs__", ())]
    error = kind(*(EXAMPLES[hint.removesuffix(" | None")] for _, hint in fields))
    travelled = [pickle.loads(pickle.dumps(error, protocol)) for protocol in range(6)]
    for again in (*travelled, copy.copy(error), copy.deepcopy(error)):
        assert type(again) is kind
        assert str(again) == str(error) != ""
        assert again.args == error.args
        for name, _ in fields:
            assert getattr(again, name) == getattr(error, name)


def test_confirmation_numbers_are_of_all_letters_and_differ(hotel: SmallHotel) -> None:
    """Of a thousand none comes twice, and each of the 32 letters and digits is in some of them."""

    def numbers(uow: UnitOfWork) -> list[str]:
        return [uow.new_confirmation_number() for _ in range(1_000)]

    made = hotel.desk.run(numbers)
    assert len(set(made)) == 1_000
    assert {len(number) for number in made} == {10}
    assert "".join(sorted(set("".join(made)))) == "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
