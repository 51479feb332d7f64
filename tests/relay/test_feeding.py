"""The feed: every event gets one place in its hotel's log, and reaches the broker from there."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import timedelta
from random import Random
from uuid import UUID

import pytest
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select

from hotelcore import Role
from hotelcore.errors import InvalidInput
from hotelcore.events.catalogue import PmsRoomSynced, RoomStatusChanged
from hotelcore.events.envelope import Envelope
from hotelcore.operations import purge_events
from hotelcore.relay import Relay
from hotelcore.sql.events.feed import FEED
from hotelcore.sql.events.inbox import (
    Lane,
    finish,
    hold_on,
    move_on,
    pause,
    release,
    take_lanes,
)
from hotelcore.sql.events.leases import Lease
from hotelcore.sql.seam.statements import Statements
from hotelcore.subscriptions import Delivery
from tests.operations.small_hotel import counted_statements
from tests.relay.scene import (
    MINUTE,
    House,
    Scene,
    Trouble,
    at_work,
    new_room,
    report,
    running,
)


@define
class Broker:
    """Keeps what it is sent. It fails, and may first keep a part, as often as ``fails`` says."""

    fails: list[int | None] = field(factory=list)
    error: type[BaseException] = Trouble
    batches: list[Sequence[Envelope]] = field(factory=list)
    kept: list[Envelope] = field(factory=list)

    def send(self, batch: Sequence[Envelope]) -> None:
        """Keep a batch, or the first events of it and fail."""
        self.batches.append(batch)
        part = self.fails.pop(0) if self.fails else None
        self.kept += batch[:part]
        if part is not None:
            raise self.error

    def firsts_of(self, house: House) -> list[Envelope]:
        """Return a hotel's events as they arrived, each where it arrived first."""
        firsts = {each.id: each for each in reversed(self.kept)}
        return [each for each in firsts.values() if each.hotel_id == house.hotel_id][::-1]


def feed_of(scene: Scene, house: House) -> tuple[int, int, bool]:
    """Read what the broker has, how often the next batch was begun, and whether it is held."""
    with scene.core.engine.connect() as connection:
        row = connection.execute(select(FEED).where(FEED.c.hotel_id == house.hotel_id)).one()
    return row.sent, row.attempts, row.token is not None


# -- positions ----------------------------------------------------------------------------------


@pytest.mark.race
def test_positions_are_without_gaps_whoever_gives_them(scene: Scene) -> None:
    """Relays and writers at once, over two hotels: 1, 2, 3, each once, each record in order."""
    houses = [scene.house(), scene.house()]
    rooms = [new_room() for _ in range(3)]

    def write(writer: int) -> None:
        chance = Random(writer)
        for _ in range(12):
            house = chance.choice(houses)
            house.reports(*chance.sample(rooms, chance.randint(1, 3)))

    relays = [Relay(scene.other_core(), batch=5, poll=timedelta(seconds=0.01)) for _ in range(3)]
    with running(*relays), at_work(*(lambda n=n: write(n) for n in range(3))):
        pass
    scene.number()
    for house in houses:
        log = house.log()
        assert [each.position for each in log] == [*range(1, len(log) + 1)]
        for room in rooms:
            numbered = [each.sequence for each in log if each.key == room]
            assert numbered == [each.sequence for each in house.of_record(room)]
            assert numbered == [*range(1, len(numbered) + 1)]
    assert sum(len(house.log()) for house in houses) > 36


@pytest.mark.race
def test_nothing_is_handled_twice_by_relays_side_by_side(scene: Scene) -> None:
    """Two relays and several writers at once: each event has one effect, in its record's order."""
    houses = [scene.house(), scene.house()]
    # The effects are events too, since their order is that of the commits in any process.
    rooms = {new_room(): new_room() for _ in range(3)}
    attempts: list[tuple[UUID, int]] = []

    @scene.on.durable(RoomStatusChanged, name="mail", role=Role.RECEPTION)
    def handle(delivery: Delivery[RoomStatusChanged]) -> None:
        envelope = delivery.envelope
        attempts.append((envelope.id, delivery.attempt))
        room, told = rooms[delivery.event.room_id], str(envelope.sequence)
        effect = PmsRoomSynced(hotel_id=envelope.hotel_id, room_id=room, external_id=told)
        delivery.run(report, effect)

    def write(house: House) -> None:
        for _ in range(8):
            house.reports(*rooms)

    second = scene.other_core(scene.on)
    poll = timedelta(seconds=0.01)
    relays = [Relay(core, batch=4, workers=2, poll=poll) for core in (scene.core, second)]
    with running(*relays), at_work(*(lambda house=house: write(house) for house in houses)):
        pass
    scene.work_it_all()
    reported = [each for house in houses for room in rooms for each in house.of_record(room)]
    assert Counter(attempts) == {(each.id, 1): 1 for each in reported}
    for house in houses:
        for effects in rooms.values():
            told = [each.event() for each in house.of_record(effects)]
            assert [getattr(each, "external_id", None) for each in told] == list("12345678")


# -- what a batch costs -------------------------------------------------------------------------


def sent_by_a_batch(scene: Scene, house: House, broker: Broker | None, rooms: int) -> list[str]:
    """Feed a hundred events over so many rooms in one batch; return the statements for that."""
    house.reports(*[new_room() for _ in range(rooms)] * (100 // rooms))
    feeder = scene.feeder(broker)
    with counted_statements(scene.core) as statements:
        assert feeder.feed() == 100
    return [each for each in statements if not each.startswith(("BEGIN", "PRAGMA"))]


@pytest.mark.parametrize("subscribed", [False, True])
def test_a_batch_takes_three_statements(scene: Scene, subscribed: bool) -> None:
    """However many events and records it has, and whether somebody subscribed to them or not."""
    house = scene.house()
    if subscribed:
        scene.on.durable(RoomStatusChanged, name="mail")(lambda _: None)
    for rooms in (1, 20, 100):
        statements = sent_by_a_batch(scene, house, None, rooms)
        assert len(statements) == 2 + subscribed
    with counted_statements(scene.core) as statements:
        assert scene.feeder().feed() == 0
    assert len([each for each in statements if each.startswith("UPDATE")]) == 1


def test_a_batch_for_a_broker_takes_three_statements_too(scene: Scene) -> None:
    """It is held, numbered and settled; telling local lanes would be a fourth."""
    house, broker = scene.house(), Broker()
    for rooms in (1, 20, 100):
        assert len(sent_by_a_batch(scene, house, broker, rooms)) == 3
    scene.on.durable(RoomStatusChanged, name="mail")(lambda _: None)
    assert len(sent_by_a_batch(scene, house, broker, 20)) == 4


# -- fairness -----------------------------------------------------------------------------------


def test_a_flood_delays_another_hotel_by_one_batch(scene: Scene) -> None:
    """A single event is in the next batch, however many of another hotel waited before it."""
    flooded, quiet, room = scene.house(), scene.house(), new_room()
    for _ in range(4):
        flooded.reports(*[room] * 500)
    feeder = scene.feeder()
    assert feeder.feed() == 100
    for batch in range(1, 4):
        scene.clock.advance(timedelta(milliseconds=1))
        quiet.reports(new_room())
        assert feeder.feed() == 51
        assert len(quiet.log()) == batch
    assert len(flooded.log()) == 250


def test_a_flooded_hotel_is_served_last(scene: Scene) -> None:
    """Of more hotels than a batch takes, none waits longer than for the next but one."""
    houses, feeder = [scene.house() for _ in range(12)], scene.feeder(batch=10)
    for house in houses:
        house.reports(*[new_room()] * 50)
    for _ in range(6):
        scene.clock.advance(timedelta(milliseconds=1))
        feeder.feed()
    assert min(len(house.log()) for house in houses) >= 3


def test_a_flood_of_lanes_lets_another_hotels_lane_be_taken(scene: Scene) -> None:
    """The next lanes taken are those of each hotel in turn, whoever came first."""
    scene.on.durable(RoomStatusChanged, name="mail")(lambda _: None)
    flooded, quiet = scene.house(), scene.house()
    flooded.reports(*(new_room() for _ in range(40)))
    assert scene.feeder().feed() == 40
    scene.clock.advance(timedelta(seconds=1))
    quiet.reports(new_room())
    assert scene.feeder().feed() == 1
    for most, of_quiet in ((2, 1), (3, 0), (40, 0)):
        lease = Lease.begin(scene.clock, MINUTE)
        with scene.core._serving() as run:
            lanes = take_lanes(run, ["mail"], lease, most=most)
        taken = Counter(lane.hotel_id for lane in lanes)
        assert taken[quiet.hotel_id] == of_quiet
        assert taken[flooded.hotel_id] == min(most - of_quiet, 36)


def test_who_lost_his_lease_changes_no_lane(scene: Scene) -> None:
    """Each change of a lane is refused to who held it before somebody else took it."""
    scene.on.durable(RoomStatusChanged, name="mail")(lambda _: None)
    house = scene.house()
    house.reports(new_room())
    assert scene.feeder().feed() == 1
    taken: list[Lane] = []
    for _ in range(2):
        lease = Lease.begin(scene.clock, MINUTE)
        with scene.core._serving() as run:
            taken += take_lanes(run, ["mail"], lease, most=1)
        scene.clock.advance(2 * MINUTE)
    lost, held = taken
    now = scene.clock.now()

    def changes(run: Statements, lane: Lane) -> list[bool]:
        return [
            hold_on(run, lane, until=now),
            move_on(run, lane, lane.handled, until=now),
            release(run, lane, now=now),
            pause(run, lane, again_at=now),
            finish(run, lane, lane.handled, now=now),
        ]

    with scene.core._serving(house.hotel_id) as run:
        assert changes(run, lost) == [False] * 5
        assert hold_on(run, held, until=now)


# -- a broker -----------------------------------------------------------------------------------

FACTS = st.lists(st.integers(0, 1), min_size=1, max_size=5)


@settings(max_examples=30)
@given(
    steps=st.lists(st.tuples(st.integers(0, 1), FACTS) | st.just("feed"), max_size=8),
    fails=st.lists(st.none() | st.integers(0, 3), max_size=4),
    batch=st.integers(1, 4),
)
def test_a_broker_gets_every_event_in_order(
    engine: Engine,
    steps: Sequence[tuple[int, Sequence[int]] | str],
    fails: list[int | None],
    batch: int,
) -> None:
    """Whatever fails when, after which part of a batch: nothing left out, firsts in order."""
    scene = Scene.over(engine)
    houses, rooms = [scene.house(), scene.house()], [new_room(), new_room()]
    broker, told = Broker(fails), [0, 0]
    feeder = scene.feeder(broker, batch=batch)
    for step in steps:
        scene.clock.advance(timedelta(seconds=20))
        match step:
            case str():
                feeder.feed()
            case number, facts:
                houses[number].reports(*(rooms[room] for room in facts))
                told[number] += len(facts)
    while any(feed_of(scene, house)[1] for house in houses) or feeder.feed():
        scene.clock.advance(timedelta(minutes=2))
        feeder.feed()
    for house, number in zip(houses, told, strict=True):
        assert len(house.log()) == number
        assert broker.firsts_of(house) == list(house.log())
        assert feed_of(scene, house)[1:] == (0, False)


def test_a_batch_that_fails_is_put_off_and_comes_again_whole(scene: Scene) -> None:
    """The pauses grow to a minute at most; then the same events come, and no other before them."""
    house, room = scene.house(), new_room()
    broker = Broker(fails=[2, 0, 3, 1])
    feeder = scene.feeder(broker)
    pauses: list[timedelta] = []
    house.reports(room, room, room)
    for attempt in range(1, 5):
        assert feeder.feed() == 3
        assert feed_of(scene, house) == (0, attempt, False)
        house.reports(new_room())
        with scene.core.engine.connect() as connection:
            due_at = connection.execute(select(FEED.c.due_at)).scalar_one()
        assert due_at is not None
        pauses.append(due_at - scene.clock.now())
        assert timedelta(0) <= pauses[-1] <= timedelta(seconds=0.5 * 2 ** (attempt - 1))
        if pauses[-1]:
            assert feeder.feed() == 0
        scene.clock.set(due_at)
    assert any(pauses)
    assert feeder.feed() == 3
    assert broker.batches == [house.log()[:3]] * 5
    assert feed_of(scene, house) == (3, 1, False)
    while feed_of(scene, house)[1] or feeder.feed():
        feeder.feed()
    assert broker.firsts_of(house) == list(house.log())
    assert len(house.log()) == 7


def test_a_batch_whose_relay_died_is_sent_by_another(scene: Scene) -> None:
    """Between giving positions and settling it dies: after the lease, the whole batch is sent."""
    house, room = scene.house(), new_room()
    dying, broker = Broker([1], error=SystemExit), Broker()
    house.reports(room, room)
    with pytest.raises(SystemExit):
        scene.feeder(dying).feed()
    assert [each.position for each in house.log()] == [1, 2]
    house.reports(room)
    other = scene.feeder(broker)
    assert other.feed() == 0
    scene.clock.advance(MINUTE)
    assert other.feed() == 2
    assert broker.kept == list(house.log())
    while feed_of(scene, house)[1] or other.feed():
        other.feed()
    assert broker.kept == list(house.log())
    assert feed_of(scene, house) == (3, 0, False)
    assert len(house.log()) == 3


@pytest.mark.parametrize("slow_fails", [False, True])
def test_a_relay_that_comes_back_with_an_old_token_settles_nothing(
    scene: Scene, slow_fails: bool
) -> None:
    """Its lease ended while it sent: what another relay did meanwhile stands as it is."""
    house, room = scene.house(), new_room()
    broker, seen = Broker(), list[tuple[int, int, bool]]()

    class Slow(Broker):
        def send(self, batch: Sequence[Envelope]) -> None:
            scene.clock.advance(2 * MINUTE)
            house.reports(room)
            quick = scene.feeder(broker)
            quick.feed()
            seen.append(feed_of(scene, house))
            super().send(batch)

    slow = Slow([0] if slow_fails else [])
    house.reports(room, room)
    scene.feeder(slow).feed()
    assert feed_of(scene, house) == seen[0] == (2, 1, False)
    other = scene.feeder(broker)
    while feed_of(scene, house)[1] or other.feed():
        other.feed()
    assert broker.kept == list(house.log())
    assert len(house.log()) == 3


def test_a_new_broker_gets_what_comes_from_now_on(scene: Scene) -> None:
    """What had its position before is not sent to it, not even after a failure."""
    house, room, broker = scene.house(), new_room(), Broker([0])
    house.reports(room, room)
    scene.number()
    house.reports(room)
    Relay(scene.core, transport=broker).run_until_idle()
    scene.clock.advance(MINUTE)
    Relay(scene.core, transport=broker).run_until_idle()
    assert broker.kept == list(house.log()[2:])
    assert [each.sequence for each in broker.kept] == [3]


def test_a_failing_broker_holds_up_nobody_elses_hotel(scene: Scene) -> None:
    """A hotel whose batch is put off leaves the next batch to the others."""
    first, second, broker = scene.house(), scene.house(), Broker([0])
    feeder = scene.feeder(broker)
    first.reports(new_room())
    assert feeder.feed() == 1
    second.reports(new_room())
    scene.clock.set(scene.clock.now() - timedelta(microseconds=1))  # surely before the pause ends
    assert feeder.feed() == 1
    assert broker.kept == list(second.log())


# -- the consuming side -------------------------------------------------------------------------


@settings(max_examples=20)
@given(facts=FACTS, order=st.randoms(use_true_random=False), doubled=st.integers(0, 5))
def test_a_broker_may_double_and_mix_up_what_it_brings(
    engine: Engine, facts: Sequence[int], order: Random, doubled: int
) -> None:
    """Each event is handled once and in order, also by a consumer that hears of the last first."""
    scene = Scene.over(engine)
    house, rooms = scene.house(), [new_room(), new_room()]
    got = defaultdict[UUID, list[int]](list)

    @scene.on.durable(RoomStatusChanged, name="mail")
    def handle(delivery: Delivery[RoomStatusChanged]) -> None:
        got[delivery.event.room_id].append(delivery.envelope.sequence)

    house.reports(*(rooms[room] for room in facts))
    broker = Broker()
    Relay(scene.other_core(), transport=broker).run_until_idle()
    arriving = [*broker.kept, *(order.choice(broker.kept) for _ in range(doubled))]
    order.shuffle(arriving)
    for part in (arriving[:3], arriving[3:]):
        consumer = Relay(scene.core, feeding=False)
        for envelope in part:
            consumer.receive(envelope)
        consumer.run_until_idle()
    assert got == {
        room: [*range(1, facts.count(number) + 1)]
        for number, room in enumerate(rooms)
        if number in facts
    }


def test_an_old_event_that_comes_again_hides_no_new_one(scene: Scene) -> None:
    """A consumer hears of the third event, and then of the first again, while it is at that."""
    house, room = scene.house(), new_room()
    consumer = Relay(scene.core, feeding=False)
    got: list[int] = []

    @scene.on.durable(RoomStatusChanged, name="mail")
    def handle(delivery: Delivery[RoomStatusChanged]) -> None:
        got.append(delivery.envelope.sequence)
        if len(got) == 1:
            house.reports(room)
            scene.number()
            for envelope in reversed(house.log()):
                consumer.receive(envelope)

    house.reports(room, room)
    scene.number()
    for envelope in house.log():
        consumer.receive(envelope)
    consumer.run_until_idle()
    assert got == [1, 2, 3]


def test_a_new_consumer_begins_behind_what_was_purged(scene: Scene) -> None:
    """However much of a record is gone, it is told of all that is still there."""
    house, room, broker = scene.house(), new_room(), Broker()
    house.reports(*[room] * 230)
    scene.number()
    house.desk.run(purge_events, before=scene.clock.now() + MINUTE)
    house.reports(room)
    Relay(scene.other_core(), transport=broker).run_until_idle()
    got: list[int] = []

    @scene.on.durable(RoomStatusChanged, name="mail")
    def handle(delivery: Delivery[RoomStatusChanged]) -> None:
        got.append(delivery.envelope.sequence)

    consumer = Relay(scene.core, feeding=False)
    for envelope in broker.kept:
        consumer.receive(envelope)
    consumer.run_until_idle()
    assert got == [230, 231]


# -- making a relay -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("workers", {"workers": 0}),
        ("workers", {"workers": "4"}),
        ("batch", {"batch": 0}),
        ("batch", {"batch": True}),
        ("batch", {"batch": 10_001}),
        ("lease", {"lease": timedelta(0)}),
        ("lease", {"lease": 60}),
        ("poll", {"poll": timedelta(0)}),
        ("poll", {"poll": timedelta(days=2)}),
    ],
)
def test_bad_terms_of_a_relay_are_refused(
    scene: Scene, field: str, options: dict[str, object]
) -> None:
    """Each is named."""
    with pytest.raises(InvalidInput) as raised:
        Relay(scene.core, **options)  # type: ignore[arg-type]  # bad on purpose
    assert raised.value.field == field
