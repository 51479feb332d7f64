"""Numbers the events of all hotels, tells the lanes of them, and sends them to a broker."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from uuid import UUID

from hotelcore.backoff import Backoff
from hotelcore.core import HotelCore
from hotelcore.errors import HotelcoreError
from hotelcore.events.envelope import Envelope
from hotelcore.events.transport import EventTransport
from hotelcore.ids import HotelId
from hotelcore.sql.events.feed import Arrived, Feed, hold, number, owed, settle, take
from hotelcore.sql.events.inbox import News, raise_lanes
from hotelcore.sql.events.leases import Lease
from hotelcore.sql.seam.statements import Statements
from hotelcore.subscriptions import Subscriptions

__all__ = ["Feeder", "news_of"]

_log = logging.getLogger("hotelcore.relay")

# A batch is shared by so many hotels at the most, so that none waits long for its turn.
_HOTELS = 10
_PAUSES = Backoff(first=0.5, cap=60.0, chance=random.random)


class Feeder:
    """Takes the feeds of hotels in which something waits, a batch at a time."""

    def __init__(
        self, core: HotelCore, *, transport: EventTransport | None, batch: int, lease: timedelta
    ) -> None:
        self._core = core
        self._transport = transport
        self._batch = batch
        self._lease = lease

    def feed(self) -> int:
        """Number one batch, tell the lanes and the broker, and return how many events it had."""
        if self._transport is not None:
            return self._feed_broker(self._transport)
        with self._core._serving() as run:
            feeds = take(run, now=self._core._clock.now(), hotels=_HOTELS)
            return len(self._numbered(run, feeds))

    def _numbered(self, run: Statements, feeds: Sequence[Feed]) -> list[Envelope]:
        if not feeds:
            return []
        numbered = number(run, feeds, quota=max(1, self._batch // len(feeds)))
        news = list(news_of(numbered, self._core.subscriptions))
        raise_lanes(run, news, now=self._core._clock.now())
        return numbered

    def _feed_broker(self, transport: EventTransport) -> int:
        lease = Lease.begin(self._core._clock, self._lease)
        with self._core._serving() as run:
            feeds = hold(run, lease, hotels=_HOTELS)
            events = self._numbered(run, [feed for feed in feeds if feed.attempts == 1])
            for feed in feeds:
                # An earlier attempt gave positions to events that it may not have brought over.
                events += owed(run, feed, most=self._batch) if feed.attempts > 1 else []
        if not feeds:
            return 0
        arrived = self._sent(transport, feeds, events)
        with self._core._serving() as run:
            settle(run, arrived, token=lease.token)
        return len(events)

    def _sent(
        self, transport: EventTransport, feeds: Sequence[Feed], events: Sequence[Envelope]
    ) -> list[Arrived]:
        try:
            if events:
                transport.send(events)
        except Exception as error:  # noqa: BLE001  # a transport may fail in any way of its own
            _log.warning("a batch could not be sent: %s", _said(error))
            return [self._put_off(feed) for feed in feeds]
        last = _last_positions(events)
        return [self._arrived(feed, last) for feed in feeds]

    def _put_off(self, feed: Feed) -> Arrived:
        pause = _PAUSES.pause(feed.attempts, float("inf")) or 0
        again_at = self._core._clock.now() + timedelta(seconds=pause)
        return Arrived(
            hotel_id=feed.hotel_id, sent=feed.sent, attempts=feed.attempts, again_at=again_at
        )

    def _arrived(self, feed: Feed, last: dict[HotelId, int]) -> Arrived:
        sent = last.get(feed.hotel_id, feed.sent)
        # Whoever was behind may be so still; one more look at what it is owed finds out.
        behind = feed.attempts > 1 and sent > feed.sent
        return Arrived(hotel_id=feed.hotel_id, sent=sent, attempts=int(behind))


def _last_positions(events: Iterable[Envelope]) -> dict[HotelId, int]:
    return {event.hotel_id: event.position for event in events if event.position is not None}


def _said(error: Exception) -> str:
    # Only our own texts are known to hold no personal data.
    return str(error) if isinstance(error, HotelcoreError) else type(error).__name__


def news_of(events: Iterable[Envelope], subscriptions: Subscriptions) -> Iterator[News]:
    """Say which subscription has to hear of which records, each once."""
    spans: dict[tuple[HotelId, str, UUID], tuple[int, int]] = {}
    for event in events:
        for name in subscriptions.names_of(event.name):
            record = event.hotel_id, name, event.key
            first, last = spans.get(record, (event.sequence, event.sequence))
            spans[record] = min(first, event.sequence), max(last, event.sequence)
    for (hotel_id, name, key), (first, last) in spans.items():
        yield News(hotel_id=hotel_id, subscription=name, key=key, first=first, last=last)
