"""Events through their real command line: what it shows is in the tables, what it does is done."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from attrs import evolve, frozen
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import insert, update
from sqlalchemy.schema import CreateSchema

from hotelcore import HotelCore, TableNames, new_id
from hotelcore.cli import main
from hotelcore.clock import FixedClock, SystemClock
from hotelcore.events import asyncapi
from hotelcore.events.catalogue import CATALOGUE, RoomStatusChanged
from hotelcore.operations.events import purge_events
from hotelcore.relay import Relay
from hotelcore.relay.backlog import backlog
from hotelcore.sql.audit.log import AUDIT_LOG
from hotelcore.sql.events.dead_letters import DEAD_LETTERS
from hotelcore.sql.events.feed import FEED
from hotelcore.sql.events.inbox import INBOX
from hotelcore.sql.events.outbox import OUTBOX
from hotelcore.subscriptions import Delivery
from tests.cli.event_hotels import Hotel, core_at

pytestmark = pytest.mark.long

# What a program reads from the command is JSON.
Document = dict[str, Any]
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
SOME = ("--database", "sqlite://")


class Refusing:
    """A durable subscription of rooms, which fails while it is told to."""

    def __init__(self, core: HotelCore, name: str = "board") -> None:
        self.failing = True
        self.handled: list[tuple[UUID, int, bool]] = []
        core.subscriptions.durable(RoomStatusChanged, name=name, attempts=1)(self._handle)

    def _handle(self, delivery: Delivery[RoomStatusChanged]) -> None:
        if self.failing:
            raise ValueError
        envelope = delivery.envelope
        self.handled.append((envelope.key, envelope.sequence, delivery.late))


@pytest.fixture
def core(schema_url: str) -> Iterator[HotelCore]:
    """Return a core over a database of each kind."""
    with core_at(schema_url) as core:
        yield core


@pytest.fixture
def hotel(core: HotelCore) -> Hotel:
    """Return a hotel."""
    return Hotel.opened(core)


@pytest.fixture
def asked(schema_url: str, capsys: pytest.CaptureFixture[str]) -> Asked:
    """Return what asks the command for documents of this database."""
    return Asked(schema_url, capsys)


@frozen
class Asked:
    """The command over one database."""

    url: str
    capsys: pytest.CaptureFixture[str]

    def document(self, action: str, *arguments: object) -> Document:
        """Return the document that an action prints."""
        document: Document = json.loads(self.text(action, "--json", *arguments))
        return document

    def text(self, action: str, *arguments: object) -> str:
        """Return what an action prints; it must succeed."""
        code = main(["events", action, "--database", self.url, *map(str, arguments)])
        out, err = self.capsys.readouterr()
        assert (code, err) == (0, "")
        return out

    def per_hotel(self, action: str, *arguments: object) -> dict[str, Document]:
        """Return what an action says of each hotel, by its id."""
        return {each.pop("hotel_id"): each for each in self.document(action, *arguments)["hotels"]}


# -- list -------------------------------------------------------------------------------------


def as_listed(hotel: Hotel) -> list[Document]:
    """Return what the table says of the numbered events, as a program should read it."""
    return [
        {
            "id": str(row.id),
            "hotel_id": str(row.hotel_id),
            "name": row.name,
            "version": row.version,
            "key": str(row.key),
            "sequence": row.sequence,
            "position": row.position,
            "occurred_at": row.occurred_at.isoformat().replace("+00:00", "Z"),
            "correlation_id": row.correlation_id,
            "causation_id": row.causation_id,
            "traceparent": row.traceparent,
            "payload": row.payload,
        }
        for row in sorted(hotel.events(), key=lambda row: row.position or 0)
        if row.position is not None
    ]


def test_the_list_is_the_log_of_each_hotel(hotel: Hotel, core: HotelCore, asked: Asked) -> None:
    """Every numbered event is listed once in its order, whole, and only for its own hotel."""
    other, room = Hotel.opened(core), new_id()
    hotel.report(room, new_id(), room)
    other.report(new_id())
    Relay(core).run_until_idle()
    hotel.report(room)
    listed = asked.per_hotel("list")
    assert listed == {str(each.hotel_id): {"events": as_listed(each)} for each in (hotel, other)}
    assert len(listed[str(hotel.hotel_id)]["events"]) == 3
    assert asked.per_hotel("list", "--hotel", other.hotel_id) == {
        str(other.hotel_id): {"events": as_listed(other)}
    }


def test_a_part_of_the_list_can_be_had(hotel: Hotel, core: HotelCore, asked: Asked) -> None:
    """``--after``, ``--limit`` and ``--key`` take the part of the log that they name."""
    room, other_room = new_id(), new_id()
    hotel.report(room, other_room, room, other_room)
    Relay(core).run_until_idle()
    hotel.report(room)
    mine = str(hotel.hotel_id)

    def places(*arguments: object) -> list[tuple[int | None, int]]:
        events = asked.per_hotel("list", *arguments)[mine]["events"]
        return [(event["position"], event["sequence"]) for event in events]

    assert places("--after", 1) == [(2, 1), (3, 2), (4, 2)]
    assert places("--after", 1, "--limit", 2) == [(2, 1), (3, 2)]
    assert places("--after", 4) == []
    assert places("--key", room) == [(1, 1), (3, 2), (None, 3)]
    assert places("--key", room, "--after", 1, "--limit", 1) == [(3, 2)]
    assert places("--key", new_id()) == []


def test_people_read_one_event_a_line(hotel: Hotel, core: HotelCore, asked: Asked) -> None:
    """Without ``--json`` a line has position, instant, name, key and sequence of one event."""
    room = new_id()
    hotel.report(room)
    Relay(core).run_until_idle()
    hotel.report(room)
    heading, head, *lines, count = asked.text("list", "--key", room).strip().splitlines()
    assert heading == str(hotel.hotel_id)
    assert head.split() == ["position", "occurred", "at", "event", "key", "sequence"]
    assert [line.split() for line in lines] == [
        [place, event.occurred_at.isoformat(), "room.statusChanged", str(room), str(number)]
        for place, number, event in zip("1-", (1, 2), hotel.events(), strict=True)
    ]
    assert count == "2 events"


# -- dead and retry ---------------------------------------------------------------------------


def letters(hotel: Hotel) -> dict[tuple[str, int | None], bool]:
    """Return whose dead letters the table has, by the event's position: is it to be retried?"""
    positions = {row.id: row.position for row in hotel.events()}
    return {
        (row.subscription, positions[row.event_id]): row.due_at is not None
        for row in hotel.rows(DEAD_LETTERS)
    }


def test_dead_letters_are_shown_with_their_events(
    hotel: Hotel, core: HotelCore, asked: Asked
) -> None:
    """What was given up is shown for each hotel and subscription, with event and failure."""
    other = Hotel.opened(core)
    Refusing(core, "board")
    Refusing(core, "mail")
    hotel.report(new_id(), new_id())
    other.report(new_id())
    Relay(core).run_until_idle()
    found = asked.per_hotel("dead")
    for each in (hotel, other):
        dead = found[str(each.hotel_id)]["dead_letters"]
        assert {(one["attempts"], one["failure"]) for one in dead} == {(1, "ValueError")}
        assert sorted(
            ((one["subscription"], one["envelope"]) for one in dead),
            key=lambda one: (one[0], one[1]["position"]),
        ) == [(name, event) for name in ("board", "mail") for event in as_listed(each)]
    mine = ("--subscription", "mail", "--hotel", hotel.hotel_id)
    [part] = asked.per_hotel("dead", *mine).values()
    assert [one["subscription"] for one in part["dead_letters"]] == ["mail", "mail"]
    lines = asked.text("dead", *mine).splitlines()
    assert sum(line.endswith(" ValueError") for line in lines) == 2
    assert all(str(row.id) in "".join(lines) for row in hotel.events())


def test_dead_letters_are_tried_again(hotel: Hotel, core: HotelCore, asked: Asked) -> None:
    """Only the letters that are named are retried: the others stay as they are, here and there."""
    other = Hotel.opened(core)
    board, mail = Refusing(core, "board"), Refusing(core, "mail")
    hotel.report(new_id(), new_id())
    other.report(new_id())
    Relay(core).run_until_idle()
    mine, theirs = str(hotel.hotel_id), str(other.hotel_id)
    first, _ = sorted(hotel.events(), key=lambda row: row.position)

    named = ("--subscription", "board", "--event", first.id, "--event", new_id())
    assert asked.per_hotel("retry", *named) == {mine: {"retried": 1}, theirs: {"retried": 0}}
    due = {letter for letter, is_due in letters(hotel).items() if is_due}
    assert due == {("board", 1)}
    board.failing = False
    Relay(core).run_until_idle()
    assert letters(hotel) == {("board", 2): False, ("mail", 1): False, ("mail", 2): False}
    assert board.handled == [(first.key, 1, True)]

    assert asked.per_hotel("retry") == {mine: {"retried": 3}, theirs: {"retried": 2}}
    Relay(core).run_until_idle()
    assert letters(hotel) == {("mail", 1): False, ("mail", 2): False}
    assert letters(other) == {("mail", 1): False}
    assert {row.attempts for row in hotel.rows(DEAD_LETTERS)} == {2}
    assert (len(board.handled), mail.handled) == (3, [])


# -- replay -----------------------------------------------------------------------------------


def test_a_replay_has_events_handled_again(hotel: Hotel, core: HotelCore, asked: Asked) -> None:
    """What stands behind the position comes again, in order, in the hotels that are named."""
    other, room, other_room = Hotel.opened(core), new_id(), new_id()
    board = Refusing(core)
    board.failing = False
    hotel.report(room, other_room, room)
    other.report(room)
    Relay(core).run_until_idle()
    board.handled.clear()
    mine = str(hotel.hotel_id)

    replayed = ("--subscription", "board", "--hotel", mine, "--after", 1)
    assert asked.per_hotel("replay", *replayed) == {mine: {"records": 2}}
    lanes = {row.key: (row.handled, row.due_at is not None) for row in hotel.rows(INBOX)}
    assert lanes == {room: (1, True), other_room: (0, True)}
    assert [(row.handled, row.due_at) for row in other.rows(INBOX)] == [(1, None)]
    Relay(core).run_until_idle()
    assert sorted(board.handled) == sorted([(room, 2, False), (other_room, 1, False)])

    board.handled.clear()
    assert "the events of 2 records come again" in asked.text("replay", "--subscription", "board")
    Relay(core).run_until_idle()
    of_room = [number for key, number, _ in board.handled if key == room]
    assert sorted(board.handled) == sorted(
        [(room, 1, False), (room, 2, False), (other_room, 1, False), (room, 1, False)]
    )
    assert of_room in ([1, 2, 1], [1, 1, 2])


# -- forget -----------------------------------------------------------------------------------


def test_a_misspelt_subscription_is_told_and_can_be_removed(
    hotel: Hotel, core: HotelCore, asked: Asked
) -> None:
    """A replay says that nobody knows the name, and `forget` lets its events be purged."""
    other, room = Hotel.opened(core), new_id()
    Refusing(core, "board").failing = False
    for each in (hotel, other):
        each.report(room, room)
    Relay(core).run_until_idle()
    mine = ("--hotel", hotel.hotel_id)
    assert "mind the spelling" in asked.text("forget", "--subscription", "baord")
    known = asked.text("replay", *mine, "--subscription", "board")
    assert known.splitlines()[-1] == "the events of 1 record come again"
    Relay(core).run_until_idle()
    told = asked.text("replay", "--subscription", "baord")
    assert told.count("'hotelcore events forget' removes it again") == 2
    assert "forget" not in asked.text("replay", *mine, "--subscription", "baord")
    purge = ("purge", "--older-than", 0)
    assert {each["deleted"] for each in asked.per_hotel(*purge).values()} == {0}
    assert asked.per_hotel("forget", *mine, "--subscription", "baord") == {
        str(hotel.hotel_id): {"records": 1}
    }
    assert "what it knew of 1 record" in asked.text("forget", "--subscription", "baord")
    assert {row.subscription for row in hotel.rows(INBOX) + other.rows(INBOX)} == {"board"}
    assert {each["deleted"] for each in asked.per_hotel(*purge).values()} == {1}


# -- what helps on ----------------------------------------------------------------------------


def test_what_finds_nothing_says_why(hotel: Hotel, core: HotelCore, asked: Asked) -> None:
    """Events without a position, an unknown name and an unknown event are each told in a line."""

    def said(*arguments: object) -> str:
        return asked.text(*map(str, arguments)).splitlines()[-1]

    board = ("--subscription", "board")
    assert said("list") == "0 events"
    Refusing(core)
    hotel.report(new_id())
    number_first = "some events have no position yet: a relay has to number them first"
    assert said("list") == said("dead") == said("retry") == said("purge", "--older-than", 0)
    assert said("list") == number_first
    Relay(core).run_until_idle()
    assert said("dead", *board) == "1 dead letter"
    strange = "no subscription of this name has heard of events of this hotel: mind the spelling"
    for action in ("dead", "retry", "forget"):
        assert said(action, "--subscription", "baord") == strange
    assert "'hotelcore events dead' shows those" in said("retry", "--event", new_id())
    hotel.report(new_id())
    assert said("replay", *board, "--after", 1) == number_first


# -- purge ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("when", "kept"),
    [
        ("2026-01-02", [2, 3, 4]),
        ("2026-01-02T00:00:00.000001Z", [3, 4]),
        ("2026-01-02T22:00:00-02:00", [3, 4]),
        ("2026-01-03T02:00:00.000001+02:00", [4]),
        ("2027-01-01", [4]),
    ],
)
def test_a_purge_deletes_what_is_older(
    schema_url: str, asked: Asked, when: str, kept: list[int]
) -> None:
    """What happened before the date or the instant is deleted, but never a record's last event."""
    clock = FixedClock(NEW_YEAR)
    with core_at(schema_url, clock) as core:
        hotel, room = Hotel.opened(core), new_id()
        for _ in range(4):
            hotel.report(room)
            clock.advance(DAY)
        Relay(core).run_until_idle()
        before = {row.sequence: tuple(row) for row in hotel.events()}
        [answer] = asked.per_hotel("purge", "--before", when).values()
        assert answer == {"deleted": 4 - len(kept)}
        assert {row.sequence: tuple(row) for row in hotel.events()} == {
            sequence: before[sequence] for sequence in kept
        }


def test_a_purge_by_days_counts_from_now(schema_url: str, asked: Asked) -> None:
    """``--older-than`` keeps what happened within so many days, and leaves other hotels alone."""
    clock = FixedClock(SystemClock().now() - 10 * DAY)
    with core_at(schema_url, clock) as core:
        hotel, other, room = Hotel.opened(core), Hotel.opened(core), new_id()
        for _ in range(3):
            hotel.report(room)
            other.report(room)
            clock.advance(5 * DAY)
        Relay(core).run_until_idle()
        mine = ("--hotel", hotel.hotel_id)
        for days, kept in ((11, 3), (7, 2), (0, 1)):
            line = asked.text("purge", *mine, "--older-than", days).splitlines()[-1]
            assert line == ("1 event deleted" if days < 11 else "0 events deleted")
            assert len(hotel.events()) == kept
        assert len(other.events()) == 3


@frozen
class History:
    """The events of a few records, in the order of the log, and who is done with how many."""

    old: Sequence[tuple[int, bool]]
    """The record of each event, and whether it is older than the instant of the purge."""
    numbered: int
    """How many of them have a position."""
    handled: Sequence[int | None]
    """Of each record: up to which sequence a lane has handled it; None without a lane."""
    dead: frozenset[int]
    """The positions of which there are dead letters."""
    sent: int | None
    """Up to which position a broker that is being fed has them; None if none is being fed."""

    def done(self) -> set[int]:
        """Return by hand which events, by their place in the log, may be deleted."""
        done: set[int] = set()
        stopped: set[int] = set()
        for place, (record, _) in enumerate(self.old, start=1):
            if not self._may_go(place):
                stopped.add(record)
            if record not in stopped:
                done.add(place)
        return done

    def _may_go(self, place: int) -> bool:
        record, old = self.old[place - 1]
        handled = self.handled[record]
        later = [other for other, _ in self.old[place : self.numbered]]
        return (
            old
            and place <= self.numbered
            and place not in self.dead
            and (handled is None or self.sequence(place) <= handled)
            and (self.sent is None or place <= self.sent)
            and record in later
        )

    def sequence(self, place: int) -> int:
        """Return the number of the event at a place of the log among those of its record."""
        record, _ = self.old[place - 1]
        return sum(other == record for other, _ in self.old[:place])

    def events_of(self, record: int) -> int:
        """Return how many events a record has."""
        return sum(other == record for other, _ in self.old)


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Give any small history in which nobody is done with what there is not."""
    old = draw(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3).map(bool)), max_size=9))
    numbered = draw(st.integers(0, len(old)) | st.just(len(old)))
    counts = [sum(record == other for other, _ in old) for record in range(3)]
    return History(
        old=old,
        numbered=numbered,
        handled=[draw(st.none() | st.just(n) | st.integers(0, n)) for n in counts],
        dead=draw(st.just(frozenset()) | st.frozensets(st.integers(1, 9), max_size=2)),
        sent=draw(st.none() | st.integers(0, numbered)),
    )


def write(hotel: Hotel, history: History, keys: Sequence[UUID], ids: Sequence[UUID]) -> None:
    """Store a history in the hotel's tables: its records under these keys, the events likewise."""
    events: list[dict[str, object]] = [
        {
            "id": ids[place - 1],
            "key": keys[record],
            "name": "room.statusChanged",
            "version": 1,
            "sequence": history.sequence(place),
            "turn": place,
            "position": place if place <= history.numbered else None,
            "occurred_at": NEW_YEAR - DAY if old else NEW_YEAR,
            "payload": {},
        }
        for place, (record, old) in enumerate(history.old, start=1)
    ]
    letters: list[dict[str, object]] = [
        {"event_id": ids[place - 1], "attempts": 1, "failure": "ValueError", "died_at": NEW_YEAR}
        for place in history.dead
        if place <= history.numbered
    ]
    lanes: list[dict[str, object]] = [
        {"key": keys[record], "handled": n, "known": history.events_of(record), "attempts": 0}
        for record, n in enumerate(history.handled)
        if n is not None
    ]
    mine = {"hotel_id": hotel.hotel_id}
    with hotel.core.engine.begin() as connection:
        for table, rows, more in (
            (OUTBOX, events, mine),
            (DEAD_LETTERS, letters, {**mine, "subscription": "board"}),
            (INBOX, lanes, {**mine, "subscription": "board"}),
        ):
            if rows:
                connection.execute(insert(table), [{**row, **more} for row in rows])
        if history.sent is not None:
            feed = update(FEED).where(FEED.c.hotel_id == hotel.hotel_id)
            connection.execute(feed.values(attempts=2, sent=history.sent))


TWO_DONE = History(
    old=[(0, True)] * 2, numbered=2, handled=[2, None, None], dead=frozenset(), sent=None
)


@given(history=histories(), other=histories())
@example(history=TWO_DONE, other=evolve(TWO_DONE, dead=frozenset([1])))
def test_a_purge_takes_what_is_done_and_nothing_else(
    core: HotelCore, history: History, other: History
) -> None:
    """Exactly the beginnings of records that all are done with go; the rest stays as it was.

    Every lane can still read all that it has not handled, the hotel's books hold, and the next
    event of each record goes on counting. What stands in another hotel, under the same ids even,
    matters to none of that.
    """
    hotel, neighbour = Hotel.opened(core), Hotel.opened(core)
    keys, ids = [new_id() for _ in range(3)], [new_id() for _ in range(9)]
    write(hotel, history, keys, ids)
    write(neighbour, other, keys, ids)
    before, beside = hotel.rows(OUTBOX), neighbour.rows(OUTBOX)
    gone = {(keys[history.old[place - 1][0]], history.sequence(place)) for place in history.done()}

    assert hotel.desk.run(purge_events, before=NEW_YEAR) == len(gone)

    assert hotel.rows(OUTBOX) == [row for row in before if (row.key, row.sequence) not in gone]
    assert neighbour.rows(OUTBOX) == beside
    assert core.prove(hotel.hotel_id).ok
    with hotel.desk.reading() as uow:
        for lane in hotel.rows(INBOX):
            behind = [
                event.sequence for event in uow.events.of_record(lane.key, after=lane.handled)
            ]
            assert behind == list(range(lane.handled + 1, lane.known + 1))
    assert hotel.desk.run(purge_events, before=NEW_YEAR) == 0
    hotel.report(*keys)
    last = {row.key: row.sequence for row in hotel.events()}
    assert last == {key: history.events_of(record) + 1 for record, key in enumerate(keys)}


# -- backlog ----------------------------------------------------------------------------------


def test_the_backlog_is_what_the_function_says(hotel: Hotel, core: HotelCore, asked: Asked) -> None:
    """The command prints the figures that a host reads with `backlog`, for people too."""
    other = Hotel.opened(core)
    Refusing(core, "board")
    hotel.report(new_id(), new_id())
    Relay(core).run_until_idle()
    other.report(new_id())
    found, document = backlog(core), asked.document("backlog")
    by_hotel = {each["hotel_id"]: each for each in document["hotels"]}
    assert by_hotel.keys() == {str(hotel.hotel_id), str(other.hotel_id)}
    mine, theirs = by_hotel[str(hotel.hotel_id)], by_hotel[str(other.hotel_id)]
    board = {
        "name": "board",
        "behind": 0,
        "failing": 0,
        "overdue_seconds": None,
        "dead_letters": 2,
    }
    assert mine == {
        "hotel_id": str(hotel.hotel_id),
        "waiting": 0,
        "oldest_seconds": None,
        "send_attempts": 0,
        "subscriptions": [board],
    }
    assert (theirs["waiting"], theirs["subscriptions"]) == (1, [])
    assert 0 <= (found.oldest_seconds or -1) <= theirs["oldest_seconds"]
    total = {**document["total"], "oldest_seconds": None}
    assert total == {
        "waiting": 1,
        "oldest_seconds": None,
        "put_off": 0,
        "send_attempts": 0,
        "subscriptions": [board],
    }
    assert asked.document("backlog", "--hotel", hotel.hotel_id)["hotels"] == [mine]
    lines = [line.split() for line in asked.text("backlog").splitlines()]
    assert ["total", "board", "0", "0", "-", "2"] in lines
    assert [str(hotel.hotel_id), "0", "-", "0"] in lines
    assert [line[1] for line in lines if line[:1] == ["total"]] == ["1", "board"]


# -- what the actions share -------------------------------------------------------------------


def test_the_asyncapi_document_needs_no_database(capsys: pytest.CaptureFixture[str]) -> None:
    """``asyncapi`` prints the document of the whole catalogue."""
    assert main(["events", "asyncapi"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == asyncapi.document()
    assert len(printed["components"]["messages"]) == len(CATALOGUE)


def test_every_change_is_audited_in_each_hotel(hotel: Hotel, asked: Asked) -> None:
    """What the command changes is written down as the command line's, in the hotel's own log."""
    asked.document("retry")
    asked.document("replay", "--subscription", "board")
    asked.document("forget", "--subscription", "board")
    asked.document("purge", "--older-than", 1)
    asked.document("list")
    audited = [row for row in hotel.rows(AUDIT_LOG) if row.subject == "command-line"]
    assert [row.operation for row in audited] == [
        "retry_dead_letters",
        "replay_events",
        "forget_subscription",
        "purge_events",
    ]


def test_tables_under_other_names_are_found(
    database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--prefix`` and ``--schema`` say how the tables are called; without them there are none."""
    asked = Asked(database_url, capsys)
    schema = "inn" if database_url.startswith("postgresql") else None
    names = TableNames(prefix="inn_", schema=schema)
    options = ["--prefix", "inn_", *(["--schema", "inn"] if schema else [])]
    with closing(HotelCore(database_url, names=names)) as core:
        if schema:
            with core.engine.begin() as connection:
                connection.execute(CreateSchema("inn"))
        core.create_schema()
        hotel, room = Hotel.opened(core), new_id()
        hotel.report(room)
        [event] = asked.per_hotel("list", "--key", room, *options)[str(hotel.hotel_id)]["events"]
        assert event["payload"]["roomId"] == str(room)
        assert asked.document("backlog", *options)["total"]["waiting"] == 1
    assert main(["events", "list", "--database", database_url]) == 1
    assert "has no tables of hotelcore" in capsys.readouterr().err


@pytest.mark.parametrize("action", ["list", "dead", "retry", "backlog"])
def test_a_hotel_that_is_not_there_is_named_in_one_line(
    action: str, hotel: Hotel, schema_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """An id that belongs to no hotel is refused before anything is done."""
    arguments = [action, "--database", schema_url, "--hotel", str(new_id())]
    assert main(["events", *arguments]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("hotelcore: hotel: is not registered in this database")
    assert err.count("\n") == 1


def test_a_database_that_is_not_there_is_not_made(
    sqlite_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A misspelt file is a complaint, and no file afterwards."""
    assert main(["events", "list", "--database", sqlite_url]) == 1
    assert "is a file that does not exist" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["list"],
        ["list", *SOME, "--hotel", "101"],
        ["list", *SOME, "--after", "-1"],
        ["list", *SOME, "--limit", "0"],
        ["list", *SOME, "--limit", "1001"],
        ["list", *SOME, "--key", "x"],
        ["retry", *SOME, "--event", "x"],
        ["replay", *SOME],
        ["replay", *SOME, "--subscription", "board", "--after", str(2**31)],
        ["forget", *SOME],
        ["purge", *SOME],
        ["purge", *SOME, "--before", "2026-01-01T12:00:00"],
        ["purge", *SOME, "--before", "yesterday"],
        ["purge", *SOME, "--before", "9999-12-31T23:00:00-23:00"],
        ["purge", *SOME, "--older-than", "1.5"],
        ["purge", *SOME, "--older-than", "1", "--before", "2026-01-01"],
    ],
)
def test_senseless_arguments_are_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Missing actions, ids, numbers and instants that are none end with code 2."""
    with pytest.raises(SystemExit) as ended:
        main(["events", *arguments])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("usage: hotelcore events")
