"""The machine's engine: it opens three hotels, runs each command twice, and compares.

A command runs in the database that all hotels share and in the twin where its hotel is alone. Both
must end alike, and as the machine's own beliefs say; the books are read after each step.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, ClassVar, TypeAlias, TypeVar
from uuid import UUID

from attrs import frozen
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition

from hotelcore import operations as op
from hotelcore.access import Role
from hotelcore.clock import local_date
from hotelcore.domain.money import Money
from hotelcore.domain.rooms import RoomCondition
from hotelcore.errors import HotelcoreError
from hotelcore.ids import HotelId, new_id
from hotelcore.testing import strategies as some
from hotelcore.testing.machine import houses as believed
from hotelcore.testing.machine.books import UNNAMED, adopt, agree, totals
from hotelcore.testing.machine.commands import Command, Manner
from hotelcore.testing.machine.houses import House, Key
from hotelcore.testing.machine.places import MakeCore, Place, Within
from hotelcore.testing.machine.stage import Stage
from hotelcore.testing.machine.twins import Pairs
from hotelcore.testing.worlds import differences, world_of
from hotelcore.unit_of_work import UnitOfWork

__all__ = ["HOTELS", "PICKS", "Driver", "Fit", "Step", "driving", "policy_of", "rules_of", "when"]

Fit: TypeAlias = Callable[[House, Any], bool]
"""Tells whether a record of a hotel is one for which a command is meant."""
F = TypeVar("F", bound=Callable[..., Any])

HOTELS = st.sampled_from([0, 0, 0, 1, 1, 2])
"""One of the three hotels; the first is the busiest, so that something comes of it."""
PICKS = st.integers(0, 29)
"""Which of the known records: mostly one of the hotel's own, see `Driver.pick`."""

_FIT, _OWN, _FOREIGN = 20, 25, 28
_MARK = "hotelcore_operations"


def driving(*operations: Callable[..., Any]) -> Callable[[F], F]:
    """Say which operations a rule runs; put it above the rule."""

    def mark(rule: F) -> F:
        setattr(rule, _MARK, frozenset(operation.__name__ for operation in operations))
        return rule

    return mark


def when(kind: str, fit: Fit) -> Callable[[F], F]:
    """Have a rule run only where some hotel has a record for which its command is meant."""
    return precondition(
        lambda machine: any(
            fit(house, record)
            for house in machine.houses
            for record in getattr(house, kind).values()
        )
    )


def policy_of(policy: Any) -> believed.Policy:  # Any: the library's own class, read by name alone
    """Give a cancellation policy as the machine keeps it."""
    late, no_show = (
        believed.Fee(fee.kind.value, fee.basis_points)
        for fee in (policy.late_fee, policy.no_show_fee)
    )
    return believed.Policy(policy.free_days, late, no_show)


def rules_of(rules: Any) -> believed.Rules:  # Any: as above
    """Give house rules as the machine keeps them."""
    return believed.Rules(
        rules.ready_condition.value,
        rules.unresolved_arrival.value,
        rules.overdue_departure.value,
        policy_of(rules.cancellation),
    )


@frozen
class Outcome:
    """How a call ended."""

    result: Any  # whatever the operation returns
    error: HotelcoreError | None

    def __str__(self) -> str:
        return f"{type(self.error).__name__}: {self.error}" if self.error else repr(self.result)


class Undone(Exception):
    """Ends a unit that the machine does not want to keep."""


class Driver(RuleBasedStateMachine):
    """Opens the hotels and runs commands in both places; the rules are added by subject."""

    make_core: ClassVar[MakeCore]
    _stage: ClassVar[Stage | None] = None

    @classmethod
    def stage(cls) -> Stage:
        """Return where the machine plays, made when it is first asked for."""
        if cls._stage is None:
            cls._stage = Stage(cls.make_core)
        return cls._stage

    @classmethod
    def leave(cls) -> None:
        """Close the databases; the next example opens others."""
        if cls._stage is not None:
            cls._stage.close()
            cls._stage = None

    @classmethod
    def operations(cls) -> frozenset[str]:
        """Return the names of the operations that some rule runs."""
        found: set[str] = set()
        for name in dir(cls):
            found |= getattr(getattr(cls, name), _MARK, frozenset())
        return frozenset(found)

    def __init__(self) -> None:
        super().__init__()
        self.at = self.stage()
        self.at.clear()
        self.houses: list[House] = []
        self.pairs = [Pairs() for _ in self.at.twins]
        self.sound = True

    # -- the beginning ------------------------------------------------------------------------

    @initialize(
        now=some.notable_instants,
        plans=st.tuples(some.hotel_plans, some.hotel_plans, some.hotel_plans),
        behind=st.sampled_from([0, 0, 1, 3]),
    )
    def open_hotels(self, now: datetime, plans: Sequence[some.HotelPlan], behind: int) -> None:
        """Open three hotels, whose business dates may lie some days behind."""
        self.at.clock.set(now)
        for place, plan in enumerate(plans):
            day = local_date(now, plan.time_zone) - behind * believed.DAY
            hotel_id = HotelId(new_id())
            house = House(
                place, hotel_id.hex, plan.time_zone, plan.currency, day, now, rules_of(plan.rules)
            )
            self.houses.append(house)
            ours, theirs = (
                _opened(at, hotel_id, plan, day) for at in (self.at.shared, self.at.twins[place])
            )
            assert self.pairs[place].same(ours, theirs), (ours, theirs)
            _learn_opening(house, plan, ours)
            self._look(house)
            self.first_bookings(house)

    def first_bookings(self, house: House) -> None:
        """Fill a hotel that was just opened."""

    # -- choosing -----------------------------------------------------------------------------

    def house(self, hotel: int, kind: str, fit: Fit) -> House:
        """Choose a hotel; the next one that has a record that fits, where it has none."""
        order = [self.houses[(hotel + n) % 3] for n in range(3)]
        has_one = (
            house
            for house in order
            if any(fit(house, record) for record in getattr(house, kind).values())
        )
        return next(has_one, order[0])

    def pick(self, house: House, kind: str, choice: int, fit: Fit | None = None) -> Key:
        """Choose a record that the machine has seen, the latest first.

        Most choices are ones that ``fit``, where there are any, so that most commands succeed. A
        few are another hotel's record, or one that never was.
        """
        known = getattr(house, kind)
        fitting = [key for key, it in known.items() if fit(house, it)] if fit else []
        own = fitting if fitting and choice < _FIT else list(known)
        if own and choice < _OWN:
            return str(own[-1 - choice % len(own)])
        other = list(getattr(self.houses[(house.place + 1 + choice % 2) % 3], kind))
        if other and choice < _FOREIGN:
            return str(other[-1])
        return f"{choice:032x}"

    def pass_time(self, by: timedelta) -> None:
        """Let time pass for all hotels."""
        self.at.clock.set(self.at.clock.now() + by)
        for house in self.houses:
            house.now = self.at.clock.now()

    # -- running ------------------------------------------------------------------------------

    def run(self, house: House, command: Command, manner: Manner = Manner()) -> Any:  # noqa: B008
        """Run a command in both places, compare, learn, and read the books.

        Returns the result, None where it was refused or not kept.
        """
        role = manner.role or command.least_role
        doubts, known = command.doubts_of(role), None
        if manner.key is not None and doubts != {"PermissionDenied"}:
            known = house.keyed.get((command.name, manner.key))
        if known is not None and known[0] != command.arguments:
            # What cannot be written down cannot be compared with what stands under the key.
            storable = all(map(_is_storable, command.arguments.values()))
            doubts = frozenset({"IdempotencyConflict" if storable else "InvalidInput"})
        elif known is not None:
            doubts = frozenset()
        outcome = self._twice(house, command, manner, role)
        self._judge(house, command, outcome, doubts)
        kept = outcome.error is None and manner.way in ("run", "transaction")
        if known is not None:
            assert outcome.error or known[1] in (None, outcome.result), (known, outcome)
        elif kept:
            self._learn(house, command, outcome.result, manner.key)
        self._look(house)
        return outcome.result if kept else None

    def _twice(self, house: House, command: Command, manner: Manner, role: Role) -> Outcome:
        self.sound = False
        hotel_id, pairs = UUID(house.hotel), self.pairs[house.place]
        self.at.attempts[command.name] += 1
        self.at.last.clear()
        ours, theirs = (
            _attempt(
                partial(_WAYS[manner.way], at, HotelId(hotel_id), role, command, said, manner.key)
            )
            for at, said in (
                (self.at.shared, command.arguments),
                (self.at.twins[house.place], _translated(pairs, command.arguments)),
            )
        )
        self._compare(house, command.name, ours, theirs)
        return ours

    def _compare(self, house: House, what: str, ours: Outcome, theirs: Outcome) -> None:
        if not self.pairs[house.place].same(
            (ours.result, ours.error), (theirs.result, theirs.error)
        ):
            raise AssertionError(
                f"{what} ended in hotel {house.place} as {ours}, where the hotel is alone"
                f" as {theirs}: another hotel interferes"
            )

    def _judge(
        self, house: House, command: Command, outcome: Outcome, doubts: frozenset[str]
    ) -> None:
        if not command.sure:
            return
        expected = " or ".join(sorted(doubts)) or "success"
        fine = type(outcome.error).__name__ in doubts if outcome.error else not doubts
        assert fine, f"{command.name} in hotel {house.place}: {expected} expected, not {outcome}"

    def _learn(self, house: House, command: Command, result: Any, key: str | None) -> None:
        self.at.successes[command.name] += 1
        house.commands += 1
        command.learn(result)
        if key is not None:
            house.keyed[command.name, key] = (command.arguments, result)
        missing = command.event is not None and command.event not in self.at.last
        assert not missing, f"{command.name} told no listener of {command.event}: {self.at.last}"

    def _look(self, house: House) -> None:
        self.sound = False
        hotel_id = HotelId(UUID(house.hotel))
        read = partial(self.at.shared.rows, hotel_id=hotel_id)
        nameless = house.unknown or any("?" in key for key in (*house.lines, *house.folios))
        if house.unknown:
            adopt(house, read)
        agree(house, read)
        if nameless:
            self._pair_by_rank(house)
        assert not self.at.early, f"told before it was committed: {self.at.early}"
        entries, events, gaps = totals(read)
        assert entries == house.commands, f"{entries} audit entries, {house.commands} commands"
        heard = self.at.heard[hotel_id]
        assert events == heard, f"{events} events are stored, listeners heard {heard}"
        assert not gaps, f"the events of {gaps} records are not numbered without gaps"
        self.sound = True

    def _pair_by_rank(self, house: House) -> None:
        """Pair the records that no result named: they were made in the same order in both."""
        hotel_id, pairs = HotelId(UUID(house.hotel)), self.pairs[house.place]
        for statement in UNNAMED:
            ours, theirs = (
                [_uuid(row[0]) for row in at.rows(statement, hotel_id)]
                for at in (self.at.shared, self.at.twins[house.place])
            )
            assert pairs.same(ours, theirs), (statement, ours, theirs)

    def reading(self, house: House) -> AbstractContextManager[Within]:
        """Open a unit that only reads a hotel in the shared database."""
        return self.at.shared.reading(HotelId(UUID(house.hotel)), Role.ADMIN)

    def asked(
        self, house: House, question: Callable[..., Any], arguments: Mapping[str, Any]
    ) -> Outcome:
        """Ask a question that only reads in both places, and compare."""
        hotel_id, pairs = HotelId(UUID(house.hotel)), self.pairs[house.place]
        ours, theirs = (
            _attempt(partial(_read, at, hotel_id, question, said))
            for at, said in (
                (self.at.shared, arguments),
                (self.at.twins[house.place], _translated(pairs, arguments)),
            )
        )
        self._compare(house, question.__name__, ours, theirs)
        return ours

    # -- several in one unit ------------------------------------------------------------------

    def run_unit(self, house: House, steps: Sequence[Step], *, keep: bool) -> None:
        """Run several commands in one transaction; each may be undone in a savepoint.

        A refusal outside a savepoint ends the unit, and nothing of it is kept.
        """
        self.sound = False
        before, pairs = copy.deepcopy(house), self.pairs[house.place]
        hotel_id = HotelId(UUID(house.hotel))
        places = (self.at.shared, self.at.twins[house.place])
        ours, theirs = (place.transaction(hotel_id, Role.ADMIN) for place in places)
        self.at.last.clear()
        kept = 0
        try:
            with ours as our_unit, theirs as their_unit:
                for step in steps:
                    command = step.build(self.houses[house.place])
                    self.at.attempts[command.name] += 1
                    units = (
                        (our_unit, command.arguments),
                        (
                            their_unit,
                            _translated(pairs, command.arguments),
                        ),
                    )
                    one, two = (
                        _attempt(partial(unit, _stepped, command, said, step.undone))
                        for unit, said in units
                    )
                    self._compare(house, command.name, one, two)
                    self._judge(house, command, one, command.doubts)
                    if one.error is not None and not step.undone:
                        raise Undone
                    if one.error is None and not step.undone:
                        kept += 1
                        house.commands += 1
                        command.learn(one.result)
                if not keep:
                    raise Undone
        except Undone:
            self.houses[house.place] = house = before
        self._look(house)

    # -- the end ------------------------------------------------------------------------------

    def teardown(self) -> None:
        """Hold each hotel's whole world against its twin's, and prove its books."""
        if not self.sound:
            return  # the step that failed says why
        for house in self.houses:
            hotel_id = HotelId(UUID(house.hotel))
            twin = self.at.twins[house.place]
            ours, theirs = (
                world_of(partial(at.rows, hotel_id=hotel_id), hotel_id)
                for at in (self.at.shared, twin)
            )
            assert ours == theirs, differences(ours, theirs)
            proofs = self.at.shared.prove(hotel_id, house.commands)
            assert proofs.ok, [check for check in proofs.checks if not check.ok]


@frozen
class Step:
    """One step of a unit: a command that is built when its turn comes, perhaps undone at once."""

    build: Callable[[House], Command]
    undone: bool


# -- the ways of running -----------------------------------------------------------------------


def _is_storable(value: object) -> bool:
    """Tell whether a text is one that every database takes; what is no text is."""
    return not isinstance(value, str) or not re.search(r"[\x00\ud800-\udfff]", value)


def _attempt(call: Callable[[], Any]) -> Outcome:
    try:
        return Outcome(call(), None)
    except HotelcoreError as error:
        return Outcome(None, error)


def _uuid(value: object) -> UUID:
    return value if isinstance(value, UUID) else UUID(str(value))


def _translated(pairs: Pairs, arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {name: pairs.translated(value) for name, value in arguments.items()}


def _read(
    at: Place, hotel_id: HotelId, question: Callable[..., Any], said: Mapping[str, Any]
) -> Any:
    with at.reading(hotel_id, Role.ADMIN) as do:
        return do(question, **said)


_Said: TypeAlias = Mapping[str, Any]


def _plainly(
    at: Place, hotel_id: HotelId, role: Role, command: Command, said: _Said, key: str | None
) -> Any:
    return at.run(hotel_id, role, command.operation, said, key)


def _in_transaction(
    at: Place, hotel_id: HotelId, role: Role, command: Command, said: _Said, _: str | None
) -> Any:
    with at.transaction(hotel_id, role) as do:
        return do(command.operation, **said)


def _undone(
    at: Place, hotel_id: HotelId, role: Role, command: Command, said: _Said, _: str | None
) -> Any:
    with at.transaction(hotel_id, role) as do:
        return do(_stepped, command, said, True)


def _abandoned(
    at: Place, hotel_id: HotelId, role: Role, command: Command, said: _Said, _: str | None
) -> Any:
    result = None
    try:
        with at.transaction(hotel_id, role) as do:
            result = do(command.operation, **said)
            raise Undone
    except Undone:
        return result


_WAYS: Mapping[str, Callable[[Place, HotelId, Role, Command, _Said, str | None], Any]] = {
    "run": _plainly,
    "transaction": _in_transaction,
    "undone": _undone,
    "abandoned": _abandoned,
}


def _stepped(unit: UnitOfWork, command: Command, said: _Said, undone: bool) -> Any:
    if not undone:
        return command.operation(unit, **said)
    result = None
    try:
        with unit.savepoint():
            result = command.operation(unit, **said)
            raise Undone
    except Undone:
        return result


# -- opening -----------------------------------------------------------------------------------


def _opened(at: Place, hotel_id: HotelId, plan: some.HotelPlan, day: date) -> tuple[Any, ...]:
    with at.transaction(hotel_id, Role.ADMIN) as do:
        do(
            op.register_hotel,
            name=plan.name,
            time_zone=plan.time_zone,
            currency=plan.currency,
            business_date=day,
            rules=plan.rules,
        )
        types = [
            do(
                op.add_room_type,
                code=each.code,
                name=plan.name,
                base_rate=Money(each.rate, plan.currency),
                overbooking_limit=each.limit,
            )
            for each in plan.types
        ]
        rooms = [
            do(
                op.add_rooms,
                room_type_id=room_type.id,
                numbers=[f"{room_type.code}{n}" for n in range(each.rooms)],
                condition=RoomCondition.INSPECTED,
            )
            for each, room_type in zip(plan.types, types, strict=True)
            if each.rooms
        ]
        return types, rooms, do(op.register_guest, last_name=plan.name)


def _learn_opening(house: House, plan: some.HotelPlan, opened: tuple[Any, ...]) -> None:
    types, rooms, guest = opened
    for each, made in zip(plan.types, types, strict=True):
        house.types[made.id.hex] = believed.RoomType(each.code, each.rate, each.limit)
    for room in (room for added in rooms for room in added):
        house.rooms[room.id.hex] = believed.Room(room.room_type_id.hex, room.number, "inspected")
    house.guests[guest.id.hex] = False
    house.commands += 2 + len(types) + len(rooms)
