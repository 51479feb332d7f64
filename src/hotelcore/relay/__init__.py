"""The relay: brings what was committed to whoever has to hear of it for certain.

One process that runs a `Relay` beside the database is enough; several share the work.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from threading import Event as Flag
from threading import Lock

import attrs

from hotelcore.core import HotelCore
from hotelcore.errors import HotelcoreError, InvalidInput
from hotelcore.events.envelope import Envelope
from hotelcore.events.transport import EventTransport
from hotelcore.relay.bell import Bell
from hotelcore.relay.feeding import Feeder, news_of
from hotelcore.relay.working import Crew
from hotelcore.sql.events.inbox import raise_lanes

__all__ = ["Relay"]

_log = logging.getLogger("hotelcore.relay")


@attrs.frozen
class _Shift:
    """What one run works with: the bell that wakes it, and the threads of its handlers."""

    bell: Bell
    crew: Crew

    def close(self) -> None:
        """Let the threads finish what they have, and give the bell's connection back."""
        self.crew.leave()
        self.bell.close()


class Relay:
    """Numbers the events of every hotel and works off the core's durable subscriptions.

    ``transport`` also brings each event to a broker. ``workers`` is how many handlers run at once,
    each in a thread. ``batch`` is about how many events are numbered in one transaction, or
    sent in one go. ``lease`` is how long one event may be under way, in a handler or to the
    broker, before another relay may think this one dead. ``poll`` bounds how late the end of a
    pause is noticed, and how late a new event is where the database cannot announce it.

    With ``feeding=False`` it only works lanes: that is the consumer behind a broker, which calls
    `receive` with what arrives. Raises `InvalidInput` for numbers below 1 or above 10,000, for
    durations that are no timedelta above zero, of a day at most, and for a ``transport`` that
    cannot send.

    It may run again after a run has ended. Once it was stopped it stays so: make another then.
    """

    def __init__(
        self,
        core: HotelCore,
        *,
        transport: EventTransport | None = None,
        feeding: bool = True,
        workers: int = 4,
        batch: int = 100,
        lease: timedelta = timedelta(minutes=1),
        poll: timedelta = timedelta(seconds=1),
    ) -> None:
        if not isinstance(core, HotelCore):
            raise InvalidInput("core", "must be a HotelCore: an AsyncHotelCore cannot run a relay")
        if transport is not None and not callable(getattr(transport, "send", None)):
            raise InvalidInput("transport", "must have send(): open one with transport_for(url)")
        if not isinstance(feeding, bool):
            raise InvalidInput("feeding", "must be True or False")
        for name, number in (("workers", workers), ("batch", batch)):
            _check_number(name, number)
        for name, duration in (("lease", lease), ("poll", poll)):
            _check_duration(name, duration)
        self._core = core
        self._poll = poll.total_seconds()
        self._workers = workers
        self._batch = batch
        self._lease = lease
        self._look_at = 0.0
        self._stopping = Flag()
        self._runs = Lock()
        self._shift: _Shift | None = None
        self._feeder = (
            Feeder(core, transport=transport, batch=batch, lease=lease) if feeding else None
        )

    def run(self) -> None:
        """Work until `stop` is called from another thread or a signal handler.

        A database that fails is asked again; what was under way then is done again. Raises
        `InvalidInput` while another thread runs this relay.
        """
        with self._running() as shift:
            news = True
            while not self._stopping.is_set():
                news = self._more(shift.crew, news) or shift.bell.wait(self._poll)

    def run_until_idle(self) -> None:
        """Work until nothing waits that is due now, and close; for scripts and tests.

        A database that fails raises its error. Raises `InvalidInput` while another thread runs
        this relay.
        """
        with self._running() as shift:
            while not self._stopping.is_set():
                # Asked before the round: what a worker commits as it ends must still be seen.
                working = shift.crew.working
                if self._feed() + shift.crew.take_up():
                    continue
                if not working:
                    break
                shift.bell.wait(self._poll)

    def stop(self) -> None:
        """Have `run` return when the handlers have finished the events that they are at.

        A relay that does not run, or not yet, returns from `run` at once from now on.
        """
        self._stopping.set()
        # Who runs looks at the flag after it has begun a shift, so a shift begun later ends too.
        if shift := self._shift:
            shift.crew.stop()
            shift.bell.ring()

    def receive(self, envelope: Envelope) -> None:
        """Take an event that arrived through a broker: its lanes know of it when this returns.

        A lane that was not there begins with the first event of its record. Raises what the
        database raises; let the broker deliver again then. Raises `InvalidInput` for what is no
        envelope.
        """
        if not isinstance(envelope, Envelope):
            raise InvalidInput("envelope", "must be an Envelope, as the transport's consumer gives")
        news = news_of([envelope], self._core.subscriptions)
        # A broker may bring the second event of a record before its first.
        whole = [attrs.evolve(each, first=1) for each in news]
        with self._core._serving() as run:
            raise_lanes(run, whole, now=self._core._clock.now())
        if shift := self._shift:
            shift.bell.ring()

    @contextmanager
    def _running(self) -> Generator[_Shift]:
        """Lend the body what a run works with, to one thread at a time."""
        if not self._runs.acquire(blocking=False):
            raise InvalidInput("relay", "runs already: make one for each thread that shall run one")
        try:
            self._shift = shift = self._new_shift()
            try:
                yield shift
            finally:
                shift.close()
                self._shift = None
        finally:
            self._runs.release()

    def _new_shift(self) -> _Shift:
        bell = Bell(self._core.engine, self._core._names)
        crew = Crew(self._core, workers=self._workers, lease=self._lease, free=bell.ring)
        return _Shift(bell, crew)

    def _more(self, crew: Crew, news: bool) -> bool:
        """Feed if there is news, and fill the crew; whether more waits than went into the batch.

        After a smaller batch the bell is waited for. On a database where writers take turns, that
        leaves the hosts' commits the time between.
        """
        try:
            fed = self._feed() if news or self._overdue() else 0
            crew.take_up()
        except HotelcoreError as error:
            _log.error("the relay tries again: %s", error)
            return False
        return fed > self._batch // 2

    def _overdue(self) -> bool:
        """Whether workers that ring have kept the bell from ending a wait by itself."""
        return self._core._clock.monotonic() >= self._look_at

    def _feed(self) -> int:
        self._look_at = self._core._clock.monotonic() + self._poll
        return self._feeder.feed() if self._feeder else 0


def _check_number(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 10_000:
        raise InvalidInput(name, "must be a whole number from 1 to 10,000")


def _check_duration(name: str, value: object) -> None:
    if not isinstance(value, timedelta) or not timedelta(0) < value <= timedelta(days=1):
        raise InvalidInput(name, "must be a timedelta above zero, of a day at most")
