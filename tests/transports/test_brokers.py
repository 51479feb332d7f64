"""Every transport on its real broker: whole batches, in order, until somebody acknowledges."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from queue import Queue
from threading import Event as Flag

import attrs
import pytest
from faststream.redis.subscriber.usecases import stream_subscriber
from hypothesis import given, settings
from hypothesis import strategies as st

from hotelcore import new_id
from hotelcore.errors import InvalidInput, TransportFailure
from hotelcore.events.envelope import Envelope
from hotelcore.ids import EventId
from hotelcore.transports import Transport, carrying
from hotelcore.transports.jobs import JobTransport
from tests.events.strategies import envelopes
from tests.transports.places import GROUPS, Place, stored

pytestmark = pytest.mark.long

DESK, BOARD = GROUPS

PATIENCE = 20.0
"""Seconds after which an event that has not come is taken for lost."""


@pytest.fixture
def sender(place: Place) -> Generator[Transport]:
    """Return a transport to send with."""
    with place.transport() as transport:
        yield transport


@pytest.fixture
def unhurried(place: Place) -> Generator[Transport]:
    """Return a transport whose consumers get an event once, however busy the machine is."""
    with place.unhurried_transport() as transport:
        yield transport


@pytest.fixture
def arrived(unhurried: Transport) -> Queue[Envelope]:
    """Return where the events end up of one consumer that takes one at a time."""
    queue = Queue[Envelope]()
    unhurried.consume(queue.put, group=DESK, concurrency=1)
    return queue


def taken(arrived: Queue[Envelope], count: int) -> list[Envelope]:
    """Wait for the next ``count`` events."""
    return [arrived.get(timeout=PATIENCE) for _ in range(count)]


# -- what arrives -------------------------------------------------------------------------------


# Hypothesis takes it for a strategy's doing when a driver's thread rolls the dice meanwhile.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module")
@given(batch=st.lists(envelopes(), min_size=1, max_size=8))
@settings(max_examples=15)
def test_what_was_sent_arrives_as_it_was(
    sender: Transport, arrived: Queue[Envelope], batch: list[Envelope]
) -> None:
    """Any batch comes out at the other end whole, unchanged and in its order."""
    batch = [attrs.evolve(envelope, id=EventId(new_id())) for envelope in batch]
    sender.send(batch)
    assert taken(arrived, len(batch)) == batch


def test_a_batch_that_opens_the_connection_keeps_its_order(
    sender: Transport, arrived: Queue[Envelope]
) -> None:
    """A hundred events arrive in their order, also the first ones of a connection."""
    batch = stored(100)
    sender.send(batch)
    assert taken(arrived, 100) == batch


def test_sending_twice_loses_nothing(
    place: Place, sender: Transport, arrived: Queue[Envelope]
) -> None:
    """A batch that was sent again arrives at least once; NATS itself drops what it has."""
    batch, [last] = stored(20), stored(1)
    for events in batch, batch, [last]:
        sender.send(events)
    times = Counter(envelope.id for envelope in iter(lambda: taken(arrived, 1)[0], last))
    assert times == {envelope.id: 1 if place.kind == "nats" else 2 for envelope in batch}


def test_a_group_shares_and_groups_do_not(place: Place) -> None:
    """Two consumers of one group get each event once between them, another group gets all."""
    desk, board = Queue[Envelope](), Queue[Envelope]()
    groups = {"groups": GROUPS} if place.kind == "jobs" else {}
    with place.unhurried_transport(**groups) as transport:
        for queue, group in (desk, DESK), (desk, DESK), (board, BOARD):
            transport.consume(queue.put, group=group)
        batch = stored(40)
        transport.send(batch)
        for queue in desk, board:
            assert {e.sequence for e in taken(queue, 40)} == {e.sequence for e in batch}
        assert desk.empty()


@pytest.mark.parametrize("place", ["nats", "redis"], indirect=True)
def test_a_new_group_begins_with_the_oldest_event(place: Place, unhurried: Transport) -> None:
    """A broker that keeps events gives a group also those from before its first consumer."""
    batch, arrived = stored(5), Queue[Envelope]()
    unhurried.send(batch)
    unhurried.consume(arrived.put, group=DESK, concurrency=1)
    assert taken(arrived, 5) == batch


@pytest.mark.parametrize("place", ["rabbit"], indirect=True)
def test_an_event_that_no_queue_takes_is_refused(place: Place, unhurried: Transport) -> None:
    """An exchange without a queue would drop the events, so sending says what is missing."""
    batch, arrived = stored(5), Queue[Envelope]()
    with pytest.raises(TransportFailure, match="start a consumer"):
        unhurried.send(batch)
    unhurried.consume(arrived.put, group=DESK, concurrency=1)
    unhurried.send(batch)
    assert taken(arrived, 5) == batch


@pytest.mark.parametrize("place", ["jobs"], indirect=True)
def test_jobs_are_made_for_known_groups_alone(place: Place, postgresql_url: str) -> None:
    """A group that gets no jobs cannot consume, and missing tables are named as such."""
    with place.transport() as transport, pytest.raises(InvalidInput, match="group"):
        transport.consume(print, group=BOARD)
    elsewhere = JobTransport(place.url.rpartition("/")[0] + "/postgres")
    with elsewhere as transport, pytest.raises(TransportFailure, match="create_tables"):
        transport.send(stored(1))


# -- what comes again ---------------------------------------------------------------------------


def test_what_was_not_received_comes_again(
    place: Place,
    sender: Transport,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A receive that raises gets its event again, and only that; what it said is not logged."""
    monkeypatch.setattr(carrying, "_PAUSE_SECONDS", 0.05)
    batch, [last], arrived = stored(3), stored(1), Queue[Envelope]()
    failing = [batch[1]]

    def receive(envelope: Envelope) -> None:
        arrived.put(envelope)
        if envelope in failing:
            failing.clear()
            raise RuntimeError("Ada Lovelace")

    with sender.consume(receive, group=DESK):
        sender.send(batch)
        assert Counter(e.sequence for e in taken(arrived, 4)) == {1: 1, 2: 2, 3: 1}
        sender.send([last])
        assert taken(arrived, 1) == [last]
    assert str(batch[1].id) in caplog.text
    assert "RuntimeError" in caplog.text
    assert "Lovelace" not in caplog.text


_TAKE_AND_HANG = """
import os, sys, threading
from tests.transports.places import Place

kind, url, name, group = sys.argv[1:]

def receive(envelope):
    print(envelope.sequence, flush=True)
    threading.Event().wait()

Place(kind=kind, url=url, name=name).transport().consume(receive, group=group, concurrency=2)
sys.stdin.read()  # ends with the test, however that ends
os._exit(1)
"""


def test_a_killed_consumer_leaves_its_events_to_others(place: Place, sender: Transport) -> None:
    """What a process had taken, but not finished, when it was killed goes to the next consumer."""
    arrived = Queue[Envelope]()
    sender.consume(arrived.put, group=DESK).stop()  # leaves the group behind, where one is needed
    batch = [envelope for _ in range(4) for envelope in stored(1)]
    sender.send(batch)
    command = [sys.executable, "-c", _TAKE_AND_HANG, place.kind, place.url, place.name, DESK]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        assert process.stdout.readline()
        process.kill()
    sender.consume(arrived.put, group=DESK)
    assert {e.id for e in taken(arrived, 4)} == {e.id for e in batch}


def test_stopping_lets_running_calls_finish(place: Place, sender: Transport) -> None:
    """A consumer that stops waits for what it has begun, and acknowledges that."""
    begun, release, arrived = Flag(), Flag(), Queue[Envelope]()

    def receive(envelope: Envelope) -> None:
        begun.set()
        release.wait(PATIENCE)
        arrived.put(envelope)

    consumer = sender.consume(receive, group=DESK, concurrency=1)
    batch = stored(1)
    sender.send(batch)
    assert begun.wait(PATIENCE)
    with ThreadPoolExecutor(1) as thread:
        stopping = thread.submit(consumer.stop)
        with pytest.raises(TimeoutError):
            stopping.result(0.2)
        release.set()
        stopping.result(PATIENCE)
    assert taken(arrived, 1) == batch
    assert place.waiting(DESK) == 0


def test_a_consumer_may_be_stopped_at_any_time(place: Place, sender: Transport) -> None:
    """A consumer that has hardly begun stops as readily as any other, and loses nothing."""
    arrived = Queue[Envelope]()
    begun = time.monotonic()
    for milliseconds in range(20):
        consumer = sender.consume(arrived.put, group=DESK, concurrency=1)
        Flag().wait(milliseconds / 1_000)
        consumer.stop()
        consumer.stop()
    assert time.monotonic() - begun < PATIENCE
    batch = stored(1)
    sender.send(batch)
    with sender.consume(arrived.put, group=DESK):
        assert taken(arrived, 1) == batch


def test_stopping_cuts_a_pause_short(
    place: Place, sender: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A consumer that waits after a failure does not keep who stops it waiting; all comes again."""
    monkeypatch.setattr(carrying, "_PAUSE_SECONDS", PATIENCE)
    failed = Flag()

    def receive(envelope: Envelope) -> None:
        failed.set()
        raise OSError

    consumer = sender.consume(receive, group=DESK, concurrency=1)
    sender.send(stored(3))
    assert failed.wait(PATIENCE)
    with ThreadPoolExecutor(1) as thread:
        thread.submit(consumer.stop).result(PATIENCE / 2)
    assert place.waiting(DESK) == 3


def test_a_broken_connection_is_replaced(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the broker is away sending fails; when it is back both sides go on by themselves."""
    # Only for the sake of time: FastStream's subscriber waits 5 s before it reads Redis again.
    monkeypatch.setattr(stream_subscriber, "CONSUME_ERROR_BACKOFF_SECONDS", 0.5)
    arrived = Queue[Envelope]()
    before, meanwhile = stored(3), stored(3)
    with (
        place.another_way() as (proxy, url),
        place.transport(url=url, time_limit=1.0) as transport,
    ):
        transport.consume(arrived.put, group=DESK, concurrency=1)
        transport.send(before)
        assert taken(arrived, 3) == before
        proxy.cut()
        with pytest.raises(TransportFailure):
            transport.send(meanwhile)
        proxy.mend()
        transport.send(meanwhile)
        awaited = {e.id for e in meanwhile}
        while awaited:  # what was acknowledged while the way was cut may come once more
            awaited.discard(taken(arrived, 1)[0].id)


@pytest.mark.parametrize("place", ["nats"], indirect=True)
def test_a_connection_that_nats_ends_for_good_is_told_of(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    """A consumer whose rights were taken away says so, and keeps nothing busy until it stops."""
    arrived = Queue[Envelope]()
    with place.another_way() as (proxy, url), place.transport(url=url) as transport:
        transport.consume(arrived.put, group=DESK, concurrency=1)
        transport.send(stored(1))
        taken(arrived, 1)
        proxy.say(b"-ERR 'User Authentication Revoked'\r\n")
        deadline = time.monotonic() + PATIENCE
        while "start the consumer again" not in caplog.text:
            assert time.monotonic() < deadline
            Flag().wait(0.02)
        with pytest.raises(TransportFailure):
            transport.send(stored(1))
        transport.send(stored(1))
