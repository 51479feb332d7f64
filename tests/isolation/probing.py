"""Calls everything in the name of one hotel with what belongs to another, and looks for traces."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import cached_property
from itertools import cycle
from random import Random
from typing import Any
from uuid import UUID

import attrs
from attrs import define, field, frozen

from hotelcore.access import Permission, Role
from hotelcore.core import Desk
from hotelcore.domain.money import Money
from hotelcore.domain.stays import Stay
from hotelcore.errors import DatabaseFailure, HotelcoreError, PermissionDenied, ReadOnly
from hotelcore.events.trace import Trace
from hotelcore.lists import Page
from hotelcore.sql.events.outbox import write_events
from hotelcore.sql.transactions import Once, perform
from hotelcore.sql.unit_of_work import SqlUnitOfWork
from hotelcore.tenancy import Actor
from hotelcore.unit_of_work import UnitOfWork
from tests.isolation.canaries import Mark, Twins, marks, twin
from tests.isolation.recording import Outcome, Recorder
from tests.isolation.surface import PROVE, Target
from tests.isolation.values import Values, may_be_foreign
from tests.isolation.world import Side, World

__all__ = ["Finding", "Prober", "Tally"]

_LONG = timedelta(minutes=5)
_IN_A_UNIT = 200
_UNITS = 6
"""How many units pass between two looks at all rows."""
_ROLES = (
    [Role.ADMIN] * 28 + [Role.MANAGER] * 5 + [Role.RECEPTION] * 3 + [Role.STAFF] * 3 + [Role.GUEST]
)
_MOST_FINDINGS = 10
_FEW = 8
_LESSONS = 40
_MOST_RECORDS = 120


class _Undone(Exception):
    """Ends a savepoint or a unit whose work is not to be kept."""


@frozen
class Finding:
    """A trace of another hotel, or a difference between a foreign and a missing id."""

    number: int
    target: str
    what: str
    arguments: str


@frozen(slots=False)
class _Call:
    """One call: the target, its arguments, and the idempotency key if it has one."""

    target: Target
    arguments: dict[str, Any]  # arguments differ in type
    key: str | None
    in_command: bool

    @cached_property
    def marks_of(self) -> Mapping[str, set[Mark]]:
        """The words and ids in each argument."""
        return {name: marks(value) for name, value in self.arguments.items()}

    @cached_property
    def marks(self) -> set[Mark]:
        """The words and ids that the caller passes in, and so may see again."""
        return marks(self.key).union(*self.marks_of.values())

    def twin(self, twins: Twins) -> _Call:
        """Return the same call with ids and words that nobody has in place of the foreign ones."""
        arguments = {name: twin(value, twins) for name, value in self.arguments.items()}
        key = None if self.key is None else twins.in_text(self.key)
        return _Call(self.target, arguments, key, self.in_command)


@define
class Tally:
    """How much was probed, and what came of it."""

    probes: int = 0
    foreign: int = 0
    kept: int = 0
    logged: int = 0
    excepted: int = 0
    calls: Counter[str] = field(factory=Counter)
    foreign_by_parameter: Counter[tuple[str, str]] = field(factory=Counter)
    succeeded: Counter[str] = field(factory=Counter)
    succeeded_foreign: Counter[str] = field(factory=Counter)
    errors: Counter[str] = field(factory=Counter)


@define
class Prober:
    """Probes one world after the other, always going on with the target that is next."""

    targets: Sequence[Target]
    random: Random
    tally: Tally = field(factory=Tally)
    findings: list[Finding] = field(factory=list)
    recorder: Recorder = field(factory=Recorder)
    _writers: set[str] = field(factory=set)
    _turns: dict[str, Iterator[str | None]] = field(factory=dict)
    _good: dict[tuple[str, str], dict[str, Any]] = field(factory=dict)  # arguments differ
    _order: list[Target] = field(factory=list)
    _until: int = 0
    _world: World = field(init=False)
    _acting: Side = field(init=False)
    _values: Values = field(init=False)

    @contextmanager
    def over(self, world: World) -> Generator[None]:
        """Probe this world while the body runs."""
        self._world = world
        with self.recorder.over(world.core):
            self._harvest()
            for side in (*world.sides, world.stranger):
                self._learn(side)
            yield

    def gaps(self) -> list[str]:
        """Return what was not called yet, never succeeded, or was given nothing foreign."""
        tally = self.tally
        called = [t.name for t in self.targets if not tally.calls[t.name]]
        failed = [t.name for t in self.targets if not tally.succeeded[t.name]]
        spared = [
            f"{target.name}({parameter})"
            for target in self.targets
            for parameter, hint in target.parameters.items()
            if may_be_foreign(hint) and not tally.foreign_by_parameter[target.name, parameter]
        ]
        return [
            *(f"{name} was not called" for name in called),
            *(f"{name} never succeeded" for name in failed),
            *(f"{name} was given nothing foreign" for name in spared),
        ]

    def calls_of(self, side: Side) -> list[_Call]:
        """Return some calls of every target in which nothing is foreign."""
        self._become(side)
        calls = []
        for target in self.targets:
            good = self._good.get((side.word, target.name))
            for known in (good, *[None] * _FEW):
                arguments = self._values.arguments(target, None, known)
                calls.append(_Call(target, arguments, None, in_command=True))
        return calls

    def answers(self, side: Side, calls: Sequence[_Call]) -> Iterator[tuple[_Call, object]]:
        """Give what each call answers in a hotel, with the statements it took; nothing is kept."""
        self._become(side)
        with suppress(_Undone), self._desk(side, Role.ADMIN).transaction() as uow:
            assert isinstance(uow, SqlUnitOfWork)
            for call in calls:
                yield call, self._try(uow, call).shape({}, self._world.is_known)
            raise _Undone

    def run(self, probes: int, progress: Callable[[Tally], None]) -> None:
        """Make so many more probes, or fewer if there are many findings."""
        self._until = self.tally.probes + probes
        while self.tally.probes < self._until and len(self.findings) < _MOST_FINDINGS:
            wrote: set[str] = set()
            for _ in range(_UNITS):
                if self.tally.probes >= self._until:
                    break
                self._unit()
                self._keep_some(1)
                wrote.add(self._acting.word)
            if changed := {side.word for side in self._world.read()} - wrote:
                self._find("", f"the rows of other hotels changed: {changed}", "")
            progress(self.tally)

    # -- what there is ------------------------------------------------------------------------

    def _harvest(self) -> None:
        """Read all that can be read, so that records and cursors are at hand; note who writes."""
        for side in self._world.sides:
            values = Values(self.random, side, [side])
            found: defaultdict[type, dict[str, Any]] = defaultdict(dict)  # of every class
            for target in self.targets:
                if not target.is_command and target.name not in self._writers | {PROVE}:
                    for result in self._readings(target, values):
                        _collect(result, found, side)
            side.records = {kind: list(known.values()) for kind, known in found.items()}

    def _readings(self, target: Target, values: Values) -> Iterator[object]:
        desk = self._desk(values.own, Role.ADMIN)
        for _ in range(_FEW if target.parameters else 1):
            with suppress(HotelcoreError), desk.reading() as uow:
                arguments = values.arguments(target, None)
                if "limit" in arguments:
                    arguments["limit"] = self.random.choice((1, 2, 60))
                try:
                    yield target.call(uow, arguments)
                except ReadOnly:
                    self._writers.add(target.name)
                    return

    def _learn(self, side: Side) -> None:
        """Look for arguments with which each call succeeds in a hotel; nothing is foreign."""
        self._become(side)
        self._good = {key: known for key, known in self._good.items() if key[0] != side.word}
        with suppress(_Undone), self._desk(side, Role.ADMIN).transaction() as uow:
            assert isinstance(uow, SqlUnitOfWork)
            for target in self.targets:
                lessons = _LESSONS if side.ids else _FEW
                for _ in range(lessons if target.parameters else 1):
                    arguments = self._values.arguments(target, None)
                    call = _Call(target, arguments, None, in_command=True)
                    outcome = self._try(uow, call)
                    self._scan(outcome, call)
                    if outcome.error is None:
                        self.tally.succeeded[target.name] += 1
                        self._good[side.word, target.name] = arguments
                        break
            raise _Undone

    def _become(self, side: Side) -> None:
        """Act in a hotel from now on; all that the others have is foreign."""
        self._acting = side
        others = [other for other in self._world.sides if other is not side]
        self._values = Values(self.random, side, others)
        self._world.act(side)

    def _desk(self, side: Side, role: Role) -> Desk:
        subject = f"canary-{side.word}-9999" if side in self._world.sides else "nobody"
        actor = Actor(hotel_id=side.hotel_id, subject=subject, role=role)
        return self._world.core.acting_as(actor).within(time_limit=_LONG)

    # -- units --------------------------------------------------------------------------------

    def _unit(self) -> None:
        """Make some probes in one unit, of somebody, that is not kept."""
        sides, random = self._world.sides, self.random
        acting = self._world.stranger if random.random() < 0.04 else random.choice(sides)
        self._become(acting)
        role = random.choice(_ROLES)
        reading, logged = random.random() < 0.2, random.random() < 0.05
        number = min(random.randint(_IN_A_UNIT // 4, _IN_A_UNIT), self._until - self.tally.probes)
        level = logging.DEBUG if logged else logging.WARNING
        for name in ("sqlalchemy.engine", "sqlalchemy.pool"):
            logging.getLogger(name).setLevel(level)
        self.tally.logged += number if logged else 0
        opening = (
            self._desk(acting, role).reading if reading else self._desk(acting, role).transaction
        )
        outcome = self.recorder.begin()
        try:
            with opening() as uow:
                assert isinstance(uow, SqlUnitOfWork)
                self._probes(uow, number, reading=reading)
                raise _Undone
        except _Undone:
            return
        except HotelcoreError as error:  # of a role that may not even look
            outcome.error = error
            self.tally.probes += 1
            self._scan(outcome, _Call(Target("unit of work"), {}, None, False))

    def _probes(self, uow: SqlUnitOfWork, number: int, *, reading: bool) -> None:
        attempt = self._look if reading else self._try
        if reading:
            with suppress(HotelcoreError):
                assert uow.hotel.name  # read once, so that no probe is the one that reads it
        for _ in range(number):
            target = self._next(reading=reading)
            if not self._probe(target, lambda call: attempt(uow, call)):
                return
            if len(self.findings) >= _MOST_FINDINGS:
                return

    def _next(self, *, reading: bool) -> Target:
        while True:
            if not self._order:
                self._order = list(self.targets)
                self.random.shuffle(self._order)
            target = self._order.pop()
            writes = target.is_command or target.name in self._writers
            if not (reading and writes):
                return target

    def _keep_some(self, number: int) -> None:
        """Run some operations for good, as the same hotel: their listeners are told."""
        operations = [target for target in self.targets if target.is_command]
        for _ in range(number if operations else 0):
            self.tally.kept += 1
            target = self.random.choice(operations)
            desk = self._desk(self._acting, self.random.choice(_ROLES))
            call = self._call(target, self._turn(target))
            # What a hotel writes down itself is its own from then on, so it writes nobody's words.
            twins = Twins(self._is_foreign_word, self.random.getrandbits, plain=True)
            call = call.twin(twins)
            self._scan(self._kept(desk, call), call)

    def _kept(self, desk: Desk, call: _Call) -> Outcome:
        outcome = self.recorder.begin()
        handle = desk if call.key is None else desk.once(call.key)
        assert call.target.operation is not None
        try:
            outcome.value = handle.run(call.target.operation, **call.arguments)
        except Exception as error:  # noqa: BLE001  # as above
            outcome.error = error
        return outcome

    # -- probes -------------------------------------------------------------------------------

    def _probe(self, target: Target, attempt: Callable[[_Call], Outcome]) -> bool:
        """Make one probe, and tell whether its unit can be used further."""
        call = self._call(target, self._turn(target))
        outcome = attempt(call)
        self._count(call, outcome)
        self._scan(outcome, call)
        foreign = {m for m in call.marks if self._world.is_foreign(m, self._acting)}
        if isinstance(outcome.error, PermissionDenied):
            # A refusal is kept, with the name that the caller gave to what was refused.
            self._world.adopt(self._acting, foreign)
        if not foreign or not _usable(outcome):
            return _usable(outcome)
        self.tally.foreign += 1
        twins = Twins(self._is_foreign, self.random.getrandbits)
        other = call.twin(twins)
        missing = attempt(other)
        self._scan(missing, other)
        self._compare(call, outcome, missing, twins)
        return _usable(missing)

    def _is_foreign(self, mark: Mark) -> bool:
        return self._world.is_foreign(mark, self._acting)

    def _is_foreign_word(self, mark: Mark) -> bool:
        return isinstance(mark, str) and self._is_foreign(mark)

    def _turn(self, target: Target) -> str | None:
        """Return the parameter whose turn it is to be foreign; now and then none is."""
        if target.name not in self._turns:
            names = [name for name, hint in target.parameters.items() if may_be_foreign(hint)]
            self._turns[target.name] = cycle([*names * 3, None, *names])
        return next(self._turns[target.name])

    def _call(self, target: Target, forced: str | None) -> _Call:
        good = self._good.get((self._acting.word, target.name))
        good = good if self.random.random() < 0.6 else None
        arguments = self._values.arguments(target, forced, good)
        for _ in range(_FEW):
            if forced is None or any(map(self._is_foreign, marks(arguments.get(forced)))):
                break
            arguments = self._values.arguments(target, forced, good)
        key = None
        if target.is_command and self.random.random() < 0.15:
            side = self._values.other() if self.random.random() < 0.7 else self._acting
            key = self.random.choice(side.texts.get("key", ["a new key"]))
        return _Call(target, arguments, key, self.random.random() < 0.15)

    def _try(self, uow: SqlUnitOfWork, call: _Call) -> Outcome:
        """Make a call in a writing unit, store what it leaves, look, and undo it all."""
        outcome = self.recorder.begin()
        try:
            with self.recorder.undoing(uow):
                outcome.value = self._made(uow, call)
                outcome.told += uow.tell_inline()
                with uow.own_writing() as run:
                    write_events(run, outcome.told, new_id=uow.new_id, at=uow.now(), trace=Trace())
                # How an event was numbered is in no value that was sent.
                keys = {event.key for event in outcome.told}
                outcome.written += [uow.events.of_record(key) for key in sorted(keys)]
                raise _Undone
        except _Undone:
            pass
        except Exception as error:  # noqa: BLE001  # whatever it is, it is looked at
            outcome.error = error
        return outcome

    def _look(self, uow: UnitOfWork, call: _Call) -> Outcome:
        """Make a call in a reading unit."""
        outcome = self.recorder.begin()
        try:
            outcome.value = self._made(uow, call)
        except Exception as error:  # noqa: BLE001  # as above
            outcome.error = error
        return outcome

    def _made(self, uow: UnitOfWork, call: _Call) -> object:
        target = call.target
        if target.name == PROVE:
            return self._world.core.prove(self._acting.hotel_id)
        if target.is_command and call.key is not None:
            assert isinstance(uow, SqlUnitOfWork)
            assert target.operation is not None
            return perform(uow, Once(call.key), target.operation, (), call.arguments)
        if target.is_command or not (call.in_command or target.name in self._writers):
            return target.call(uow, call.arguments)
        if not isinstance(uow, SqlUnitOfWork) or uow._run.read_only:
            return target.call(uow, call.arguments)
        with uow.command("probe", Permission.BOOKINGS_VIEW):
            return target.call(uow, call.arguments)

    # -- verdicts -----------------------------------------------------------------------------

    def _count(self, call: _Call, outcome: Outcome) -> None:
        name, tally = call.target.name, self.tally
        tally.probes += 1
        tally.calls[name] += 1
        foreign_names = [
            parameter
            for parameter, found in call.marks_of.items()
            if any(map(self._is_foreign, found))
        ]
        tally.foreign_by_parameter.update((name, parameter) for parameter in foreign_names)
        if outcome.error is not None:
            tally.errors[outcome.kind] += 1
            return
        tally.succeeded[name] += 1
        if foreign_names:
            tally.succeeded_foreign[name] += 1

    def _scan(self, outcome: Outcome, call: _Call) -> None:
        thorough = self.random.random() < 0.05
        leaked = {
            mark for mark in outcome.marks(thorough=thorough) - call.marks if self._is_foreign(mark)
        }
        if leaked:
            self._find(
                call.target.name, f"leaks {sorted(map(str, leaked))[:3]}: {_told(outcome)}", call
            )
        if outcome.error is not None and not isinstance(outcome.error, HotelcoreError):
            self._find(call.target.name, f"raises an error of nobody's: {_told(outcome)}", call)
        if outcome.touched_foreign_rows:
            self._find(call.target.name, f"touched rows of another hotel: {_told(outcome)}", call)

    def _compare(self, call: _Call, foreign: Outcome, missing: Outcome, twins: Twins) -> None:
        places = {mark: f"<{number}>" for number, mark in enumerate(twins.known)}
        twin_places = {twins.known[mark]: place for mark, place in places.items()}
        known = self._world.is_known
        seen, expected = foreign.shape(places, known), missing.shape(twin_places, known)
        if seen == expected:
            return
        if _is_named_exception(foreign):
            self.tally.excepted += 1
            return
        parts = ("error", "value", "audit", "events", "statements")
        differs = [p for p, a, b in zip(parts, seen, expected, strict=True) if a != b]
        what = f"differs in {differs}: {_told(foreign)} is foreign, {_told(missing)} is missing"
        self._find(call.target.name, what, call)

    def _find(self, target: str, what: str, call: object) -> None:
        self.findings.append(Finding(self.tally.probes, target, what, repr(call)[:1500]))


def _told(outcome: Outcome) -> str:
    return repr(outcome.value)[:500] if outcome.error is None else repr(outcome.error)[:500]


def _usable(outcome: Outcome) -> bool:
    """Tell whether the unit still works: PostgreSQL goes on after a failure in a savepoint only."""
    return outcome.saved or not isinstance(outcome.error, DatabaseFailure | ReadOnly)


def _is_named_exception(outcome: Outcome) -> bool:
    """Tell whether it is the one value that is unique among all hotels: a Stripe id.

    It finds the hotel, so two cannot have it, and whoever is given it knows it already.
    """
    error = outcome.error
    return getattr(error, "kind", "") == "hotel" and "stripe" in getattr(error, "field", "")


def _collect(value: object, found: defaultdict[type, dict[str, Any]], side: Side) -> None:
    """Keep the records in what was read, and the cursors."""
    if isinstance(value, tuple | list):
        for item in value:
            _collect(item, found, side)
    elif isinstance(value, dict):
        _collect(list(value.values()), found, side)
    elif isinstance(value, Page):
        if value.next is not None and len(side.cursors) < _MOST_RECORDS:
            side.cursors.append(value.next)
        _collect(value.items, found, side)
    elif attrs.has(type(value)) and not isinstance(value, Money | Stay):
        known = found[type(value)]
        if len(known) < _MOST_RECORDS:
            known[_key_of(value)] = value


def _key_of(record: object) -> str:
    its: UUID | None = getattr(record, "id", None)
    return repr(record) if its is None else str(its)
