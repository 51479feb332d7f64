"""A hotel never sees another: whatever is called with whatever is another's, nothing comes out.

Environment
    `HOTELCORE_PROBES`   how many probes for each database; default 1500, the whole proof 1,000,000
    `HOTELCORE_SEED`     the seed of their random arguments; default 4
"""

from __future__ import annotations

import inspect
import json
import logging
import os
import shutil
import sys
from base64 import urlsafe_b64encode
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from random import Random
from typing import NewType, TypeAlias

import pytest
from attrs import frozen
from sqlalchemy import Engine, make_url, update

from hotelcore import ids
from hotelcore.access import Permission
from hotelcore.domain.guests import Guest
from hotelcore.errors import NotFound, TenantMismatch
from hotelcore.ids import GuestId
from hotelcore.lists import Page
from hotelcore.sql.repositories.guests import GUEST
from hotelcore.sql.unit_of_work import SqlUnitOfWork
from hotelcore.unit_of_work import UnitOfWork
from tests.isolation.probing import Prober, Tally
from tests.isolation.surface import Target, targets
from tests.isolation.values import UnknownType, Values
from tests.isolation.world import TABLES_OF_IDS, World
from tests.postgres_server import fresh_database
from tests.records import RECORD

pytestmark = pytest.mark.long

PROBES = int(os.environ.get("HOTELCORE_PROBES", "1500"))
SEED = int(os.environ.get("HOTELCORE_SEED", "4"))
IN_A_WORLD = 50_000
"""After so many probes a new world is furnished, since what was kept wears the old one out."""
STEP = 10_000
TOP_UP, TOP_UPS = 200, 20

Worlds: TypeAlias = Callable[[], AbstractContextManager[World]]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def new_world(request: pytest.FixtureRequest) -> Worlds:
    """Return what furnishes one world after the other, in each kind of database."""

    @contextmanager
    def on_sqlite() -> Generator[World]:
        folder: Path = request.getfixturevalue("tmp_path_factory").mktemp("world")
        with furnished(f"sqlite:///{folder / 'hotels.db'}") as world:
            yield world
        shutil.rmtree(folder)

    @contextmanager
    def on_postgresql() -> Generator[World]:
        server: Engine = request.getfixturevalue("postgresql_server")
        # Nothing has to survive a power cut.
        with fresh_database(server) as url:
            quick = make_url(url).update_query_dict({"options": "-csynchronous_commit=off"})
            with furnished(quick.render_as_string(hide_password=False)) as world:
                yield world

    return on_sqlite if request.param == "sqlite" else on_postgresql


@pytest.fixture(scope="module")
def world(new_world: Worlds) -> Generator[World]:
    """Return a world that the tests of this module share; they keep nothing in it."""
    with new_world() as world:
        yield world


@contextmanager
def furnished(url: str) -> Generator[World]:
    """Furnish a world and close its connections afterwards."""
    world = World.furnished(url)
    with closing(world.core):
        yield world


def test_no_hotel_sees_another(
    new_world: Worlds,
    record_property: Callable[[str, object], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Everything that can be called answers foreign ids and words as if nobody had them."""
    prober = Prober(targets(), Random(SEED))

    def tell(tally: Tally) -> None:
        if tally.probes // STEP > told[0]:
            told[0] = tally.probes // STEP
            with capsys.disabled():
                sys.stdout.write(f"{summary(prober)}\n")
                sys.stdout.flush()

    told = [0]
    while prober.tally.probes < PROBES and not prober.findings:
        with new_world() as world, prober.over(world):
            prober.run(min(IN_A_WORLD, PROBES - prober.tally.probes), tell)
            for _ in range(TOP_UPS):
                if prober.gaps() and not prober.findings:
                    prober.run(TOP_UP, tell)
    record_property(RECORD, summary(prober))
    assert not prober.findings, "\n".join(map(str, prober.findings))
    assert not prober.gaps()


def summary(prober: Prober) -> str:
    """Say in one line how much was probed and what came of it."""
    tally, number = prober.tally, len(prober.targets)
    called = sum(1 for target in prober.targets if tally.calls[target.name])
    succeeded = sum(1 for target in prober.targets if tally.succeeded[target.name])
    foreign = sum(1 for target in prober.targets if tally.succeeded_foreign[target.name])
    return (
        f"seed {SEED}: {tally.probes:,} probes, {tally.foreign:,} of them with foreign ids or words"
        f" and each beside its twin with missing ones; {called} of {number} operations and methods,"
        f" {succeeded} succeeded, {foreign} also with something foreign; {tally.kept:,} kept,"
        f" {tally.excepted} times a Stripe id, {len(prober.findings)} leaks or differences"
    )


def test_what_a_hotel_is_told_is_of_its_own_rows_alone(new_world: Worlds) -> None:
    """Every call answers the same, figures too, when all other hotels are deleted."""
    prober = Prober(targets(), Random(SEED))
    with new_world() as world, prober.over(world):
        side = world.sides[0]
        calls = prober.calls_of(side)
        among_others = list(prober.answers(side, calls))
        world.leave_alone(side)
        alone = list(prober.answers(side, calls))
    differing = [
        (call, before, after)
        for (call, before), (_, after) in zip(among_others, alone, strict=True)
        if before != after
    ]
    assert not differing, differing[0]


# -- nothing is left out ------------------------------------------------------------------------


def test_every_kind_of_id_is_known() -> None:
    """Each kind of id that the library has is taken from its table."""
    kinds = {name for name, kind in inspect.getmembers(ids) if isinstance(kind, NewType)}
    assert kinds == set(TABLES_OF_IDS)


def test_every_hotel_has_every_kind_of_record(world: World) -> None:
    """There are ids of every kind of each hotel; one gave its PMS connection up."""
    for side in world.sides:
        kinds = {kind for kind, found in side.ids.items() if found}
        assert kinds | {"PmsConfigId"} == set(TABLES_OF_IDS)


def test_a_value_of_every_type_can_be_made(world: World) -> None:
    """Every argument of everything that can be called is of a type that the probes can make."""
    own, *others = world.sides
    values = Values(Random(SEED), own, others)
    for target in targets():
        for name, hint in target.parameters.items():
            values.make(name, hint)


def test_an_unknown_type_is_noticed() -> None:
    """An argument of a type that nobody taught the probes is no silent gap."""
    values = Values(Random(SEED), None, ())  # type: ignore[arg-type]  # it does not come to that
    with pytest.raises(UnknownType, match="photo"):
        values.make("photo", bytes)


# -- what leaks is found ------------------------------------------------------------------------


def _in_value(uow: SqlUnitOfWork, guest: Guest) -> object:
    return {"found": [guest.last_name]}


def _hidden_by_repr(uow: SqlUnitOfWork, guest: Guest) -> object:
    return (guest,)


def _in_cursor(uow: SqlUnitOfWork, guest: Guest) -> object:
    values = json.dumps([guest.last_name]).encode()
    return Page((), urlsafe_b64encode(values).decode())


def _in_error(uow: SqlUnitOfWork, guest: Guest) -> object:
    raise NotFound("guest", guest.last_name)


def _in_cause(uow: SqlUnitOfWork, guest: Guest) -> object:
    raise NotFound("guest", guest.id) from LookupError(guest.last_name)


def _in_attribute(uow: SqlUnitOfWork, guest: Guest) -> object:
    failure = NotFound("guest", guest.id)
    failure.other = guest.last_name  # type: ignore[attr-defined]  # as nobody should
    raise failure


def _in_log(uow: SqlUnitOfWork, guest: Guest) -> object:
    logging.getLogger("hotelcore.leak").debug("found %s", guest.last_name)
    raise NotFound("guest", guest.id)


def _by_other_text(uow: SqlUnitOfWork, guest: Guest) -> object:
    raise NotFound("guest of another hotel", guest.id)


def _by_other_class(uow: SqlUnitOfWork, guest: Guest) -> object:
    raise TenantMismatch("guest")


def _by_one_more_statement(uow: SqlUnitOfWork, guest: Guest) -> object:
    assert uow.hotels.lock().name
    raise NotFound("guest", guest.id)


def _in_audit(uow: SqlUnitOfWork, guest: Guest) -> object:
    with uow.command("probe", Permission.BOOKINGS_VIEW):
        uow.reason(guest.last_name)
    return guest.id


def _into_foreign_row(uow: SqlUnitOfWork, guest: Guest) -> object:
    with uow.own_writing() as run:
        run.write(update(GUEST).where(GUEST.c.id == guest.id).values(vip=True))
    return guest.id


WAYS: Mapping[str, Callable[[SqlUnitOfWork, Guest], object]] = {
    "value": _in_value,
    "hidden by repr": _hidden_by_repr,
    "cursor": _in_cursor,
    "error": _in_error,
    "cause": _in_cause,
    "attribute": _in_attribute,
    "log": _in_log,
    "other text": _by_other_text,
    "other class": _by_other_class,
    "one more statement": _by_one_more_statement,
    "audit": _in_audit,
    "foreign row": _into_foreign_row,
}


@frozen(eq=False)
class Leak:
    """What lets another hotel's guest through, in one of many ways."""

    world: World
    way: str

    def __call__(self, uow: UnitOfWork, *, guest_id: GuestId) -> object:
        """Find a guest of the own hotel, and leak one of another."""
        assert isinstance(uow, SqlUnitOfWork)
        guest = self._guest(guest_id)
        if guest is not None and guest.hotel_id != uow.hotel_id:
            return WAYS[self.way](uow, guest)
        if guest is None:
            raise NotFound("guest", guest_id)
        return guest_id

    def _guest(self, guest_id: GuestId) -> Guest | None:
        """Return the guest, whoever's it is, as a statement without a condition would."""
        known = (guest for side in self.world.sides for guest in side.records.get(Guest, ()))
        return next((guest for guest in known if guest.id == guest_id), None)


@pytest.mark.parametrize("way", WAYS)
def test_what_leaks_is_found(world: World, way: str) -> None:
    """A guest of another hotel who comes out in any way is found, and so is any difference."""
    listed = next(target for target in targets() if target.name == "uow.guests.get")
    leak = Target("leak", {"guest_id": GuestId}, operation=Leak(world, way))
    prober = Prober((listed, leak), Random(SEED))
    with prober.over(world):
        prober.run(100, lambda tally: None)
    assert {finding.target for finding in prober.findings} == {"leak"}
