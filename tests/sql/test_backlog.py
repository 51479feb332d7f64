"""The backlog: its figures are those that can be counted by hand, and cost only what waits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, event, insert, update

from hotelcore.clock import FixedClock
from hotelcore.core import HotelCore
from hotelcore.ids import HotelId, new_id
from hotelcore.relay.backlog import Backlog, HotelBacklog, SubscriptionBacklog, backlog
from hotelcore.sql.events.backlog import any_lane, registered_hotels
from hotelcore.sql.events.dead_letters import DEAD_LETTERS
from hotelcore.sql.events.feed import FEED
from hotelcore.sql.events.inbox import INBOX
from hotelcore.sql.events.outbox import OUTBOX
from hotelcore.sql.seam.driver import send
from tests.sql.house import NOON, new_house

Values = dict[str, object]


def at(seconds: int) -> datetime:
    """Return an instant so many seconds from now."""
    return NOON + timedelta(seconds=seconds)


# Each state of a lane: what its row says, and whether it is behind, failing, and due.
LANES: Mapping[str, tuple[Values, bool, bool, bool]] = {
    "idle": ({"known": 4, "handled": 4, "attempts": 0}, False, False, False),
    "further than it was told": ({"known": 3, "handled": 4, "attempts": 0}, False, False, False),
    "told of nothing new": ({"handled": 4, "attempts": 0, "due_at": at(-9)}, False, False, False),
    "due": ({"attempts": 0}, True, False, True),
    "under way": ({"attempts": 1, "token": new_id()}, True, False, False),
    "given up by a dead process": ({"attempts": 1, "token": new_id()}, True, False, True),
    "paused": ({"attempts": 3}, True, True, False),
    "paused after the first attempt": ({"attempts": 1}, True, True, False),
    "due after a pause": ({"attempts": 1}, True, True, True),
    "tried again": ({"attempts": 2, "token": new_id()}, True, True, False),
}
# Each state of a feed: what its row says, and how many attempts its put off batch has behind it.
FEEDS: Mapping[str, tuple[Values, int]] = {
    "calm": ({"attempts": 0}, 0),
    "sending": ({"attempts": 1, "token": new_id(), "due_at": at(60)}, 0),
    "catching up": ({"attempts": 1}, 0),
    "put off": ({"attempts": 7, "due_at": at(9)}, 7),
    "due after being put off": ({"attempts": 2, "due_at": at(-9)}, 2),
}


@frozen
class Lane:
    """One lane of a subscription, in one of the states; due so many seconds ago or to come."""

    subscription: str
    state: str
    seconds: int


@frozen
class Scene:
    """What stands in one hotel's tables."""

    waiting: Sequence[int]
    """For how many seconds each event without a position has waited."""
    numbered: int
    dead: Sequence[str]
    """Whose dead letter each of the first numbered events is."""
    lanes: Sequence[Lane]
    feed: str


names = st.sampled_from(["board", "mail"])
seconds = st.integers(1, 100_000)
scenes = st.builds(
    lambda waiting, dead, more, lanes, feed: Scene(waiting, len(dead) + more, dead, lanes, feed),
    st.lists(seconds, max_size=4),
    st.lists(names, max_size=3),
    st.integers(0, 2),
    st.lists(st.builds(Lane, names, st.sampled_from(sorted(LANES)), seconds), max_size=5),
    st.sampled_from(sorted(FEEDS)),
)


def put(engine: Engine, scene: Scene) -> HotelId:
    """Store a hotel in this state and return its id."""
    hotel_id = new_house(engine).hotel_id
    events = [an_event(position, 500_000) for position in range(1, scene.numbered + 1)]
    letters = [
        {"subscription": name, "event_id": dead["id"], "attempts": 12, "failure": "ValueError"}
        for name, dead in zip(scene.dead, events, strict=False)
    ]
    events += [an_event(None, seconds) for seconds in scene.waiting]
    rows = {
        OUTBOX: events,
        DEAD_LETTERS: [{"died_at": NOON, **letter} for letter in letters],
        INBOX: [a_lane(lane) for lane in scene.lanes],
    }
    with engine.begin() as connection:
        for table, values in rows.items():
            for row in values:
                connection.execute(insert(table).values(hotel_id=hotel_id, **row))
        feed = update(FEED).where(FEED.c.hotel_id == hotel_id)
        connection.execute(feed.values(FEEDS[scene.feed][0]))
    return hotel_id


def an_event(position: int | None, seconds: int) -> Values:
    """Make the row of an event of a record of its own that happened so many seconds ago."""
    values: Values = {"id": new_id(), "key": new_id(), "position": position}
    rest = {"name": "folio.closed", "version": 1, "sequence": 1, "turn": 1, "payload": {}}
    return {**values, **rest, "occurred_at": at(-seconds)}


def a_lane(lane: Lane) -> Values:
    """Make the row of a lane."""
    values, behind, _, due = LANES[lane.state]
    due_at = at(-lane.seconds if due else lane.seconds) if behind else None
    place = {"subscription": lane.subscription, "key": new_id()}
    return {**place, "known": 4, "handled": 3, "due_at": due_at, **values}


def counted(hotel_id: HotelId, scene: Scene) -> HotelBacklog | None:
    """Count by hand what waits in a hotel; None if nothing does."""
    attempts = FEEDS[scene.feed][1]
    behind = [lane for lane in scene.lanes if LANES[lane.state][1]]
    names = sorted({lane.subscription for lane in behind} | set(scene.dead))
    if not (scene.waiting or attempts or names):
        return None
    return HotelBacklog(
        hotel_id=hotel_id,
        waiting=len(scene.waiting),
        oldest_seconds=max(scene.waiting, default=None),
        send_attempts=attempts,
        subscriptions=tuple(
            tasks(name, [lane for lane in behind if lane.subscription == name], scene.dead)
            for name in names
        ),
    )


def tasks(name: str, behind: Sequence[Lane], dead: Sequence[str]) -> SubscriptionBacklog:
    """Count by hand what a subscription has to do."""
    return SubscriptionBacklog(
        name=name,
        behind=len(behind),
        failing=sum(LANES[lane.state][2] for lane in behind),
        overdue_seconds=max((ln.seconds for ln in behind if LANES[ln.state][3]), default=None),
        dead_letters=list(dead).count(name),
    )


@pytest.fixture
def core(database: Engine) -> HotelCore:
    """Return a core for which it is noon."""
    return HotelCore(database, clock=FixedClock(NOON))


@given(hotels=st.lists(scenes, min_size=1, max_size=3))
def test_the_figures_are_those_counted_by_hand(core: HotelCore, hotels: Sequence[Scene]) -> None:
    """Whatever waits in however many hotels, each one's figures are right, and so are the sums."""
    put_there = {put(core.engine, scene): scene for scene in hotels}
    expected = [counted(hotel_id, scene) for hotel_id, scene in sorted(put_there.items())]
    found = [each for each in backlog(core).hotels if each.hotel_id in put_there]
    assert found == [each for each in expected if each is not None]
    check_sums(Backlog(hotels=tuple(found)), hotels)


def check_sums(total: Backlog, hotels: Sequence[Scene]) -> None:
    """Compare the sums with one hotel in whose place all of these would be."""
    one = Scene(
        waiting=[seconds for scene in hotels for seconds in scene.waiting],
        numbered=0,
        dead=[name for scene in hotels for name in scene.dead],
        lanes=[lane for scene in hotels for lane in scene.lanes],
        feed="calm",
    )
    attempts = [FEEDS[scene.feed][1] for scene in hotels]
    summed = counted(HotelId(new_id()), one)
    assert total.waiting == len(one.waiting)
    assert total.oldest_seconds == max(one.waiting, default=None)
    assert total.put_off == sum(number > 0 for number in attempts)
    assert total.send_attempts == max(attempts)
    assert total.subscriptions == (() if summed is None else summed.subscriptions)


def test_an_empty_database_has_no_backlog(core: HotelCore) -> None:
    """Without a hotel everything is zero, and no age can be told."""
    found = backlog(core)
    assert found == Backlog(hotels=())
    assert (found.waiting, found.put_off, found.send_attempts) == (0, 0, 0)
    assert (found.oldest_seconds, found.subscriptions) == (None, ())


def test_an_event_of_a_clock_ahead_is_not_younger_than_now(core: HotelCore) -> None:
    """A writer whose clock is ahead of the reader's makes an age of zero, never a negative one."""
    put(core.engine, Scene([-30], 0, [], [], "calm"))
    assert backlog(core).oldest_seconds == 0


def test_hotels_and_lanes_are_found(core: HotelCore) -> None:
    """Every hotel is listed once by its id, and a lane is noticed once there is one."""
    hotels = [put(core.engine, Scene([], 0, [], [], "calm")) for _ in range(3)]
    with core._serving() as run:
        assert registered_hotels(run) == sorted(hotels)
        assert not any_lane(run)
    put(core.engine, Scene([], 0, [], [Lane("mail", "idle", 1)], "calm"))
    with core._serving() as run:
        assert any_lane(run)


# -- what it costs ----------------------------------------------------------------------------


Parameters = Any  # Each driver has a form of its own.


@contextmanager
def sent(engine: Engine) -> Iterator[list[tuple[str, Parameters]]]:
    """Collect every statement on the library's tables, with its parameters."""
    seen: list[tuple[str, Parameters]] = []

    def look(_: object, __: object, statement: str, parameters: Parameters, *rest: object) -> None:
        if "hc_" in statement:
            seen.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", look)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", look)


def plan(connection: Connection, statement: str, parameters: Parameters) -> list[str]:
    """Return the lines of the database's plan, each of which may read a table."""
    if connection.dialect.name == "sqlite":
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        return [str(row.detail) for row in rows]
    # A small table is faster to read as a whole, and a large one is not to be waited for here.
    connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
    return send(
        connection,
        f"EXPLAIN {statement}",
        [parameters],
        lambda cursor: [str(row[0]) for row in cursor.fetchall()],
    )


def test_only_what_waits_is_read(core: HotelCore) -> None:
    """Four statements: the list of feeds, and each other table by an index of what waits in it."""
    with sent(core.engine) as statements:
        backlog(core)
    assert len(statements) == 4
    with core.engine.connect() as connection:
        plans = [plan(connection, *each) for each in statements]
    for index in ("ix_hc_outbox_turn", "ix_hc_inbox_due", "hc_dead_letter"):
        assert any(index in "".join(lines) for lines in plans), (index, plans)
    whole = [line for lines in plans for line in lines if "SCAN " in line or "Seq Scan" in line]
    assert all("hc_feed" in line for line in whole), whole
