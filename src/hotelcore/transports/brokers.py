"""What the adapters on FastStream share: connecting, sending, taking and acknowledging."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeAlias, TypedDict, TypeVar

from hotelcore.events.cloudevents import Binding
from hotelcore.events.envelope import Envelope
from hotelcore.transports.carrying import STOP_SECONDS, Intake, Transport
from hotelcore.transports.connection import Connection

if TYPE_CHECKING:
    from faststream.message import StreamMessage

__all__ = ["COMMON", "BrokerTransport", "Handler"]

# Any: each broker has messages of its own, and nothing is sent into a coroutine
Handler: TypeAlias = "Callable[[StreamMessage[Any]], Coroutine[Any, Any, None]]"
"""What a subscriber calls with each message that arrives."""


class Broker(Protocol):
    """What the adapters need of every FastStream broker."""

    async def start(self) -> None:
        """Connect, and start the subscribers."""

    async def stop(self) -> None:
        """Let running handlers finish, and disconnect."""


B = TypeVar("B", bound=Broker)


class BrokerTransport(Transport, Generic[B]):
    """A `Transport` over a broker that FastStream knows."""

    binding: ClassVar[Binding] = Binding.NATS

    def __init__(self, url: str, *, name: str = "hotelcore", time_limit: float = 10.0) -> None:
        super().__init__(url, name=name, time_limit=time_limit)
        self._connection = Connection(
            new=self._new_broker, prepare=self._prepare, close=lambda broker: broker.stop()
        )

    @abstractmethod
    def _new_broker(self) -> B:
        """Return a broker for sending, not connected."""

    @abstractmethod
    async def _prepare(self, broker: B) -> None:
        """Connect, and make sure that what stores the events over there exists."""

    @abstractmethod
    async def _publish(self, broker: B, batch: Sequence[Envelope]) -> None:
        """Return once the broker has confirmed all of ``batch``."""

    @abstractmethod
    def _new_consumer(self, group: str, concurrency: int, handle: Handler) -> B:
        """Return a broker, not connected, whose subscriber calls ``handle``."""

    async def _make_group(self, broker: B, group: str) -> None:
        """Make what FastStream does not make for a group by itself; most brokers need nothing."""

    async def _start(self, taking: B) -> None:
        """Connect the broker of a consumer, and let its subscriber begin."""
        await taking.start()

    async def _send(self, batch: Sequence[Envelope]) -> None:
        async with self._connection.held() as broker:
            await self._publish(broker, batch)

    async def _consume(
        self, intake: Intake, group: str, concurrency: int
    ) -> Callable[[], Coroutine[Any, Any, None]]:  # Any: nothing is sent into it
        # Any: the message of whichever broker it is
        async def handle(message: StreamMessage[Any]) -> None:
            if await intake.take(message.headers, message.body, self.binding):
                await message.ack()
            else:
                await message.nack()

        async with self._connection.held() as broker:
            await self._make_group(broker, group)
        taking = self._new_consumer(group, concurrency, handle)
        try:
            await self._start(taking)
        except BaseException:
            self._connection.leave(taking)
            raise
        return taking.stop

    async def _disconnect(self) -> None:
        await self._connection.close()


async def _unread(message: StreamMessage[Any]) -> StreamMessage[Any]:  # Any: each has its own
    """Return the message itself: what FastStream makes of its body has no headers."""
    return message


class _Common(TypedDict):
    apply_types: bool
    decoder: Callable[
        [StreamMessage[Any]], Coroutine[Any, Any, StreamMessage[Any]]
    ]  # Any: as above
    graceful_timeout: float
    log_level: int
    logger: logging.Logger


COMMON: _Common = {
    "apply_types": False,  # the handler is of one form, so there is nothing to inject
    "decoder": _unread,
    "graceful_timeout": STOP_SECONDS,
    "log_level": logging.DEBUG,  # of the routine; failures are warnings and errors
    "logger": logging.getLogger("hotelcore.transports"),
}
"""What every broker is made with."""
