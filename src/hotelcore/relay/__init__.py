"""The relay: brings what was committed to whoever has to hear of it for certain.

One process that runs a `Relay` beside the database is enough; several share the work.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from threading import Event as Flag

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


class Relay:
    """Numbers the events of every hotel and works off the core's durable subscriptions.

    ``transport`` also brings each event to a broker. ``workers`` is how many handlers run at once,
    each in a thread. ``batch`` is about how many events are numbered in one transaction, or
    sent in one go. ``lease`` is how long one event may be under way, in a handler or to the
    broker, before another relay may think this one dead. ``poll`` bounds how late the end of a
    pause is noticed, and how late a new event is where the database cannot announce it.

    With ``feeding=False`` it only works lanes: that is the consumer behind a broker, which calls
    `receive` with what arrives. Raises `InvalidInput` for numbers below 1 or above 10,000, and for
    durations that are no timedelta above zero, of a day at most.
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
        for name, number in (("workers", workers), ("batch", batch)):
            _check_number(name, number)
        for name, duration in (("lease", lease), ("poll", poll)):
            _check_duration(name, duration)
        self._core = core
        self._poll = poll.total_seconds()
        self._batch = batch
        self._look_at = 0.0
        self._stopping = Flag()
        self._bell = Bell(core.engine, core._names)
        self._feeder = (
            Feeder(core, transport=transport, batch=batch, lease=lease) if feeding else None
        )
        self._crew = Crew(core, workers=workers, lease=lease, free=self._bell.ring)

    def run(self) -> None:
        """Work until `stop` is called from another thread or a signal handler.

        A database that fails is asked again; what was under way then is done again.
        """
        try:
            news = True
            while not self._stopping.is_set():
                news = self._more(news) or self._bell.wait(self._poll)
        finally:
            self._close()

    def run_until_idle(self) -> None:
        """Work until nothing waits that is due now, and close; for scripts and tests.

        A database that fails raises its error.
        """
        try:
            while not self._stopping.is_set():
                # Asked before the round: what a worker commits as it ends must still be seen.
                working = self._crew.working
                if self._feed() + self._crew.take_up():
                    continue
                if not working:
                    break
                self._bell.wait(self._poll)
        finally:
            self._close()

    def stop(self) -> None:
        """Have `run` return when the handlers have finished the events that they are at."""
        self._stopping.set()
        self._crew.stop()
        self._bell.ring()

    def receive(self, envelope: Envelope) -> None:
        """Take an event that arrived through a broker: its lanes know of it when this returns.

        A lane that was not there begins with the first event of its record. Raises what the
        database raises; let the broker deliver again then.
        """
        news = news_of([envelope], self._core.subscriptions)
        # A broker may bring the second event of a record before its first.
        whole = [attrs.evolve(each, first=1) for each in news]
        with self._core._serving() as run:
            raise_lanes(run, whole, now=self._core._clock.now())
        self._bell.ring()

    def _more(self, news: bool) -> bool:
        """Feed if there is news, and fill the crew; whether more waits than went into the batch.

        After a smaller batch the bell is waited for. On a database where writers take turns, that
        leaves the hosts' commits the time between.
        """
        try:
            fed = self._feed() if news or self._overdue() else 0
            self._crew.take_up()
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

    def _close(self) -> None:
        self._crew.leave()
        self._bell.close()


def _check_number(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 10_000:
        raise InvalidInput(name, "must be a whole number from 1 to 10,000")


def _check_duration(name: str, value: object) -> None:
    if not isinstance(value, timedelta) or not timedelta(0) < value <= timedelta(days=1):
        raise InvalidInput(name, "must be a timedelta above zero, of a day at most")
