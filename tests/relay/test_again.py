"""What is handled again: dead letters, what is replayed, and what nobody came back from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, update

from hotelcore import HotelCore
from hotelcore.core import Desk
from hotelcore.errors import InvalidInput, LeaseLost
from hotelcore.events.catalogue import (
    Event,
    HousekeepingTaskCompleted,
    PmsRoomSynced,
    RoomStatusChanged,
)
from hotelcore.ids import EventId, new_id
from hotelcore.lists import AuditFilter
from hotelcore.operations import (
    forget_subscription,
    purge_events,
    replay_events,
    retry_dead_letters,
)
from hotelcore.relay import Relay
from hotelcore.sql.events.dead_letters import Retried, keep_buried, resolve, take_retried
from hotelcore.sql.events.leases import Lease
from hotelcore.sql.events.outbox import OUTBOX
from hotelcore.subscriptions import Delivery
from tests.relay.scene import DAY, KINDS, MINUTE, House, Scene, Trouble, fact, new_room, report

_o = OUTBOX.c


class Ward:
    """A subscription whose handlers fail at what is in ``failing``, and note what they get."""

    def __init__(
        self, scene: Scene, *kinds: type[Event], name: str = "ward", attempts: int = 1
    ) -> None:
        self.failing: set[int] = set()
        self.got: list[tuple[int, int, bool]] = []
        for kind in kinds or (RoomStatusChanged,):
            scene.on.durable(kind, name=name, attempts=attempts)(self._handle)

    def _handle(self, delivery: Delivery[Event]) -> None:
        sequence = delivery.envelope.sequence
        self.got.append((sequence, delivery.attempt, delivery.late))
        if sequence in self.failing:
            raise Trouble


# -- dead letters -------------------------------------------------------------------------------


def test_a_dead_letter_holds_nothing_up(scene: Scene) -> None:
    """After its last attempt an event is put aside, and the next one of its record is handled."""
    house, room, ward = scene.house(), new_room(), Ward(scene, attempts=2)
    ward.failing = {2}
    house.reports(room, room, room)
    scene.work_it_all()
    assert ward.got == [(1, 1, False), (2, 1, False), (2, 2, False), (3, 1, False)]
    [letter] = house.dead()
    assert (letter.subscription, letter.attempts, letter.failure) == ("ward", 2, "Trouble")
    assert letter.envelope == house.log()[1]
    assert letter.died_at == scene.clock.now()


def test_a_paused_event_holds_up_its_record_alone(scene: Scene) -> None:
    """While one event waits for its next attempt, other records, houses and subscriptions go on."""
    house, other, room = scene.house(), scene.house(), new_room()
    ward, neighbour = Ward(scene, attempts=9), Ward(scene, name="neighbour")
    ward.failing = {1}
    house.reports(room, room)
    scene.work()
    ward.failing = set()
    house.reports(new_room())
    other.reports(new_room())
    scene.work()
    assert ward.got == [(1, 1, False)] * 3
    assert Counter(neighbour.got) == {(1, 1, False): 3, (2, 1, False): 1}
    scene.work_it_all()
    assert ward.got[3:] == [(1, 2, False), (2, 1, False)]


def test_a_retried_dead_letter_says_that_it_is_late_and_then_is_gone(scene: Scene) -> None:
    """It comes once more, after later events of its record; handled, it is no letter any more."""
    house, room, ward = scene.house(), new_room(), Ward(scene, attempts=2)
    ward.failing = {1}
    house.reports(room, room)
    scene.work_it_all()
    ward.failing, ward.got = set(), []
    scene.work_it_all()
    assert ward.got == []
    assert house.desk.run(retry_dead_letters) == 1
    scene.work()
    assert ward.got == [(1, 3, True)]
    assert house.dead() == []
    assert house.desk.run(retry_dead_letters) == 0
    scene.work_it_all()
    assert len(ward.got) == 1


def test_a_dead_letter_that_fails_again_is_kept(scene: Scene) -> None:
    """A retry is one attempt: what fails stays a dead letter, with its new failure and count."""
    house, ward = scene.house(), Ward(scene)
    ward.failing = {1}
    house.reports(new_room())
    scene.work()
    scene.clock.advance(DAY)
    house.desk.run(retry_dead_letters)
    scene.work()
    [letter] = house.dead()
    assert (letter.attempts, letter.failure, letter.died_at) == (2, "Trouble", scene.clock.now())
    scene.clock.advance(DAY)
    scene.work()
    assert ward.got == [(1, 1, False), (1, 2, True)]
    house.desk.run(retry_dead_letters)
    ward.failing = set()
    scene.work()
    assert house.dead() == []


def test_dead_letters_are_chosen_by_subscription_and_event(scene: Scene) -> None:
    """Only those named are tried again; another hotel's, or no letter's, count for nothing."""
    house, other = scene.house(), scene.house()
    wards = {name: Ward(scene, name=name) for name in ("first", "second")}
    for ward in wards.values():
        ward.failing = {1}
    house.reports(new_room(), new_room())
    other.reports(new_room())
    scene.work()
    one, two = (envelope.id for envelope in house.log())
    [foreign] = (envelope.id for envelope in other.log())
    for ward in wards.values():
        ward.failing, ward.got = set(), []

    def left(at: House) -> set[tuple[str, EventId]]:
        return {(letter.subscription, letter.envelope.id) for letter in at.dead()}

    retry = [foreign, EventId(new_id())]
    assert house.desk.run(retry_dead_letters, event_ids=retry) == 0
    assert house.desk.run(retry_dead_letters, subscription="third") == 0
    assert house.desk.run(retry_dead_letters, event_ids=[one, foreign], subscription="first") == 1
    scene.work()
    assert left(house) == {("first", two), ("second", one), ("second", two)}
    assert house.desk.run(retry_dead_letters, event_ids=[two]) == 2
    scene.work()
    assert left(house) == {("second", one)}
    assert left(other) == {("first", foreign), ("second", foreign)}
    assert (len(wards["first"].got), len(wards["second"].got)) == (2, 1)


def test_a_retry_of_nothing_says_what_to_name(scene: Scene) -> None:
    """An empty list of events is a mistake: without it, all would be tried again."""
    with pytest.raises(InvalidInput) as refused:
        scene.house().desk.run(retry_dead_letters, event_ids=[])
    assert str(refused.value) == "event_ids: must name at least one event, or be left out"


@pytest.mark.parametrize(
    "command", [retry_dead_letters, partial(replay_events, after=0), forget_subscription]
)
def test_the_name_of_a_subscription_is_a_short_text(
    scene: Scene, command: Callable[..., object]
) -> None:
    """A name of 100 characters may be one, a longer one is refused by the argument's name."""
    house = scene.house()
    with pytest.raises(InvalidInput, match=r"^subscription: "), house.desk.transaction() as uow:
        command(uow, subscription="x" * 101)
    with house.desk.transaction() as uow:
        command(uow, subscription="x" * 100)


def test_a_purge_needs_an_instant(scene: Scene) -> None:
    """A time without a zone is refused by the argument's name."""
    naive = scene.clock.now().replace(tzinfo=None)
    with pytest.raises(InvalidInput, match=r"^before: "):
        scene.house().desk.run(purge_events, before=naive)


def test_the_entry_of_a_purge_says_the_business_date(scene: Scene) -> None:
    """What is done with events is audited under the day that is open."""
    house = scene.house()
    house.desk.run(purge_events, before=scene.clock.now())
    with house.desk.reading() as uow:
        [entry] = uow.audit.page(AuditFilter(operation="purge_events")).items
        assert entry.business_date == uow.hotel.business_date


def test_a_retry_whose_worker_died_is_tried_again(scene: Scene) -> None:
    """A retried letter comes back when its lease has ended, and is handled once."""
    house = scene.house()
    ends: list[type[BaseException]] = [Trouble, SystemExit]
    late: list[bool] = []

    @scene.on.durable(RoomStatusChanged, name="ward", attempts=1)
    def handle(delivery: Delivery[RoomStatusChanged]) -> None:
        late.append(delivery.late)
        if ends:
            raise ends.pop(0)

    house.reports(new_room())
    scene.work()
    house.desk.run(retry_dead_letters)
    scene.work()
    assert late == [False, True]
    scene.clock.advance(MINUTE)
    scene.work()
    assert late == [False, True, True]
    assert house.dead() == []


def test_who_comes_back_late_leaves_the_letter_to_who_has_it(scene: Scene) -> None:
    """A worker whose lease on a dead letter ended may neither remove it nor put it back."""
    house, ward = scene.house(), Ward(scene)
    ward.failing = {1}
    house.reports(new_room())
    scene.work()
    house.desk.run(retry_dead_letters)
    taken: list[Retried] = []
    for _ in range(2):
        lease = Lease.begin(scene.clock, MINUTE)
        with scene.core._serving() as run:
            taken += take_retried(run, ["ward"], lease, most=9)
        scene.clock.advance(MINUTE)
    late, holder = taken
    with scene.core._serving(house.hotel_id) as run:
        assert not keep_buried(run, late, failure="Late", now=scene.clock.now())
        assert not resolve(run, late)
        assert resolve(run, holder)
    assert house.dead() == []


# -- replay -------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(
    units=st.lists(
        st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=4),
        min_size=1,
        max_size=4,
    ),
    after=st.integers(0, 12),
    known=st.booleans(),
    unnumbered=st.booleans(),
)
def test_a_replay_hands_out_what_stands_behind_its_position(
    engine: Engine,
    units: Sequence[Sequence[tuple[int, int]]],
    after: int,
    known: bool,
    unnumbered: bool,
) -> None:
    """Exactly the events behind it come, in order, to a subscription that is new or knew them."""
    scene = Scene.over(engine)
    house, other, rooms = scene.house(), scene.house(), [new_room() for _ in range(3)]
    other.reports(new_room())
    got: list[Event] = []
    if not known:
        scene.number()
    for kind in (RoomStatusChanged, HousekeepingTaskCompleted):
        scene.on.durable(kind, name="reader")(lambda delivery: got.append(delivery.event))
    for unit in units:
        events = [fact(KINDS[kind], house.hotel_id, rooms[room]) for room, kind in unit]
        house.desk.run(report, *events)
        scene.work(workers=1) if known else scene.number()
    wanted = [
        envelope.event()
        for envelope in house.log()
        if (envelope.position or 0) > after and envelope.name != PmsRoomSynced.wire_name
    ]
    if unnumbered:
        house.reports(rooms[0])
        wanted.append(house.of_record(rooms[0])[-1].event())
    got.clear()
    house.desk.run(replay_events, subscription="reader", after=after)
    scene.work(workers=1)
    assert len(got) == len(wanted)
    for room_id in rooms:
        assert [event for event in got if event.key == room_id] == [
            event for event in wanted if event.key == room_id
        ]


def test_a_replay_repeats_nothing_twice(scene: Scene) -> None:
    """What a replay handed out is not handed out again with the next event."""
    house, room, ward = scene.house(), new_room(), Ward(scene)
    house.reports(room, room)
    scene.work()
    house.desk.run(replay_events, subscription="ward", after=1)
    scene.work()
    house.reports(room)
    scene.work()
    assert [sequence for sequence, _, _ in ward.got] == [1, 2, 2, 3]


def test_a_dead_letter_that_is_replayed_may_die_again(scene: Scene) -> None:
    """It holds its record up no longer than the first time, and stays one letter."""
    house, room, ward = scene.house(), new_room(), Ward(scene)
    ward.failing = {1}
    house.reports(room, room)
    scene.work()
    scene.clock.advance(DAY)
    house.desk.run(replay_events, subscription="ward")
    scene.work()
    assert [sequence for sequence, _, _ in ward.got] == [1, 2, 1, 2]
    [letter] = house.dead()
    assert letter.died_at == scene.clock.now()


@pytest.mark.parametrize("which", [1, 2])
def test_a_replay_takes_the_event_from_who_is_at_it(scene: Scene, which: int) -> None:
    """What is handled meanwhile is undone and handled again, after what stands before it."""
    house, room = scene.house(), new_room()
    got: list[tuple[int, int]] = []

    @scene.on.durable(RoomStatusChanged, name="ward")
    def handle(delivery: Delivery[RoomStatusChanged]) -> None:
        got.append((delivery.envelope.sequence, delivery.attempt))
        if len(got) == which:
            house.desk.run(replay_events, subscription="ward")

    house.reports(room, room)
    scene.work()
    assert got == [(1, 1), (2, 1)][:which] + [(1, 1), (2, 1)]


# -- forgetting ---------------------------------------------------------------------------------


def elsewhere(scene: Scene, house: House) -> Desk:
    """Return the hotel's handle in a program that declares no subscription."""
    return HotelCore(scene.core.engine, clock=scene.clock).acting_as(house.desk.actor)


def test_a_forgotten_subscription_holds_nothing_back(scene: Scene) -> None:
    """Its lanes and dead letters go, in one hotel alone, and what they kept can be purged."""
    house, other, room, ward = scene.house(), scene.house(), new_room(), Ward(scene, attempts=1)
    ward.failing = {1}
    for each in (house, other):
        each.reports(room, room)
    scene.work()
    for each in (house, other):
        each.desk.run(replay_events, subscription="misspelt")
        assert each.desk.run(purge_events, before=scene.clock.now() + MINUTE) == 0
    desk = elsewhere(scene, house)
    assert desk.run(forget_subscription, subscription="misspelt") == 1
    assert house.desk.run(purge_events, before=scene.clock.now() + MINUTE) == 0
    assert desk.run(forget_subscription, subscription="ward") == 1
    assert desk.run(forget_subscription, subscription="ward") == 0
    assert house.dead() == []
    assert house.desk.run(purge_events, before=scene.clock.now() + MINUTE) == 1
    assert len(other.dead()) == 1
    assert other.desk.run(purge_events, before=scene.clock.now() + MINUTE) == 0


def test_a_forgotten_subscription_begins_anew(scene: Scene) -> None:
    """Who subscribes under the name again hears of what happens from then on."""
    house, room, ward = scene.house(), new_room(), Ward(scene)
    house.reports(room)
    scene.feeder().feed()
    assert elsewhere(scene, house).run(forget_subscription, subscription="ward") == 1
    house.reports(room)
    scene.work()
    assert ward.got == [(2, 1, False)]


def test_who_forgets_takes_the_event_from_who_is_at_it(scene: Scene) -> None:
    """What is handled meanwhile is undone, and never handled again."""
    house, room = scene.house(), new_room()
    got: list[int] = []

    @scene.on.durable(RoomStatusChanged, name="ward")
    def handle(delivery: Delivery[RoomStatusChanged]) -> None:
        got.append(delivery.envelope.sequence)
        elsewhere(scene, house).run(forget_subscription, subscription="ward")
        with pytest.raises(LeaseLost), delivery.transaction():
            pass

    house.reports(room)
    scene.work()
    assert got == [1]


def test_a_subscription_that_the_core_declares_is_not_forgotten(scene: Scene) -> None:
    """Its relay would begin it anew, so what to do first is said."""
    house, room, _ = scene.house(), new_room(), Ward(scene)
    house.reports(room)
    scene.feeder().feed()
    with pytest.raises(InvalidInput, match=r"^subscription: is declared by this core") as refused:
        house.desk.run(forget_subscription, subscription="ward")
    assert "stop the relays" in refused.value.reason
    assert scene.lanes_waiting() == 1


# -- purging ------------------------------------------------------------------------------------


def test_a_purge_leaves_what_is_still_to_be_handled(scene: Scene) -> None:
    """Waiting, paused or dead: what is behind in its record is there when its time comes."""
    house, rooms, ward = scene.house(), [new_room(), new_room()], Ward(scene, attempts=2)

    def purge() -> int:
        return house.desk.run(purge_events, before=scene.clock.now() + MINUTE)

    house.reports(rooms[0], rooms[0], rooms[0])
    assert purge() == 0
    scene.number()
    house.desk.run(replay_events, subscription="ward")
    assert purge() == 0
    ward.failing = {2}
    scene.work()
    assert purge() == 1
    scene.work_it_all()
    assert purge() == 0
    ward.failing = set()
    house.desk.run(retry_dead_letters)
    scene.work()
    assert ward.got == [(1, 1, False), (2, 1, False), (2, 2, False), (3, 1, False), (2, 3, True)]
    assert purge() == 1
    assert [envelope.sequence for envelope in house.log()] == [3]


# -- what cannot be read ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "value", "failure"),
    [
        ("version", 99, "UnknownEvent"),
        ("payload", {"roomId": 7}, "InvalidInput"),
        ("payload", "that of another hotel", "TenantMismatch"),
    ],
)
def test_an_event_that_cannot_be_read_is_put_aside(
    scene: Scene, column: str, value: object, failure: str
) -> None:
    """A newer version, a payload that is none or another hotel's: the relay and the rest go on."""
    house, other, rooms, ward = scene.house(), scene.house(), [new_room(), new_room()], Ward(scene)
    house.reports(*rooms, rooms[0])
    other.reports(rooms[0])
    [foreign] = other.of_record(rooms[0])
    with scene.core.engine.begin() as connection:
        first = [_o.hotel_id == house.hotel_id, _o.key == rooms[0], _o.sequence == 1]
        written = foreign.payload if isinstance(value, str) else value
        connection.execute(update(OUTBOX).where(*first).values({column: written}))
    scene.work_it_all()
    assert Counter(ward.got) == {(1, 1, False): 2, (2, 1, False): 1}
    [letter] = house.dead()
    assert (letter.failure, letter.envelope.sequence) == (failure, 1)
    house.desk.run(retry_dead_letters)
    scene.work()
    assert [letter.attempts for letter in house.dead()] == [2]


def test_an_event_of_an_unknown_name_is_nobodys(scene: Scene) -> None:
    """It gets its position like any other, and its record goes on past it."""
    house, room, ward = scene.house(), new_room(), Ward(scene)
    house.reports(room, room, room)
    with scene.core.engine.begin() as connection:
        second = [_o.hotel_id == house.hotel_id, _o.sequence == 2]
        connection.execute(update(OUTBOX).where(*second).values(name="room.repainted"))
    scene.work_it_all()
    assert [sequence for sequence, _, _ in ward.got] == [1, 3]
    assert [envelope.position for envelope in house.log()] == [1, 2, 3]
    assert house.dead() == []


# -- what nobody comes back from ----------------------------------------------------------------


@pytest.mark.parametrize("end", [SystemExit, KeyboardInterrupt])
def test_an_event_that_ends_its_worker_is_given_up(
    scene: Scene, end: Callable[[], BaseException]
) -> None:
    """An attempt counts when it begins: after the last one, nobody is sent to his death again."""
    house, room = scene.house(), new_room()
    got: list[tuple[int, int]] = []

    @scene.on.durable(RoomStatusChanged, name="ward", attempts=3)
    def handle(delivery: Delivery[RoomStatusChanged]) -> None:
        got.append((delivery.envelope.sequence, delivery.attempt))
        if delivery.envelope.sequence == 1:
            raise end()

    house.reports(room, room)
    for _ in range(6):
        scene.work()
        scene.clock.advance(MINUTE)
    assert got == [(1, 1), (1, 2), (1, 3), (2, 1)]
    [letter] = house.dead()
    assert (letter.attempts, letter.failure) == (3, "LeaseLost")


def test_lanes_that_nobody_works_hold_nothing_up(scene: Scene) -> None:
    """However many records wait for a subscription that is gone, the others are handled."""
    house, rooms, ward = scene.house(), [new_room() for _ in range(9)], Ward(scene)
    house.reports(*rooms)
    scene.number()
    house.desk.run(replay_events, subscription="gone")
    scene.clock.advance(MINUTE)
    house.reports(rooms[0])
    scene.work(workers=1)
    assert ward.got == [(2, 1, False)]


def test_what_was_handled_before_it_had_a_position_is_not_handled_again(scene: Scene) -> None:
    """A lane may run ahead of the numbering, and never goes back."""
    house, room, ward = scene.house(), new_room(), Ward(scene)
    house.reports(*[room] * 4)
    feeder = scene.feeder(batch=1)
    for _ in range(4):
        assert feeder.feed() == 1
        Relay(scene.core, feeding=False).run_until_idle()
        assert [sequence for sequence, _, _ in ward.got] == [1, 2, 3, 4]
    assert scene.lanes_waiting() == 0


def test_a_long_record_is_read_in_parts(scene: Scene) -> None:
    """Hundreds of events of one record are handled, each once, in order."""
    house, room, ward = scene.house(), new_room(), Ward(scene)
    house.reports(*[room] * 205)
    house.reports(room, kind=PmsRoomSynced)
    scene.work()
    assert [sequence for sequence, _, _ in ward.got] == [*range(1, 206)]
