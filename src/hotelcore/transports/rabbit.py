"""Events over RabbitMQ."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from hotelcore.errors import MissingExtra
from hotelcore.events.cloudevents import CONTENT_TYPE, Binding, headers_and_body
from hotelcore.events.envelope import Envelope
from hotelcore.transports.brokers import COMMON, BrokerTransport, Handler

try:
    from aio_pika.exceptions import PublishError
    from faststream.middlewares import AckPolicy
    from faststream.rabbit import Channel, ExchangeType, RabbitBroker, RabbitExchange, RabbitQueue
except ImportError:
    raise MissingExtra("RabbitTransport", "rabbit") from None

__all__ = ["RabbitTransport"]


class RabbitTransport(BrokerTransport[RabbitBroker]):
    """Persistent messages through a durable topic exchange, by ``<hotel id>.<wire name>``.

    Sending waits for the broker's confirms. A group is a durable queue ``<name>.<group>``, made by
    the group's first consumer: start that before you send, because an exchange keeps nothing, so
    an event that no queue takes is refused. The rest as in `Transport`.
    """

    broker_name = "RabbitMQ"
    binding = Binding.AMQP

    def __init__(self, url: str, *, name: str = "hotelcore", time_limit: float = 10.0) -> None:
        super().__init__(url, name=name, time_limit=time_limit)
        self._exchange = RabbitExchange(name, type=ExchangeType.TOPIC, durable=True)

    def _new_broker(self) -> RabbitBroker:
        return self._broker(Channel(on_return_raises=True))

    def _broker(self, channel: Channel) -> RabbitBroker:
        return RabbitBroker(
            self._url,
            default_channel=channel,
            reconnect_interval=1.0,
            # Before the call's own limit: an attempt that is cancelled goes on behind the scenes.
            timeout=0.9 * self._time_limit,
            **COMMON,
        )

    async def _prepare(self, broker: RabbitBroker) -> None:
        await broker.start()
        await broker.declare_exchange(self._exchange)

    async def _publish(self, broker: RabbitBroker, batch: Sequence[Envelope]) -> None:
        # The channel writes them in the order in which the calls begin.
        await asyncio.gather(*(self._publish_one(broker, envelope) for envelope in batch))

    async def _publish_one(self, broker: RabbitBroker, envelope: Envelope) -> None:
        headers, body = headers_and_body(envelope, self.binding)
        await broker.publish(
            body,
            exchange=self._exchange,
            routing_key=f"{envelope.hotel_id}.{envelope.name}",
            content_type=CONTENT_TYPE,
            headers=dict(headers),
            message_id=str(envelope.id),
            persist=True,
        )

    def _new_consumer(self, group: str, concurrency: int, handle: Handler) -> RabbitBroker:
        taking = self._broker(Channel(prefetch_count=concurrency))
        queue = RabbitQueue(f"{self._name}.{group}", durable=True, routing_key="#")
        taking.subscriber(queue, self._exchange, ack_policy=AckPolicy.MANUAL)(handle)
        return taking

    def _reason(self, error: Exception) -> str:
        if isinstance(error, PublishError):
            return "no queue takes the events: start a consumer, which makes the queue of its group"
        return super()._reason(error)
