"""Events over Redis Streams."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from uuid import uuid4

from hotelcore.errors import MissingExtra
from hotelcore.events.cloudevents import headers_and_body
from hotelcore.events.envelope import Envelope
from hotelcore.transports.brokers import COMMON, BrokerTransport, Handler
from hotelcore.transports.carrying import checked_seconds

try:
    from faststream.middlewares import AckPolicy
    from faststream.redis import RedisBroker, StreamSub
    from redis.exceptions import ResponseError
except ImportError:
    raise MissingExtra("RedisTransport", "redis") from None

__all__ = ["RedisTransport"]


class RedisTransport(BrokerTransport[RedisBroker]):
    """Events in one stream, whose entries are in FastStream's message format.

    A batch is one transaction, so it is stored whole or not at all; what a crash of the server
    keeps is up to its ``appendfsync``. Nothing is ever deleted from the stream: trim it yourself.
    An entry that nobody acknowledged within ``redeliver_after`` seconds, because its consumer died
    or its `Receive` raised, goes to another consumer of the group. The rest as in `Transport`.
    """

    broker_name = "Redis"

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

    def _new_broker(self) -> RedisBroker:
        return RedisBroker(self._url, **COMMON)

    async def _prepare(self, broker: RedisBroker) -> None:
        await (await broker.connect()).ping()

    async def _publish(self, broker: RedisBroker, batch: Sequence[Envelope]) -> None:
        async with (await broker.connect()).pipeline(transaction=True) as pipeline:
            for envelope in batch:
                headers, body = headers_and_body(envelope, self.binding)
                await broker.publish(body, stream=self._name, headers=headers, pipeline=pipeline)
            await pipeline.execute()

    async def _make_group(self, broker: RedisBroker, group: str) -> None:
        # FastStream would begin with what comes after now.
        with suppress(ResponseError):  # the group is there already
            await (await broker.connect()).xgroup_create(self._name, group, id="0", mkstream=True)

    def _new_consumer(self, group: str, concurrency: int, handle: Handler) -> RedisBroker:
        taking = RedisBroker(self._url, **COMMON)
        milliseconds = max(1, round(self._redeliver_after * 1_000))
        consumer = uuid4().hex
        new = StreamSub(
            self._name,
            group=group,
            consumer=consumer,
            max_records=concurrency,
            polling_interval=1_000,
        )
        left_over = StreamSub(
            self._name,
            group=group,
            consumer=consumer,
            min_idle_time=milliseconds,
            polling_interval=milliseconds,
        )
        for stream in new, left_over:
            taking.subscriber(stream=stream, ack_policy=AckPolicy.MANUAL, max_workers=concurrency)(
                handle
            )
        return taking
