"""The tools themselves: a fault comes when and how it was asked for, in the driver's own words."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import closing

import psycopg
import pytest
from attrs import frozen
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import DBAPIError

from hotelcore import AsyncHotelCore, HotelCore
from hotelcore.errors import InvalidInput
from hotelcore.sql.seam.translation import Failure, failure_of
from hotelcore.testing.faults import Fault, Faults
from hotelcore.testing.killing import Ending, Witness, kill_during
from tests.hindrances import linger

INSERT = text("INSERT INTO note VALUES (1)")


@frozen
class Bed:
    """An engine of the host's over a table, and how to see what another session sees."""

    engine: Engine
    faults: Faults
    other: Engine

    def notes(self) -> int:
        """Count the rows that are committed."""
        with self.other.connect() as connection:
            return int(connection.execute(text("SELECT count(*) FROM note")).scalar_one())

    def insert(self) -> None:
        """Store a row in a transaction."""
        with self.engine.begin() as connection:
            connection.execute(INSERT)

    def number_of(self, name: str) -> int:
        """Tell which call of an insert over an open connection has a name."""
        with self.faults.counting() as calls, self.engine.connect() as connection:
            connection.execute(INSERT)
            connection.rollback()
        return calls.index("rollback" if name == "commit" else name) + 1


@pytest.fixture
def bed(database_url: str) -> Generator[Bed]:
    """Return a table in an empty database."""
    engine, other = create_engine(database_url), create_engine(database_url)
    with other.begin() as connection:
        connection.execute(text("CREATE TABLE note (number INTEGER)"))
    faults = Faults.on(engine)
    engine.connect().close()  # what is asked of a server at first is not counted
    yield Bed(engine, faults, other)
    engine.dispose()
    other.dispose()


def test_nothing_fails_unless_it_is_told_to(bed: Bed) -> None:
    """The calls are counted in their order, and do what they always do."""
    bed.engine.dispose()
    with bed.faults.counting() as calls:
        bed.insert()
    assert bed.notes() == 1
    telling = [name for name in calls if name in ("connect", "execute", "commit", "rollback")]
    assert telling == ["connect", "execute", "commit", "rollback"]


@pytest.mark.parametrize("name", ["cursor", "execute", "commit"])
@pytest.mark.parametrize("disconnect", [False, True])
def test_a_fault_before_a_call_reaches_nothing(bed: Bed, name: str, disconnect: bool) -> None:
    """The error is one of the driver's, and the transaction is not there."""
    fault = Fault(call=bed.number_of(name), disconnect=disconnect)
    with bed.faults.failing(fault) as calls, pytest.raises(DBAPIError) as raised:
        bed.insert()
    assert calls[fault.call - 1] == name
    assert isinstance(raised.value.orig, sqlite3.Error | psycopg.Error)
    assert raised.value.connection_invalidated is disconnect
    assert failure_of(raised.value) is (Failure.DISCONNECTED if disconnect else Failure.OTHER)
    assert bed.notes() == 0
    bed.insert()
    assert bed.notes() == 1


@pytest.mark.parametrize("disconnect", [False, True])
def test_a_fault_after_the_commit_leaves_what_was_committed(bed: Bed, disconnect: bool) -> None:
    """The hardest one: the caller hears of an error, and everything is there."""
    fault = Fault(call=bed.number_of("commit"), after=True, disconnect=disconnect)
    with bed.faults.failing(fault) as calls, pytest.raises(DBAPIError):
        bed.insert()
    assert calls[fault.call - 1] == "commit"
    assert bed.notes() == 1


def test_a_fault_for_good_lets_every_later_call_fail(bed: Bed) -> None:
    """One that happens once does not: the next attempt succeeds, also while it is set."""
    bed.engine.dispose()
    for for_good in (False, True):
        with bed.faults.failing(Fault(call=1, for_good=for_good)):
            with pytest.raises(DBAPIError):
                bed.insert()
            if for_good:
                with pytest.raises(DBAPIError):
                    bed.insert()
            else:
                bed.insert()
    assert bed.notes() == 1


def test_a_connection_that_fails_after_it_was_made_is_closed(bed: Bed) -> None:
    """Nobody has it, so nobody else could close it."""
    bed.engine.dispose()
    with bed.faults.failing(Fault(call=1, after=True)) as calls, pytest.raises(DBAPIError):
        bed.insert()
    assert calls == ["connect"]
    bed.insert()


def test_a_lost_connection_is_gone_for_all_that_hold_it(bed: Bed) -> None:
    """The next call on it fails too, by itself, and the pool takes another."""
    number = bed.number_of("execute")
    with bed.engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        fault = Fault(call=number, disconnect=True)
        with bed.faults.failing(fault), pytest.raises(DBAPIError):
            connection.execute(INSERT)
        with pytest.raises((sqlite3.ProgrammingError, psycopg.OperationalError)):
            driver.cursor().execute("SELECT 1")
    bed.insert()
    assert bed.notes() == 1


def test_only_drivers_that_can_fail_are_taken(postgresql_url: str) -> None:
    """Psycopg under asyncio is refused, since its calls would not be counted."""
    core = AsyncHotelCore(postgresql_url)
    with pytest.raises(InvalidInput, match="engine"):
        Faults.on(core.engine.sync_engine)


@pytest.mark.parametrize("call", [0, -1, "1"])
def test_calls_count_from_one(call: int) -> None:
    """A number that no call has would never come, and the test would show nothing."""
    with pytest.raises(InvalidInput, match="call"):
        Fault(call=call)


# -- killing ------------------------------------------------------------------------------------


def tell_three_things(witness: Witness) -> None:
    """Begin three and end two, and do not end."""
    witness.ready()
    for label in ("a", "b"):
        witness.begun(label)
        witness.done(label)
    witness.begun("c")
    linger(60)


def die_at_a_call(witness: Witness, url: str) -> None:
    """Create the tables, with a fault that kills in the middle."""
    with closing(HotelCore(url)) as core:
        faults = Faults.on(core.engine)
        with faults.failing(Fault(call=30, kill=True)):
            witness.begun("the schema")
            core.create_schema()
            witness.done("the schema")


def end_in_peace(witness: Witness) -> None:
    """Do everything, and end."""
    witness.begun("a")
    witness.done("a")


def fail(witness: Witness) -> None:
    """Fail on its own account."""
    raise RuntimeError


@pytest.mark.long
def test_what_was_said_before_the_kill_is_heard() -> None:
    """In order, and whole: what was begun, and what was acknowledged."""
    ending = kill_during(tell_three_things, seconds=2.0)
    assert ending == Ending(begun=("a", "b", "c"), done=("a", "b"), killed=True)


def test_a_fault_can_kill(database_url: str) -> None:
    """The process dies in the middle of a call, and says no more."""
    ending = kill_during(die_at_a_call, database_url)
    assert ending == Ending(begun=("the schema",), done=(), killed=True)


def test_a_process_may_come_to_its_end() -> None:
    """Then nobody killed it."""
    assert kill_during(end_in_peace) == Ending(begun=("a",), done=("a",), killed=False)


def test_a_process_that_fails_by_itself_is_no_kill() -> None:
    """Its test would show nothing."""
    with pytest.raises(AssertionError, match="exit code 1"):
        kill_during(fail)
