"""Works off the lanes that are due: one event after the other, each in its handler's hands."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from threading import Event as Flag

import attrs

from hotelcore.backoff import Backoff
from hotelcore.core import HotelCore
from hotelcore.errors import HotelcoreError, LeaseLost
from hotelcore.events.envelope import Envelope
from hotelcore.ids import HotelId
from hotelcore.relay.delivery import StoredDelivery
from hotelcore.sql.events.dead_letters import Retried, bury, keep_buried, resolve, take_retried
from hotelcore.sql.events.inbox import (
    Lane,
    finish,
    hold_on,
    move_on,
    pause,
    read_lanes,
    release,
    take_lanes,
)
from hotelcore.sql.events.leases import Lease
from hotelcore.sql.seam.statements import Statements
from hotelcore.sql.transactions import Receipt
from hotelcore.subscriptions import Durable

__all__ = ["Crew"]

_log = logging.getLogger("hotelcore.relay")

# How many events of a lane are read at once.
_READ = 100


class Crew:
    """Threads that work lanes. One thread takes them up, with `take_up`."""

    def __init__(
        self, core: HotelCore, *, workers: int, lease: timedelta, free: Callable[[], None]
    ) -> None:
        """Make a crew of so many threads; it calls ``free`` when one of them has time again."""
        self._core = core
        self._lease = lease
        self._free = free
        self._workers = workers
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="hotelcore-relay")
        self._busy: set[Future[None]] = set()
        self._leaving = Flag()

    def take_up(self) -> int:
        """Take due lanes and dead letters that are retried, for who has time; return how many.

        As many again are taken as there are threads, so that none waits for the next taking.
        """
        names = list(self._core.subscriptions.durables)
        # Done ones are counted out here, by the one thread that adds them.
        self._busy = {work for work in self._busy if not work.done()}
        if not names or len(self._busy) > self._workers:
            return 0
        most = 2 * self._workers - len(self._busy)
        lease = Lease.begin(self._core._clock, self._lease)
        with self._core._serving() as run:
            lanes = take_lanes(run, names, lease, most=most)
            events = read_lanes(run, lanes, most=_READ)
            letters = take_retried(run, names, lease, most=most - len(lanes))
        for lane in lanes:
            self._give(partial(self._work_lane, lease, lane, events[lane]))
        for letter in letters:
            self._give(partial(self._work_letter, lease, letter))
        return len(lanes) + len(letters)

    @property
    def working(self) -> bool:
        """Whether any thread is at work."""
        return not all(work.done() for work in self._busy)

    def stop(self) -> None:
        """Let every thread finish the event it has, and no other."""
        self._leaving.set()

    def leave(self) -> None:
        """Stop, and return when all threads are done."""
        self.stop()
        self._threads.shutdown()

    def _give(self, work: Callable[[], None]) -> None:
        future = self._threads.submit(work)
        self._busy.add(future)
        future.add_done_callback(self._done)

    def _done(self, work: Future[None]) -> None:
        if error := work.exception():
            # What was taken comes again when its lease has ended.
            said = str(error) if isinstance(error, HotelcoreError) else type(error).__name__
            _log.error("a lane was given up until its lease ends: %s", said)
        self._free()

    # -- a lane -------------------------------------------------------------------------------

    def _work_lane(self, lease: Lease, lane: Lane, read: Sequence[Envelope]) -> None:
        # What waited here for a thread has the whole lease still to itself.
        if self._reached(lease.at(0.1)) and not self._settle(
            lane.hotel_id, partial(self._hold_on, lane)
        ):
            return
        durable = self._core.subscriptions.durables[lane.subscription]
        kinds = self._core.subscriptions.handlers_of(durable.name)
        until = read[-1].sequence if read else _end_of_nothing(lane)
        events = [event for event in read if event.name in kinds]
        if not events:
            self._settle(lane.hotel_id, partial(self._finish, lane, until))
        for number, envelope in enumerate(events, start=1):
            # A long lane leaves its worker, before the lease ends of one that waits here behind it.
            if self._leaving.is_set() or (number > 1 and self._reached(lease.at(0.5))):
                self._settle(lane.hotel_id, partial(self._release, lane))
                return
            last = number == len(events)
            to, then = (until, self._finish) if last else (envelope.sequence, self._step)
            if not self._handled(durable, lane, envelope, partial(then, lane, to)):
                return
            lane = lane.behind(envelope)

    def _reached(self, instant: datetime) -> bool:
        return self._core._clock.now() >= instant

    def _handled(self, durable: Durable, lane: Lane, envelope: Envelope, step: Receipt) -> bool:
        """Hand one event over; whether the lane may go on to the next."""
        if lane.attempts > durable.attempts:
            # The last attempt has never ended: its process died, or its lease ended before it did.
            last = attrs.evolve(lane, attempts=lane.attempts - 1)
            return self._failed(durable, last, envelope, step, LeaseLost())
        try:
            return self._deliver(durable, envelope, step, attempt=lane.attempts)
        except LeaseLost:
            return False
        except Exception as error:  # noqa: BLE001  # a handler may fail in any way of its own
            return self._failed(durable, lane, envelope, step, error)

    def _deliver(
        self,
        durable: Durable,
        envelope: Envelope,
        step: Receipt,
        *,
        attempt: int,
        late: bool = False,
    ) -> bool:
        """Have the handler do its work; whether that is committed."""
        delivery = StoredDelivery.of(
            self._core, durable, envelope, step, attempt=attempt, late=late
        )
        self._core.subscriptions.handlers_of(durable.name)[envelope.name](delivery)
        return delivery.conclude()

    def _failed(
        self,
        durable: Durable,
        lane: Lane,
        envelope: Envelope,
        step: Receipt,
        error: Exception,
    ) -> bool:
        """Give the lane a pause, or up the event; whether the lane may go on to the next."""
        self._report(durable, envelope, error, attempt=lane.attempts)
        again = lane.attempts < durable.attempts
        if again:
            waiting = timedelta(seconds=_pauses(durable).pause(lane.attempts, float("inf")) or 0)
            then = partial(self._pause, lane, waiting)
        else:
            failure = type(error).__name__[:200]
            then = partial(self._put_aside, lane, envelope, step, failure)
        if self._settle(lane.hotel_id, then):
            return not again
        # Its transaction may have been committed before it failed.
        self._settle(lane.hotel_id, partial(self._release, lane.behind(envelope)))
        return False

    def _settle(self, hotel_id: HotelId, step: Receipt) -> bool:
        """Do a step in a transaction of its own; False if somebody else has the lane now."""
        try:
            with self._core._serving(hotel_id) as run:
                step(run)
        except LeaseLost:
            return False
        return True

    def _report(
        self, durable: Durable, envelope: Envelope, error: Exception, *, attempt: int
    ) -> None:
        # The exception's own text may hold personal data of the host's, so only its class is named.
        _log.warning(
            "%s failed at %s, attempt %d of %d: %s",
            durable.name,
            envelope.name,
            attempt,
            durable.attempts,
            type(error).__name__,
        )

    # -- steps of a lane, each the last thing in some transaction -------------------------------

    def _hold_on(self, lane: Lane, run: Statements) -> None:
        _kept(hold_on(run, lane, until=self._core._clock.now() + self._lease))

    def _step(self, lane: Lane, sequence: int, run: Statements) -> None:
        until = self._core._clock.now() + self._lease
        _kept(move_on(run, lane, sequence, until=until))

    def _finish(self, lane: Lane, sequence: int, run: Statements) -> None:
        _kept(finish(run, lane, sequence, now=self._core._clock.now()))

    def _release(self, lane: Lane, run: Statements) -> None:
        _kept(release(run, lane, now=self._core._clock.now()))

    def _pause(self, lane: Lane, by: timedelta, run: Statements) -> None:
        _kept(pause(run, lane, again_at=self._core._clock.now() + by))

    def _put_aside(
        self, lane: Lane, envelope: Envelope, step: Receipt, failure: str, run: Statements
    ) -> None:
        step(run)
        bury(run, lane, envelope, failure=failure, now=self._core._clock.now())

    # -- a dead letter --------------------------------------------------------------------------

    def _work_letter(self, lease: Lease, retried: Retried) -> None:
        if self._leaving.is_set() or self._reached(lease.until):
            return  # it comes again when its lease has ended
        letter, hotel_id = retried.letter, retried.letter.envelope.hotel_id
        durable = self._core.subscriptions.durables[letter.subscription]
        try:
            self._deliver(
                durable,
                letter.envelope,
                lambda run: _kept(resolve(run, retried)),
                attempt=letter.attempts,
                late=True,
            )
        except LeaseLost:
            return
        except Exception as error:  # noqa: BLE001  # a handler may fail in any way of its own
            self._report(durable, letter.envelope, error, attempt=letter.attempts)
            failure, now = type(error).__name__[:200], self._core._clock.now()
            self._settle(
                hotel_id, lambda run: _kept(keep_buried(run, retried, failure=failure, now=now))
            )


def _end_of_nothing(lane: Lane) -> int:
    """Return up to where there are no events behind a lane of which none were read."""
    # Purged ones may stand before the next. A lane that ran ahead of what it knows stays there.
    return max(lane.handled, min(lane.known, lane.handled + _READ))


def _kept(held: bool) -> None:
    if not held:
        raise LeaseLost


def _pauses(durable: Durable) -> Backoff:
    return Backoff(
        first=durable.first_pause.total_seconds(),
        cap=durable.longest_pause.total_seconds(),
        chance=random.random,
    )
