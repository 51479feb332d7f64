"""Events over Kafka. Written like the others, but never run against a Kafka: try it before use."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from hotelcore.errors import MissingExtra
from hotelcore.events.cloudevents import Binding, headers_and_body
from hotelcore.events.envelope import Envelope
from hotelcore.transports.brokers import COMMON, BrokerTransport, Handler

try:
    from faststream.kafka import KafkaBroker
    from faststream.middlewares import AckPolicy
except ImportError:
    raise MissingExtra("KafkaTransport", "kafka") from None

__all__ = ["KafkaTransport"]


class KafkaTransport(BrokerTransport[KafkaBroker]):
    """Events in one topic, the record they are about as the key. Untested.

    ``url`` may name several servers: ``kafka://one:9092,two:9092``. Sending waits for all in-sync
    replicas. A group is a consumer group; at most as many threads work as there are partitions.
    The rest as in `Transport`.
    """

    broker_name = "Kafka"
    binding = Binding.KAFKA

    def _new_broker(self) -> KafkaBroker:
        return KafkaBroker(self._servers(), acks="all", enable_idempotence=True, **COMMON)

    def _servers(self) -> list[str]:
        return self._url.removeprefix("kafka://").rstrip("/").split(",")

    async def _prepare(self, broker: KafkaBroker) -> None:
        await broker.start()

    async def _publish(self, broker: KafkaBroker, batch: Sequence[Envelope]) -> None:
        confirmations = []
        for envelope in batch:
            headers, body = headers_and_body(envelope, self.binding)
            confirmations.append(
                await broker.publish(
                    body,
                    self._name,
                    key=headers["ce_partitionkey"].encode(),
                    headers=headers,
                    no_confirm=True,
                )
            )
        await asyncio.gather(*confirmations)

    def _new_consumer(self, group: str, concurrency: int, handle: Handler) -> KafkaBroker:
        taking = KafkaBroker(self._servers(), **COMMON)
        taking.subscriber(
            self._name,
            ack_policy=AckPolicy.MANUAL,
            auto_offset_reset="earliest",
            group_id=group,
            max_workers=concurrency,
        )(handle)
        return taking
