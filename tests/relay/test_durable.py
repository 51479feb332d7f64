"""Durable subscriptions: every event handled once and in the order of its record, or put aside."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import pytest
from attrs import define, field, frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from hotelcore import Role
from hotelcore.events.catalogue import Event
from hotelcore.ids import RoomId
from hotelcore.operations import purge_events, register_guest
from hotelcore.subscriptions import Delivery
from hotelcore.unit_of_work import UnitOfWork
from tests.relay.scene import KINDS, MINUTE, House, Kind, Scene, Trouble, fact, new_room, report

HOUSES = ROOMS = 2

Place: TypeAlias = tuple[int, int, int, int]
"""An event for a subscription: their numbers, and those of its house and its room."""


@frozen
class Plan:
    """How a subscription works; ``uses`` is what its handlers do with a delivery."""

    kinds: frozenset[int]
    attempts: int
    uses: str


@frozen
class Failing:
    """How often the handling of one event fails, and when: before, in or after its transaction."""

    times: int = 0
    when: str = "before"


@frozen
class Fate:
    """What becomes of an event, told by rules of its own: no database is asked."""

    attempts: Sequence[int]
    effect: bool

    @classmethod
    def of(cls, plan: Plan, failing: Failing) -> Fate:
        """Tell it from how often the handling fails, and when."""
        if failing.times and failing.when == "after":
            return cls([1], effect=True)
        made = min(failing.times + 1, plan.attempts)
        return cls([*range(1, made + 1)], effect=failing.times < plan.attempts)


@define
class Story:
    """Houses, and subscriptions whose handlers fail as planned and note what they did."""

    scene: Scene
    plans: Sequence[Plan]
    failures: Mapping[Place, Failing]
    houses: list[House] = field(init=False)
    rooms: list[list[RoomId]] = field(init=False)
    told: dict[tuple[int, int], list[int]] = field(init=False)
    attempts: dict[Place, list[int]] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.houses = [self.scene.house() for _ in range(HOUSES)]
        self.rooms = [[new_room() for _ in range(ROOMS)] for _ in self.houses]
        self.told, self.attempts = defaultdict(list), defaultdict(list)
        for number, plan in enumerate(self.plans):
            for kind in plan.kinds:
                self._subscribe(number, plan, KINDS[kind])

    def _subscribe(self, number: int, plan: Plan, kind: Kind) -> None:
        @self.scene.on.durable(
            kind, name=f"plan {number}", role=Role.RECEPTION, attempts=plan.attempts
        )
        def handle(delivery: Delivery[Event]) -> None:
            place = self._place(number, delivery)
            self.attempts[place].append(delivery.attempt)
            failing = self.failures.get(place, Failing())
            self._handle(delivery, place, "" if delivery.attempt > failing.times else failing.when)

    def _handle(self, delivery: Delivery[Event], place: Place, fails: str) -> None:
        def work(uow: UnitOfWork) -> None:
            register_guest(uow, last_name=str(place))
            if fails == "inside":
                raise Trouble

        if fails == "before":
            raise Trouble
        match self.plans[place[0]].uses:
            case "run":
                delivery.run(work)
            case "transaction":
                with delivery.transaction() as uow:
                    work(uow)
            case _:
                with self.scene.core.engine.begin() as host, delivery.joining(host) as uow:
                    work(uow)
        if fails == "after":
            raise Trouble

    def _place(self, number: int, delivery: Delivery[Event]) -> Place:
        envelope = delivery.envelope
        house = [house.hotel_id for house in self.houses].index(envelope.hotel_id)
        return number, house, self.rooms[house].index(RoomId(envelope.key)), envelope.sequence

    def report(self, house: int, facts: Sequence[tuple[int, int]]) -> None:
        """Report events, each given by its room and its kind, in one transaction."""
        at = self.houses[house]
        events = [fact(KINDS[kind], at.hotel_id, self.rooms[house][room]) for room, kind in facts]
        at.desk.run(report, *events)
        for room, kind in facts:
            self.told[house, room].append(kind)

    def purge(self, house: int) -> None:
        """Delete all of a hotel's events with which everybody is done."""
        later = self.scene.clock.now() + MINUTE
        self.houses[house].desk.run(purge_events, before=later)

    def fates(self) -> dict[Place, Fate]:
        """Tell what must become of each event for each subscription that wants it."""
        return {
            (number, *record, sequence): Fate.of(
                plan, self.failures.get((number, *record, sequence), Failing())
            )
            for number, plan in enumerate(self.plans)
            for record, kinds in self.told.items()
            for sequence, kind in enumerate(kinds, start=1)
            if kind in plan.kinds
        }

    def effects(self) -> dict[tuple[int, int, int], list[str]]:
        """Read what the handlers did, by subscription and record, in the order of their commits."""
        found = defaultdict[tuple[int, int, int], list[str]](list)
        for number, house in enumerate(self.houses):
            for name in house.guests():
                plan, at, room, _ = map(int, name.strip("()").split(","))
                assert at == number
                found[plan, at, room].append(name)
        return found

    def dead(self) -> dict[str, int]:
        """Read the dead letters with their attempts, by place."""
        return {
            str(
                (
                    int(letter.subscription.removeprefix("plan ")),
                    number,
                    self.rooms[number].index(RoomId(letter.envelope.key)),
                    letter.envelope.sequence,
                )
            ): letter.attempts
            for number, house in enumerate(self.houses)
            for letter in house.dead()
        }


def check(story: Story) -> None:
    """Compare the attempts, the effects in their order, and the dead letters with the fates."""
    fates = story.fates()
    assert story.attempts == {place: fate.attempts for place, fate in fates.items()}
    effects = defaultdict[tuple[int, int, int], list[str]](list)
    for place, fate in fates.items():
        if fate.effect:
            effects[place[:3]].append(str(place))
    assert story.effects() == effects
    assert story.dead() == {
        str(place): len(fate.attempts) for place, fate in fates.items() if not fate.effect
    }


PLANS = st.builds(
    Plan,
    kinds=st.frozensets(st.integers(0, len(KINDS) - 1), min_size=1),
    attempts=st.integers(1, 3),
    uses=st.sampled_from(["run", "transaction", "joining"]),
)
PLACES = st.tuples(
    st.integers(0, 1), st.integers(0, HOUSES - 1), st.integers(0, ROOMS - 1), st.integers(1, 4)
)
FAILURES = st.dictionaries(
    PLACES,
    st.builds(Failing, st.integers(1, 3), st.sampled_from(["before", "inside", "after"])),
    max_size=6,
)
FACTS = st.lists(
    st.tuples(st.integers(0, ROOMS - 1), st.integers(0, len(KINDS) - 1)), min_size=1, max_size=4
)
WRITE = st.tuples(st.integers(0, HOUSES - 1), FACTS)
STEPS = st.lists(WRITE | WRITE | st.sampled_from(["work", "work little", "purge"]), max_size=7)


@pytest.mark.long
@settings(max_examples=40)
@given(plans=st.lists(PLANS, min_size=1, max_size=2), failures=FAILURES, steps=STEPS)
def test_each_event_is_handled_once_and_in_order(
    engine: Engine,
    plans: Sequence[Plan],
    failures: Mapping[Place, Failing],
    steps: Sequence[tuple[int, Sequence[tuple[int, int]]] | str],
) -> None:
    """Whoever writes, works, purges and fails when: one effect an event, or one dead letter."""
    story = Story(Scene.over(engine), plans, failures)
    for step in steps:
        match step:
            case "purge":
                story.purge(0)
            case str():
                story.scene.work(batch=1 if step == "work little" else 100)
            case house, facts:
                story.report(house, facts)
    story.scene.work_it_all()
    check(story)
