"""Events over NATS JetStream, the transport to choose where there is a choice."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from hotelcore.errors import MissingExtra
from hotelcore.events.cloudevents import headers_and_body
from hotelcore.events.envelope import Envelope
from hotelcore.transports.brokers import COMMON, BrokerTransport, Handler
from hotelcore.transports.carrying import checked_seconds

try:
    from faststream.middlewares import AckPolicy
    from faststream.nats import JStream, NatsBroker, PullSub
    from nats.errors import ConnectionClosedError
    from nats.js.api import ConsumerConfig, StreamConfig
    from nats.js.errors import NotFoundError
except ImportError:
    raise MissingExtra("NatsTransport", "nats") from None

if TYPE_CHECKING:
    from faststream.nats.subscriber.usecases import PullStreamSubscriber
    from nats.aio.msg import Msg

__all__ = ["NatsTransport"]

_log = logging.getLogger("hotelcore.transports")


class NatsTransport(BrokerTransport[NatsBroker]):
    """Events in a JetStream stream, under ``<name>.<hotel id>.<wire name>``.

    The stream is made with the server's defaults if it is not there, so it keeps everything; one
    that is there is used as it is. The server drops an event that was sent twice within its
    ``duplicate_window``. A group is a durable pull consumer; an event that nobody acknowledged
    within ``redeliver_after`` seconds goes to another of the group. The rest as in `Transport`.
    """

    broker_name = "NATS"

    def __init__(
        self,
        url: str,
        *,
        name: str = "hotelcore",
        time_limit: float = 10.0,
        redeliver_after: float = 30.0,
    ) -> None:
        self._redeliver_after = checked_seconds("redeliver_after", redeliver_after)
        super().__init__(url, name=name, time_limit=time_limit)

    def _new_broker(self) -> NatsBroker:
        # Each address is tried twice, at once. To wait for a server is for who sends again.
        return NatsBroker(
            self._url,
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            **COMMON,
        )

    async def _prepare(self, broker: NatsBroker) -> None:
        jetstream = (await broker.connect()).jetstream(timeout=self._time_limit)
        try:
            await jetstream.stream_info(self._name)
        except NotFoundError:
            await jetstream.add_stream(StreamConfig(name=self._name, subjects=[f"{self._name}.>"]))

    async def _publish(self, broker: NatsBroker, batch: Sequence[Envelope]) -> None:
        # The calls begin in their order, and none waits before it has written.
        await asyncio.gather(*(self._publish_one(broker, envelope) for envelope in batch))

    async def _publish_one(self, broker: NatsBroker, envelope: Envelope) -> None:
        headers, body = headers_and_body(envelope, self.binding)
        await broker.publish(
            body,
            f"{self._name}.{envelope.hotel_id}.{envelope.name}",
            headers={**headers, "Nats-Msg-Id": str(envelope.id)},
            stream=self._name,
            timeout=self._time_limit,
        )

    def _new_consumer(self, group: str, concurrency: int, handle: Handler) -> NatsBroker:
        taking = NatsBroker(self._url, max_reconnect_attempts=-1, **COMMON)
        subscriber = taking.subscriber(
            f"{self._name}.>",
            ack_policy=AckPolicy.MANUAL,
            config=ConsumerConfig(ack_wait=self._redeliver_after),
            durable=group,
            max_workers=concurrency,
            # One at a time: a larger request waits for its last event before it gives the first.
            # A request that was lost with its connection is made again after the timeout.
            pull_sub=PullSub(batch_size=1, timeout=1.0),
            stream=JStream(self._name, declare=False),
        )
        subscriber(handle)
        return taking

    async def _start(self, taking: NatsBroker) -> None:
        await super()._start(taking)
        [subscriber] = taking.subscribers
        _end_with_the_connection(cast("PullStreamSubscriber", subscriber))


def _end_with_the_connection(subscriber: PullStreamSubscriber) -> None:
    """Stop asking on a connection that the server ended for good.

    FastStream would ask again at once, for ever, and nothing else would run in the loop.
    """
    subscription = subscriber.subscription
    if subscription is None:
        return
    fetch = subscription.fetch

    async def fetched(batch: int, timeout: float | None) -> list[Msg]:
        try:
            return await fetch(batch=batch, timeout=timeout)
        except ConnectionClosedError:
            subscriber.running = False
            _log.error("NATS: the server ended the connection for good: start the consumer again")
            raise

    subscription.fetch = fetched  # type: ignore[assignment,method-assign]  # FastStream has no hook
