"""The promises of an event transport: nothing sent is lost, changed or put in another order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from queue import Empty, Queue
from threading import Event as Flag
from typing import ClassVar, Protocol

import attrs
from attrs import frozen

from hotelcore import wire
from hotelcore.errors import TransportFailure
from hotelcore.events.catalogue import PmsRoomSynced, payload
from hotelcore.events.envelope import Envelope
from hotelcore.events.transport import Receive
from hotelcore.ids import EventId, HotelId, RoomId, new_id
from hotelcore.testing.contracts.promises import promise, refusal, told

__all__ = ["Carrier", "Route", "Stoppable", "TransportContract"]


class Stoppable(Protocol):
    """A consumer at work."""

    def stop(self) -> None:
        """Take no new event, and let running calls finish."""
        ...


class Carrier(Protocol):
    """What the contract asks of a transport: `hotelcore.transports.Transport` has it all.

    For one that only sends, write a ``consume`` that reads what was stored.
    """

    def send(self, batch: Sequence[Envelope]) -> None:
        """Return once all of ``batch`` is stored; `TransportFailure` if it may not be."""
        ...

    def consume(self, receive: Receive, *, group: str, concurrency: int = 4) -> Stoppable:
        """Hand every event to ``receive``, and return at once."""
        ...

    def close(self) -> None:
        """Stop the consumers and disconnect."""
        ...


@frozen(kw_only=True)
class Route:
    """Where a transport is tried out.

    ``connect`` returns a new transport to one empty place: a stream, exchange, topic or queue that
    only this check uses. ``away`` returns one to a broker that nobody can reach, and that gives up
    soon. ``secrets`` are texts, such as the password in its URL, that no error may show.
    """

    connect: Callable[[], Carrier]
    away: Callable[[], Carrier]
    secrets: Collection[str] = ()


class TransportContract:
    """Subclass it under a name that begins with ``Test``, and give the fixture ``route``.

    ``route`` returns a new `Route` for each check. Set ``group`` if the transport knows its groups
    beforehand, and ``patience`` to the seconds after which an event that did not come is lost.
    """

    group: ClassVar[str] = "contract"
    """The group in which the contract consumes."""

    patience: ClassVar[float] = 20.0
    """How many seconds an event may be on its way."""

    @promise("What a transport carries arrives as it was sent, to the last byte of its payload.")
    def test_what_was_sent_arrives_as_it_was(self, route: Route) -> None:
        """Send events of every shape and compare them."""
        batch = [_event(number, text) for number, text in enumerate(_TEXTS, start=1)]
        for sent, found in zip(batch, self._carried(route, [batch]), strict=True):
            seen = f"The payload of {sent.name} {sent.sequence} arrived as another."
            assert wire.canonical(found.payload) == wire.canonical(sent.payload), seen
            for field in attrs.fields(Envelope):
                was, became = getattr(sent, field.name), getattr(found, field.name)
                assert became == was, f"The {field.name} {was!r} arrived as {became!r}."

    @promise("The events of one record arrive in their order.")
    def test_the_events_of_a_record_keep_their_order(self, route: Route) -> None:
        """Send events of three records, mixed, to a consumer that takes one at a time."""
        records = [[_event(n, "order", room_id) for n in range(1, 11)] for room_id in _ids(3)]
        batches = [list(batch) for batch in zip(*records, strict=True)]
        arrived = self._carried(route, batches)
        for record in records:
            order = [found.sequence for found in arrived if found.key == record[0].key]
            assert order == sorted(order), f"The events of a record came in the order {order}."

    @promise("A transport acknowledges only what its broker has stored.")
    def test_what_was_acknowledged_is_stored(self, route: Route) -> None:
        """Send, close at once, and look for the events from another connection."""
        self._make_group(route)
        batch = [_event(number) for number in range(1, 21)]
        with closing(route.connect()) as sender:
            sender.send(batch)
        with closing(route.connect()) as taker:
            self._taken(taker, batch, "after send had returned and the sender was closed")

    @promise("Events wait for their group while none of its consumers is there.")
    def test_events_wait_for_their_group(self, route: Route) -> None:
        """Send in three batches while nobody consumes, then consume."""
        self._make_group(route)
        batches = [[_event(number) for number in range(1, 4)] for _ in range(3)]
        with closing(route.connect()) as sender:
            for batch in batches:
                sender.send(batch)
            self._taken(sender, [e for batch in batches for e in batch], "after a consumer began")

    @promise("A batch that is sent again arrives at least once, and so does what follows it.")
    def test_a_batch_may_be_sent_again(self, route: Route) -> None:
        """Send the same batch twice, as the relay does when it does not know how the first went."""
        batch, other = [_event(n) for n in range(1, 4)], [_event(n) for n in range(1, 4)]
        arrived = self._carried(route, [batch, batch, other])
        assert len(arrived) == len(batch) + len(other), "Other events arrived than were sent."

    @promise("An event that was not acknowledged comes again.")
    def test_what_was_not_acknowledged_comes_again(self, route: Route) -> None:
        """Let the first call for each event raise."""
        batch, calls = [_event(number) for number in range(1, 4)], Counter[EventId]()
        done = Queue[Envelope]()

        def receive(envelope: Envelope) -> None:
            calls[envelope.id] += 1
            if calls[envelope.id] == 1:
                raise OSError("the database is away")
            done.put(envelope)

        with closing(route.connect()) as carrier:
            carrier.consume(receive, group=self.group, concurrency=1)
            carrier.send(batch)
            self._awaited(done, batch, "after its first call had raised")

    @promise("What a group has acknowledged is not given to it again.")
    def test_what_was_acknowledged_does_not_come_again(self, route: Route) -> None:
        """Take some events, stop, and see what the next consumer of the group gets."""
        batch, [last] = [_event(number) for number in range(1, 4)], [_event(1)]
        self._carried(route, [batch])
        with closing(route.connect()) as carrier:
            carrier.send([last])
            again = self._taken(carrier, [last], "after another consumer had stopped")
        known = {envelope.id for envelope in batch}
        found = sum(envelope.id in known for envelope in again)
        assert not found, f"{found} of {len(batch)} acknowledged events came again."

    @promise("A consumer that stops lets its running call finish, and acknowledges it.")
    def test_stopping_lets_a_running_call_finish(self, route: Route) -> None:
        """Stop a consumer in the middle of a call, and see that it waits."""
        begun, release, finished = Flag(), Flag(), Flag()

        def receive(envelope: Envelope) -> None:
            del envelope
            begun.set()
            release.wait(self.patience)
            finished.set()

        with closing(route.connect()) as carrier, ThreadPoolExecutor(1) as thread:
            try:
                consumer = carrier.consume(receive, group=self.group, concurrency=1)
                carrier.send([_event(1)])
                assert begun.wait(self.patience), "The event did not come."
                stopping = thread.submit(consumer.stop)
                try:
                    stopping.result(0.2)
                except NotYet:
                    pass
                else:
                    raise AssertionError("stop() returned while the call was running.")
            finally:
                release.set()
            stopping.result(self.patience)
            assert finished.is_set(), "stop() cut the call off."

    @promise("A transport that is closed carries and hands over nothing, and says so.")
    def test_a_closed_transport_says_so(self, route: Route) -> None:
        """Close it twice, use it, and send from another one."""
        self._make_group(route)
        carrier, arrived, late = route.connect(), Queue[Envelope](), Flag()
        batch = [_event(number) for number in range(1, 21)]

        def receive_late(envelope: Envelope) -> None:
            late.set()
            arrived.put(envelope)

        def receive(envelope: Envelope) -> None:
            if arrived.empty():
                Flag().wait(0.2)  # so that a consumer that is left has time to take the others
            arrived.put(envelope)

        carrier.consume(receive_late, group=self.group, concurrency=1)
        carrier.close()
        carrier.close()
        refusal(TransportFailure, partial(carrier.send, batch), "To send after close()")
        work = partial(carrier.consume, receive_late, group=self.group)
        refusal(TransportFailure, work, "To consume after close()")
        with closing(route.connect()) as other:
            other.consume(receive, group=self.group, concurrency=1)
            other.send(batch)
            self._awaited(arrived, batch, "after another transport was closed")
        assert not late.is_set(), "A consumer was handed an event after close()."

    @promise("A broker that is away is a TransportFailure that shows no secret.")
    def test_a_broker_that_is_away_is_told(self, route: Route) -> None:
        """Send to it and consume from it, and read the errors to their last cause."""
        with closing(route.away()) as carrier:
            calls: dict[str, Callable[[], object]] = {
                "send to": partial(carrier.send, [_event(1)]),
                "consume from": partial(carrier.consume, print, group=self.group),
            }
            for name, call in calls.items():
                error = refusal(TransportFailure, call, f"To {name} a broker that is away")
                text = told(error)
                shown = [secret for secret in route.secrets if secret in text]
                assert not shown, f"The error of {name.split()[0]}() shows a secret."

    # -- how events are taken -----------------------------------------------------------------

    def _make_group(self, route: Route) -> None:
        """Let the group be known: some brokers keep events for a known group alone."""
        with closing(route.connect()) as carrier:
            carrier.consume(_drop, group=self.group, concurrency=1).stop()

    def _carried(self, route: Route, batches: Sequence[Sequence[Envelope]]) -> list[Envelope]:
        """Send batches to a consumer, stop that, and return what arrived, each the first time."""
        arrived = Queue[Envelope]()
        with closing(route.connect()) as carrier:
            consumer = carrier.consume(arrived.put, group=self.group, concurrency=1)
            for batch in batches:
                carrier.send(batch)
            sent = [envelope for batch in batches for envelope in batch]
            found = self._awaited(arrived, sent, "after it was sent")
            consumer.stop()
        return list({envelope.id: envelope for envelope in reversed(found)}.values())[::-1]

    def _taken(self, carrier: Carrier, sent: Sequence[Envelope], when: str) -> list[Envelope]:
        arrived = Queue[Envelope]()
        carrier.consume(arrived.put, group=self.group, concurrency=1)
        return self._awaited(arrived, sent, when)

    def _awaited(
        self, arrived: Queue[Envelope], sent: Iterable[Envelope], when: str
    ) -> list[Envelope]:
        """Return what arrives until all that was sent did."""
        missing, found = {envelope.id for envelope in sent}, list[Envelope]()
        while missing:
            try:
                found.append(arrived.get(timeout=self.patience))
            except Empty:
                seen = f"{len(missing)} events did not come within {self.patience:g} s {when}."
                raise AssertionError(seen) from None
            missing.discard(found[-1].id)
        return found


_TEXTS = (
    "plain",
    "Zürich 部屋 🛏️",
    'quote " backslash \\ slash / percent %41 plus +',
    " begins and ends with spaces ",
    "line\nbreak\r\nand\ttab \x01\x7f",
    "<b>&amp;</b> {} %s ${x}",
    "x" * 200,
)


def _drop(envelope: Envelope) -> None:
    del envelope


def _ids(count: int) -> Iterator[RoomId]:
    return (RoomId(new_id()) for _ in range(count))


def _event(sequence: int, text: str = "event", room_id: RoomId | None = None) -> Envelope:
    """Return an event as the outbox holds it; without a room it is of a new one."""
    room_id = room_id or RoomId(new_id())
    event = PmsRoomSynced(hotel_id=HotelId(new_id()), room_id=room_id, external_id=text)
    return Envelope(
        id=EventId(new_id()),
        hotel_id=event.hotel_id,
        name=event.wire_name,
        version=event.version,
        key=event.key,
        sequence=sequence,
        position=sequence if sequence % 2 else None,
        occurred_at=datetime(2026, 1, 15, 12, 0, 0, sequence, tzinfo=UTC),
        correlation_id=text if sequence > 1 and text.isprintable() else None,
        causation_id=None if sequence % 2 else EventId(new_id()),
        traceparent=None,
        payload=payload(event),
    )
