"""The contract of a transport: every one of ours keeps it, and each promise can be seen broken."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Condition, Thread

import attrs
import pytest

from hotelcore.errors import TransportFailure
from hotelcore.events.envelope import Envelope
from hotelcore.events.transport import Receive
from hotelcore.testing.contracts import Route, TransportContract
from hotelcore.wire import Json
from tests.contracts.breaking import Case, broken_promise, cases_of
from tests.transports.conftest import place
from tests.transports.places import GROUPS, Place

pytestmark = pytest.mark.long

__all__ = ["place"]  # the fixture

SECRET = "open-sesame"
"""The password to a broker that is away."""


# What a driver had opened for an attempt that was broken off, it leaves to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
class TestOurTransports(TransportContract):
    """NATS JetStream, RabbitMQ, Redis Streams, and jobs on PostgreSQL."""

    group = GROUPS[0]

    @pytest.fixture
    def route(self, place: Place) -> Route:
        """Return a route to each broker in turn."""
        scheme = place.url.partition("://")[0]
        nowhere = f"{scheme}://hotel:{SECRET}@127.0.0.1:1"
        return Route(
            connect=place.transport,
            away=lambda: place.transport(url=nowhere, time_limit=0.5),
            secrets=(SECRET,),
        )


# -- a broker in memory ---------------------------------------------------------------------------


class Broker:
    """Keeps events in memory, for each group those that it has not acknowledged."""

    def __init__(self) -> None:
        self.log: list[Envelope] = []
        self.news = Condition()
        self.waiting: dict[str, deque[Envelope]] = {}

    def store(self, batch: Sequence[Envelope]) -> None:
        """Append events, and let each group have them."""
        with self.news:
            self.log += batch
            for waiting in self.waiting.values():
                waiting += batch
            self.news.notify_all()

    def group(self, name: str) -> deque[Envelope]:
        """Return what waits for a group; a new one begins with the oldest event."""
        with self.news:
            return self.waiting.setdefault(name, deque(self.log))


class Memory:
    """A transport over a broker in memory; without one the broker is away."""

    def __init__(self, broker: Broker | None) -> None:
        self.broker = broker
        self.consumers: list[MemoryConsumer] = []
        self.closed = False

    def reached(self) -> Broker:
        """Return the broker."""
        if self.closed or self.broker is None:
            raise TransportFailure("memory", "is closed or away")
        return self.broker

    def send(self, batch: Sequence[Envelope]) -> None:
        self.reached().store(batch)

    def consume(self, receive: Receive, *, group: str, concurrency: int = 4) -> MemoryConsumer:
        consumer = self.new_consumer(self.reached(), receive, group)
        self.consumers.append(consumer)
        return consumer

    def new_consumer(self, broker: Broker, receive: Receive, group: str) -> MemoryConsumer:
        return MemoryConsumer(broker, receive, group)

    def close(self) -> None:
        self.closed = True
        for consumer in self.consumers:
            consumer.stop()


class MemoryConsumer:
    """Takes one event at a time, in a thread."""

    def __init__(self, broker: Broker, receive: Receive, group: str) -> None:
        self.broker, self.receive = broker, receive
        self.waiting = broker.group(group)
        self.stopped = False
        self.thread = Thread(target=self.work, daemon=True)
        self.thread.start()

    def work(self) -> None:
        while (envelope := self.next()) is not None:
            with suppress(OSError):
                self.receive(envelope)
                self.acknowledge()

    def next(self) -> Envelope | None:
        with self.broker.news:
            while not self.waiting and not self.stopped:
                self.broker.news.wait(0.05)
            return None if self.stopped else self.waiting[0]

    def acknowledge(self) -> None:
        with self.broker.news:
            if self.waiting:  # a broken broker may have forgotten meanwhile
                self.waiting.popleft()

    def stop(self) -> None:
        self.stopped = True
        self.thread.join()


def route_of(kind: Callable[[Broker | None], Memory]) -> Route:
    """Return a route over a new broker in memory."""
    broker = Broker()
    return Route(connect=lambda: kind(broker), away=lambda: kind(None), secrets=(SECRET,))


class TestATransportOfAHost(TransportContract):
    """A transport that shares nothing with ours."""

    @pytest.fixture
    def route(self) -> Route:
        """Return a route over a new broker in memory."""
        return route_of(Memory)


# -- broken ones ----------------------------------------------------------------------------------


class Tidy(Memory):
    """Trims what it carries."""

    def send(self, batch: Sequence[Envelope]) -> None:
        super().send([attrs.evolve(each, correlation_id=trimmed(each)) for each in batch])


def trimmed(envelope: Envelope) -> str | None:
    """Return a correlation id without the spaces around it."""
    return envelope.correlation_id and envelope.correlation_id.strip()


class Rewriting(Memory):
    """Writes payloads anew."""

    def send(self, batch: Sequence[Envelope]) -> None:
        super().send([attrs.evolve(each, payload=rewritten(each)) for each in batch])


def rewritten(envelope: Envelope) -> dict[str, Json]:
    """Return a payload whose texts are plain letters."""
    assert isinstance(envelope.payload, dict)
    return {k: str(v).encode("ascii", "replace").decode() for k, v in envelope.payload.items()}


class Newest(Memory):
    """Gives the newest first."""

    def send(self, batch: Sequence[Envelope]) -> None:
        broker = self.reached()
        broker.store(batch)
        with broker.news:
            for waiting in broker.waiting.values():
                ordered = sorted(waiting, key=lambda each: -each.sequence)
                waiting.clear()
                waiting.extend(ordered)


class Buffering(Memory):
    """Sends what it was given when the next batch comes."""

    def __init__(self, broker: Broker | None) -> None:
        super().__init__(broker)
        self.buffer: list[Envelope] = []

    def send(self, batch: Sequence[Envelope]) -> None:
        broker = self.reached()
        broker.store(self.buffer)
        self.buffer = list(batch)


class Fleeting(Memory):
    """Gives events to whoever is there, and to nobody later."""

    def new_consumer(self, broker: Broker, receive: Receive, group: str) -> MemoryConsumer:
        broker.group(group).clear()
        return super().new_consumer(broker, receive, group)


class Unique(Memory):
    """Takes a batch for known when it has met its first event, and drops the one behind it too."""

    def send(self, batch: Sequence[Envelope]) -> None:
        broker = self.reached()
        if broker.log and batch[0] not in broker.log[:1] and len(broker.log) > len(batch):
            return
        super().send(batch)


class Forgiving(Memory):
    """Acknowledges before it knows how it went."""

    class Consumer(MemoryConsumer):
        def work(self) -> None:
            while (envelope := self.next()) is not None:
                self.acknowledge()
                with suppress(OSError):
                    self.receive(envelope)

    def new_consumer(self, broker: Broker, receive: Receive, group: str) -> MemoryConsumer:
        return self.Consumer(broker, receive, group)


class Repeating(Memory):
    """Begins at the oldest event with each consumer."""

    def new_consumer(self, broker: Broker, receive: Receive, group: str) -> MemoryConsumer:
        broker.waiting[group] = deque(broker.log)
        return super().new_consumer(broker, receive, group)


class Hurried(Memory):
    """Waits for nothing when it stops."""

    class Consumer(MemoryConsumer):
        def stop(self) -> None:
            self.stopped = True

    def new_consumer(self, broker: Broker, receive: Receive, group: str) -> MemoryConsumer:
        return self.Consumer(broker, receive, group)


class Undead(Memory):
    """Sends on after it was closed."""

    def send(self, batch: Sequence[Envelope]) -> None:
        if self.broker is None:
            super().send(batch)
        else:
            self.broker.store(batch)


class Lingering(Memory):
    """Leaves its consumers at work when it is closed."""

    def close(self) -> None:
        self.closed = True


class Fragile(Memory):
    """Cannot be closed twice."""

    def close(self) -> None:
        if self.closed:
            raise RuntimeError("closed")
        super().close()


class Bare(Memory):
    """Lets its driver's error out."""

    def reached(self) -> Broker:
        if self.broker is None:
            raise ConnectionRefusedError
        return super().reached()


class Mute(Memory):
    """Drops what it cannot send."""

    def send(self, batch: Sequence[Envelope]) -> None:
        with suppress(TransportFailure):
            super().send(batch)


class Frank(Memory):
    """Tells the URL, in the error behind its own."""

    def reached(self) -> Broker:
        try:
            return super().reached()
        except TransportFailure as failure:
            raise failure from ConnectionRefusedError(f"memory://hotel:{SECRET}@localhost")


CASES: list[Case[type[Memory]]] = [
    ("test_what_was_sent_arrives_as_it_was", Tidy, "correlation_id ' begins .* as 'begins"),
    ("test_what_was_sent_arrives_as_it_was", Rewriting, "The payload of .* arrived as another"),
    ("test_the_events_of_a_record_keep_their_order", Newest, r"in the order \["),
    ("test_what_was_acknowledged_is_stored", Buffering, "20 events did not come .* closed"),
    ("test_events_wait_for_their_group", Fleeting, r"\d+ events did not come"),
    ("test_a_batch_may_be_sent_again", Unique, r"\d+ events did not come"),
    ("test_what_was_not_acknowledged_comes_again", Forgiving, "3 events .* its first call"),
    ("test_what_was_acknowledged_does_not_come_again", Repeating, "3 of 3 acknowledged events"),
    ("test_stopping_lets_a_running_call_finish", Hurried, "returned while the call was running"),
    ("test_a_closed_transport_says_so", Undead, "after close.* raised nothing"),
    ("test_a_closed_transport_says_so", Lingering, "handed an event after close"),
    ("test_a_closed_transport_says_so", Fragile, "RuntimeError"),
    ("test_a_broker_that_is_away_is_told", Bare, "raised ConnectionRefusedError and not Transport"),
    ("test_a_broker_that_is_away_is_told", Mute, "To send to a broker .* raised nothing"),
    ("test_a_broker_that_is_away_is_told", Frank, "error of send.* shows a secret"),
]


class Impatient(TransportContract):
    """The contract, for brokers that need no time."""

    patience = 1.5


@pytest.mark.parametrize(("check", "broken", "seen"), CASES)
def test_a_broken_transport_is_told(check: str, broken: type[Memory], seen: str) -> None:
    """Each promise is found broken, in its own words."""
    broken_promise(Impatient(), check, seen, route=route_of(broken))


def test_every_promise_can_break() -> None:
    """No check passes whatever it is given."""
    assert cases_of(CASES) == cases_of(TransportContract)
