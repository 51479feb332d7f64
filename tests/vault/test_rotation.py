"""Rotation by its real command: whatever interrupts it, every secret opens and all come along."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import closing, contextmanager
from random import Random
from typing import Any

import pytest
from attrs import frozen
from sqlalchemy import event, select, update

from hotelcore import HotelCore, KeyRing, Role, Secret
from hotelcore.cli import main
from hotelcore.domain.sealed import Resealed
from hotelcore.errors import InvalidInput, NotFound, PermissionDenied, SealBroken
from hotelcore.ids import HotelId, new_id
from hotelcore.lists import AuditFilter
from hotelcore.operations import change_pms_key, register_guest, reseal_secrets
from hotelcore.sql.repositories.pms import PMS_CONFIG
from hotelcore.sql.sealing.subject_keys import SUBJECT_KEY
from hotelcore.sql.seam.engine import READING
from hotelcore.sql.upkeep.key_use import KeyUse, use_of_keys
from hotelcore.vault import KEY_BYTES, key_number
from tests.vault.houses import MATERIALS, desk_of, open_house, ring, secrets_of

pytestmark = pytest.mark.long

# What a program reads from the command is JSON.
Document = dict[str, Any]
any_value: Callable[..., Any] = lambda value: value  # noqa: E731  # hides a type from mypy
_c = PMS_CONFIG.c


def environment(*numbers: int) -> dict[str, str]:
    """Return the variables of the keys with these numbers."""
    names = {1: "PMS_ENCRYPTION_KEY", 2: "PMS_ENCRYPTION_KEY_2", 3: "PMS_ENCRYPTION_KEY_3"}
    return {names[number]: b64encode(MATERIALS[number]).decode() for number in numbers}


@frozen
class Estate:
    """Hotels whose keys stand under key 1, in one database."""

    url: str
    core: HotelCore
    secrets: Mapping[HotelId, str]

    @property
    def hotels(self) -> Collection[HotelId]:
        """The hotels."""
        return self.secrets.keys()

    def under(self, number: int) -> int:
        """Count the PMS keys under a key, without a lock on anything."""
        with self.core.engine.connect().execution_options(**{READING: True}) as connection:
            sealed = connection.execute(select(_c.api_key)).scalars().all()
        return sum(key_number(envelope or b"") == number for envelope in sealed)

    def use_in(self, hotel: HotelId) -> KeyUse:
        """Count what a hotel has under each key."""
        with self.core._serving(hotel) as run:
            return use_of_keys(run)

    def opens_with(self, *numbers: int) -> bool:
        """Tell whether these keys open every secret."""
        with closing(HotelCore(self.url, keys=ring(*numbers))) as core:
            return secrets_of(core, self.hotels) == self.secrets

    def run_of(self, action: str, *numbers: int) -> subprocess.Popen[str]:
        """Start the command as a process that has these keys."""
        return subprocess.Popen(
            [sys.executable, "-m", "hotelcore", "keys", action, "--json", "--database", self.url],
            env={**os.environ, **environment(*numbers)},
            stdout=subprocess.PIPE,
            text=True,
        )

    def resealings(self) -> int:
        """Count the audited rotations of all hotels."""
        done = 0
        for hotel in self.hotels:
            with desk_of(self.core, hotel).reading() as uow:
                done += len(uow.audit.page(AuditFilter(operation="reseal_secrets")).items)
        return done


@contextmanager
def opened(url: str, *, hotels: int) -> Generator[Estate]:
    """Open that many hotels in an empty database."""
    with closing(HotelCore(url, keys=ring(1))) as core:
        core.create_schema()
        secrets = {open_house(core, f"secret {n}"): f"secret {n}" for n in range(hotels)}
        yield Estate(url, core, secrets)


@pytest.fixture
def many(schema_url: str) -> Generator[Estate]:
    """Return an estate of many hotels, in a database of each kind."""
    with opened(schema_url, hotels=24) as estate:
        yield estate


@pytest.fixture
def few(schema_url: str) -> Generator[Estate]:
    """Return an estate of three hotels, in a database of each kind."""
    with opened(schema_url, hotels=3) as estate:
        yield estate


# -- processes --------------------------------------------------------------------------------


def test_a_killed_rotation_is_taken_up_again(many: Estate) -> None:
    """Killed at random points, no secret is lost or shut at any of them, and the next run ends."""
    dice, kills = Random(4), 0
    while (done := many.under(2)) < len(many.hotels):
        aim = done + dice.randint(2, 7)
        process = many.run_of("rotate", 1, 2)
        while process.poll() is None and many.under(2) < aim:
            pass
        kills += process.poll() is None
        process.kill()
        process.communicate()
        assert many.opens_with(1, 2)
    last = many.run_of("rotate", 1, 2)
    document = json.loads(last.communicate()[0])
    assert last.returncode == 0
    assert document == {"current": 2, "resealed": 0, "broken": 0, "left": 0}
    assert kills >= 2
    assert many.opens_with(2)
    # Each hotel was sealed anew by one command, however often the process died.
    assert many.resealings() == len(many.hotels)


def test_two_rotations_at_once_do_the_work_once(many: Estate) -> None:
    """Both end well, each value was sealed anew by one of them, and all open under the new key."""
    runs = [many.run_of("rotate", 1, 2) for _ in range(2)]
    documents = [json.loads(run.communicate()[0]) for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert sum(document["resealed"] for document in documents) == len(many.hotels)
    assert [(document["broken"], document["left"]) for document in documents] == [(0, 0)] * 2
    assert many.under(2) == len(many.hotels)
    assert many.opens_with(2)


# -- one step ---------------------------------------------------------------------------------


def test_a_key_that_is_changed_meanwhile_is_kept(postgresql_url: str) -> None:
    """A change between the rotation's reading and its writing wins; SQLite has but one writer."""
    with opened(postgresql_url, hotels=1) as estate:
        [hotel] = estate.hotels
        others = iter([Secret("newer")])

        def interfere(_: object, __: object, statement: str, *rest: object) -> None:
            if statement.startswith("UPDATE hc_pms_config"):
                for other in others:
                    desk_of(estate.core, hotel).run(change_pms_key, api_key=other)

        with closing(HotelCore(estate.url, keys=ring(1, 2))) as rotating:
            event.listen(rotating.engine, "before_cursor_execute", interfere)
            desk = desk_of(rotating, hotel)
            assert desk.run(reseal_secrets) == Resealed(resealed=0, broken=0)
            assert secrets_of(rotating, [hotel]) == {hotel: "newer"}
            assert estate.under(1) == 1
            assert desk.run(reseal_secrets) == Resealed(resealed=1, broken=0)
            assert secrets_of(rotating, [hotel]) == {hotel: "newer"}


def test_a_broken_value_is_left_and_counted(
    few: Estate, capsys: pytest.CaptureFixture[str]
) -> None:
    """What does not open stays as it is; the others come along, and the command says so."""
    broken, *others = few.hotels
    with few.core.engine.begin() as connection:
        mine = _c.hotel_id == broken
        envelope = bytearray(connection.execute(select(_c.api_key).where(mine)).scalar_one() or b"")
        envelope[-1] ^= 1
        connection.execute(update(PMS_CONFIG).where(mine).values(api_key=bytes(envelope)))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(1, 2).items():
            patch.setenv(name, value)
        for resealed in (2, 0):
            assert main(["keys", "rotate", "--json", "--database", few.url]) == 1
            assert json.loads(capsys.readouterr().out) == {
                "current": 2,
                "resealed": resealed,
                "broken": 1,
                "left": 1,
            }
        assert main(["keys", "rotate", "--database", few.url]) == 1
        assert "1 do not open" in capsys.readouterr().out
    with closing(HotelCore(few.url, keys=ring(1, 2))) as core:
        assert secrets_of(core, others) == {hotel: few.secrets[hotel] for hotel in others}
        with pytest.raises(SealBroken):
            secrets_of(core, [broken])
    with few.core.engine.connect() as connection:
        kept = connection.execute(select(_c.api_key).where(mine)).scalar_one()
    assert kept == bytes(envelope)


def test_what_stands_behind_a_broken_value_comes_along(few: Estate) -> None:
    """Values that do not open are passed over, and every other one of the hotel is sealed anew."""
    hotel, *_ = few.hotels
    for name in ("Sousa", "Lopes", "Reis"):
        desk_of(few.core, hotel).run(register_guest, last_name=name)
    begun = few.use_in(hotel).sealed[1]
    its = SUBJECT_KEY.c
    first = select(its.subject_id, its.sealed).where(its.hotel_id == hotel).order_by(its.subject_id)
    with few.core.engine.begin() as connection:
        subject, envelope = connection.execute(first).all()[0]
        broken = envelope[:-1] + bytes([envelope[-1] ^ 1])
        connection.execute(
            update(SUBJECT_KEY).where(its.subject_id == subject).values(sealed=broken)
        )
    with closing(HotelCore(few.url, keys=ring(1, 2))) as core:
        resealed = desk_of(core, hotel).run(reseal_secrets)
    assert resealed == Resealed(resealed=begun - 1, broken=1)
    assert begun == 1 + 3


def test_a_hotel_comes_along_in_short_transactions(schema_url: str) -> None:
    """At most ``limit`` values are sealed anew at a time, and the last time says that it was."""
    with opened(schema_url, hotels=1) as estate:
        [hotel] = estate.hotels
        names = {f"Guest {number}" for number in range(7)}
        for name in names:
            desk_of(estate.core, hotel).run(register_guest, last_name=name)
        assert estate.use_in(hotel).sealed == {1: 1 + len(names)}
        with closing(HotelCore(estate.url, keys=ring(1, 2))) as core:
            desk, results = desk_of(core, hotel), [Resealed(resealed=0, broken=0, more=True)]
            while results[-1].more:
                results.append(desk.run(reseal_secrets, limit=3))
        assert [result.resealed for result in results] == [0, 3, 3, 2]
        assert estate.use_in(hotel).sealed == {2: 8}
        with closing(HotelCore(estate.url, keys=ring(2))) as core:
            assert secrets_of(core, [hotel]) == estate.secrets
            with desk_of(core, hotel).reading() as uow:
                entries = uow.audit.page(AuditFilter(operation="register_guest")).items
        assert {entry.changes[0].after["last_name"] for entry in map(any_value, entries)} == names


def test_resealing_is_for_the_administrator(few: Estate) -> None:
    """It is an operation like any other: permitted, audited, and of one hotel alone."""
    one, other, _ = few.hotels
    with closing(HotelCore(few.url, keys=ring(1, 2))) as core:
        for role in set(Role) - {Role.ADMIN}:
            with pytest.raises(PermissionDenied):
                desk_of(core, one, role).run(reseal_secrets)
        assert desk_of(core, one).run(reseal_secrets) == Resealed(resealed=1, broken=0)
        with pytest.raises(NotFound, match="not registered"):
            desk_of(core, HotelId(new_id())).run(reseal_secrets)
    assert few.use_in(one).sealed == {2: 1}
    assert few.use_in(other).sealed == {1: 1}
    with pytest.raises(InvalidInput, match="limit: "):
        desk_of(few.core, one).run(reseal_secrets, limit=any_value(0))


# -- the command ------------------------------------------------------------------------------


@frozen
class Command:
    """The command, run in this process under some keys."""

    url: str
    capsys: pytest.CaptureFixture[str]
    patch: pytest.MonkeyPatch

    def __call__(self, action: str, *numbers: int, code: int = 0) -> Document:
        """Return the document that an action prints."""
        for name in environment(1, 2, 3):
            self.patch.delenv(name, raising=False)
        for name, value in environment(*numbers).items():
            self.patch.setenv(name, value)
        where = () if action == "generate" else ("--database", self.url)
        assert main(["keys", action, "--json", *where]) == code
        document: Document = json.loads(self.capsys.readouterr().out)
        return document


@pytest.fixture
def command(
    schema_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    """Return the command over this database."""
    return Command(schema_url, capsys, monkeypatch)


def states(document: Document) -> dict[int, tuple[int, str]]:
    """Return by key how much is sealed under it, and what it is."""
    return {key["number"]: (key["sealed"], key["state"]) for key in document["keys"]}


def test_status_tells_which_keys_can_go(few: Estate, command: Command) -> None:
    """A key is in use until everything was sealed anew; then only the audit log may need it."""
    assert states(command("status", 1)) == {1: (3, "current")}
    assert states(command("status", 1, 2)) == {
        1: (3, "in use until you rotate"),
        2: (0, "current"),
    }
    assert command("rotate", 1, 2) == {"current": 2, "resealed": 3, "broken": 0, "left": 0}
    entries = sum(few.use_in(hotel).audit[1] for hotel in few.hotels)
    assert entries > 0
    status = command("status", 1, 2, 3)
    assert states(status) == {
        1: (0, "needed to verify the audit log"),
        2: (3, "in use until you rotate"),
        3: (0, "current"),
    }
    assert [key["audit_entries"] for key in status["keys"]] == [entries, 3, 0]


def test_status_tells_which_keys_are_missing(few: Estate, command: Command) -> None:
    """A key that is needed and that the ring lacks is an alarm; one that nobody needs is not."""
    assert states(command("status", 2, 3, code=1)) == {
        1: (3, "missing from the ring"),
        2: (0, "can go"),
        3: (0, "current"),
    }
    assert command("rotate", 2, 3, code=1) == {
        "current": 3,
        "resealed": 0,
        "broken": 3,
        "left": 3,
    }
    assert few.opens_with(1)


def test_people_read_a_table(
    few: Estate, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without ``--json`` there is a line for each key."""
    command("rotate", 1, 2)
    assert main(["keys", "status", "--database", few.url]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["number", "sealed", "audit", "entries", "state"]
    assert [line.split()[:2] for line in lines] == [["1", "0"], ["2", "3"]]


@pytest.mark.parametrize(
    ("known", "variable"),
    [
        ({}, "PMS_ENCRYPTION_KEY"),
        (environment(1), "PMS_ENCRYPTION_KEY_2"),
        (environment(1, 2), "PMS_ENCRYPTION_KEY_3"),
        (environment(2), "PMS_ENCRYPTION_KEY_3"),
        ({"PMS_ENCRYPTION_KEY": "changeme"}, "PMS_ENCRYPTION_KEY"),
        ({**environment(1), "PMS_ENCRYPTION_KEY_2": "00" * 32}, "PMS_ENCRYPTION_KEY_2"),
    ],
)
def test_a_new_key_comes_with_its_variable(
    known: dict[str, str],
    variable: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The line goes into the environment as it is; no key is drawn twice."""
    for name, value in known.items():
        monkeypatch.setenv(name, value)
    drawn = set()
    for _ in range(10):
        assert main(["keys", "generate"]) == 0
        name, _, key = capsys.readouterr().out.strip().partition("=")
        assert name == variable
        assert KeyRing.from_environment({**known, name: key}).current().number >= 1
        drawn.add(key)
    assert len(drawn) == 10
    assert {len(key) for key in drawn} == {len(b64encode(bytes(KEY_BYTES)))}


def test_a_misspelt_variable_is_not_guessed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever named a variable wrongly is told so, before he gets another key for it."""
    monkeypatch.setenv("PMS_ENCRYPTION_KEY_02", environment(2)["PMS_ENCRYPTION_KEY_2"])
    assert main(["keys", "generate"]) == 1
    assert "PMS_ENCRYPTION_KEY_02: is the name of no key" in capsys.readouterr().err


def test_other_commands_use_the_keys_too(few: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the command line does is in the audit log under the current key, like all else."""
    purge = ["events", "purge", "--older-than", "1", "--database", few.url]
    for name, value in environment(1, 2).items():
        monkeypatch.setenv(name, value)
    assert main(purge) == 0
    assert [few.use_in(hotel).audit[2] for hotel in few.hotels] == [1, 1, 1]
    monkeypatch.setenv("PMS_ENCRYPTION_KEY_2", "changeme")
    assert main(purge) == 1


@pytest.mark.parametrize("action", ["rotate", "status"])
def test_without_keys_the_command_starts_nothing(
    few: Estate, action: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rotating and counting need the ring; the refusal names the variable."""
    assert main(["keys", action, "--database", few.url]) == 1
    assert "PMS_ENCRYPTION_KEY: is not set" in capsys.readouterr().err
