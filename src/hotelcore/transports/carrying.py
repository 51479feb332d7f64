"""What every adapter promises, and what all of them share: the loop, the limits, the threads."""

from __future__ import annotations

import asyncio
import logging
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from math import inf
from types import TracebackType
from typing import Any, ClassVar, Self, TypeVar

from hotelcore.errors import HotelcoreError, InvalidInput, TransportFailure
from hotelcore.events.cloudevents import Binding, envelope_of
from hotelcore.events.envelope import Envelope
from hotelcore.events.transport import Receive
from hotelcore.transports.loop import LoopThread

__all__ = ["STOP_SECONDS", "Consumer", "Intake", "Transport", "checked_name", "checked_seconds"]

STOP_SECONDS = 60.0
"""How long a consumer that stops waits for the running calls of its `Receive`."""

# After a failure the place in the queue is held for so long, so that a database that is away is not
# asked a thousand times a second by events that come again at once.
_PAUSE_SECONDS = 1.0

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")

_log = logging.getLogger("hotelcore.transports")

T = TypeVar("T")


class Transport(ABC):
    """An `EventTransport` with its consuming side. Close it, or use it as a context manager.

    ``url`` says where the broker is. ``name`` is what its stream, exchange, topic or queue is
    called: 1 to 64 letters, digits, ``-`` and ``_``. ``time_limit`` is how many seconds a call may
    take. Raises `InvalidInput` for arguments of another form. Nothing is connected before the first
    `send` or `consume`. All methods may be called from any thread.
    """

    broker_name: ClassVar[str]
    """How errors and log lines call the broker."""

    def __init__(self, url: str, *, name: str = "hotelcore", time_limit: float = 10.0) -> None:
        self._url = url
        self._name = checked_name("name", name)
        self._time_limit = checked_seconds("time_limit", time_limit)
        self._loop = LoopThread(f"hotelcore {self.broker_name}")
        self._consumers: list[Consumer] = []
        self._closed = False

    def send(self, batch: Sequence[Envelope]) -> None:
        """Return once the broker has stored all of ``batch``, in its order.

        Raises `TransportFailure` if it may not have; send the whole batch again then.
        """
        if batch:
            self._run(self._send(batch))

    def consume(self, receive: Receive, *, group: str, concurrency: int = 4) -> Consumer:
        """Hand every event to ``receive``, in up to ``concurrency`` threads, and return at once.

        An event is acknowledged when ``receive`` returns and comes again if it raises. The
        consumers of one ``group`` (named like a transport) share the events; another group gets
        all of them too. A new group begins with the oldest event that the broker still has. Raises
        `TransportFailure` if the broker cannot be reached.
        """
        checked_name("group", group)
        if not isinstance(concurrency, int) or concurrency < 1:
            raise InvalidInput("concurrency", "must be at least 1")
        intake = Intake(receive, broker_name=self.broker_name, concurrency=concurrency)
        try:
            stop = self._run(self._consume(intake, group, concurrency))
        except BaseException:
            intake.close()
            raise
        consumer = Consumer(lambda: self._stop(intake, stop))
        self._consumers.append(consumer)
        return consumer

    def close(self) -> None:
        """Stop the consumers and disconnect; a second call does nothing.

        Never raises: what a broker that is away was not told of comes again.
        """
        if self._closed:
            return
        for consumer in self._consumers:
            with suppress(TransportFailure):
                consumer.stop()
        with suppress(TransportFailure):
            self._run(self._disconnect())
        self._closed = True
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @abstractmethod
    async def _send(self, batch: Sequence[Envelope]) -> None:
        """Store ``batch``, which is not empty, over there."""

    @abstractmethod
    async def _consume(
        self, intake: Intake, group: str, concurrency: int
    ) -> Callable[[], Coroutine[Any, Any, None]]:
        """Begin to pass messages to ``intake``; return what ends that, once the last is done."""

    @abstractmethod
    async def _disconnect(self) -> None:
        """Close the connection for sending, if there is one."""

    def _stop(self, intake: Intake, stop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async def stopping() -> None:
            intake.hurry()
            await stop()

        try:
            self._run(stopping(), more_seconds=STOP_SECONDS)
        finally:
            intake.close()

    # Any: nothing is sent into a coroutine of ours
    def _run(self, work: Coroutine[Any, Any, T], *, more_seconds: float = 0) -> T:
        if self._closed:
            work.close()
            raise TransportFailure(self.broker_name, "this transport was closed: make a new one")
        try:
            return self._loop.run(work, seconds=self._time_limit + more_seconds)
        except HotelcoreError:
            raise
        except Exception as error:  # noqa: BLE001  # each driver has a family of its own
            raise TransportFailure(self.broker_name, self._reason(error)) from None

    def _reason(self, error: Exception) -> str:
        """Say in our own words what ``error`` of the driver means."""
        if isinstance(error, TimeoutError):
            return f"no answer within {self._time_limit:g} s: check the URL and the broker"
        return f"no success ({type(error).__name__}): check the URL and the broker"


class Consumer:
    """Takes events until it is stopped; also a context manager."""

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop: Callable[[], None] | None = stop

    def stop(self) -> None:
        """Take no new event, let running calls finish (60 s at most) and acknowledge theirs.

        A second call does nothing. Raises `TransportFailure` if the broker did not answer.
        """
        stop, self._stop = self._stop, None
        if stop is not None:
            stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


class Intake:
    """Opens the messages of one consumer and calls its `Receive`, off the event loop."""

    def __init__(self, receive: Receive, *, broker_name: str, concurrency: int) -> None:
        self._receive = receive
        self._broker_name = broker_name
        self._threads = ThreadPoolExecutor(concurrency, f"hotelcore {broker_name} consumer")
        self._hurry = asyncio.Event()

    async def take(self, headers: Mapping[str, str], body: bytes, binding: Binding) -> bool:
        """Tell whether the message is done with; if it is not, let it come again.

        What is no event of ours would never become one, so it is done with too.
        """
        try:
            envelope = envelope_of(headers, body, binding)
        except InvalidInput as error:
            _log.error("%s: dropped what is no event of hotelcore (%s)", self._broker_name, error)
            return True
        try:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._threads, self._receive, envelope)
        except Exception as error:  # noqa: BLE001  # whatever it was, the event comes again
            # The exception's own text may hold personal data of the host's.
            kind = type(error).__name__
            _log.error("%s: event %s comes again (%s)", self._broker_name, envelope.id, kind)
            await self._pause()
            return False
        return True

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._hurry.wait(), _PAUSE_SECONDS)

    def hurry(self) -> None:
        """Pause no more, because the consumer stops."""
        self._hurry.set()

    def close(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown(wait=False)


def checked_name(field: str, name: str) -> str:
    """Return ``name`` if every broker accepts it; raises `InvalidInput` otherwise."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidInput(field, "must be 1 to 64 letters, digits, - and _")
    return name


def checked_seconds(field: str, seconds: float) -> float:
    """Return ``seconds`` if a wait can last so long; raises `InvalidInput` otherwise."""
    if not isinstance(seconds, int | float) or not 0 < seconds < inf:
        raise InvalidInput(field, "must be a positive number of seconds")
    return seconds
