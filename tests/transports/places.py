"""Where the tests of the transports find their brokers, and how they clean up behind them."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from urllib.parse import urlsplit
from uuid import uuid4

import aio_pika
import nats
import psycopg
import pytest
from attrs import field, frozen
from nats.js.errors import NotFoundError
from redis.asyncio import Redis
from sqlalchemy import make_url

from hotelcore import new_id
from hotelcore.events.catalogue import FolioClosed, payload
from hotelcore.events.envelope import Envelope
from hotelcore.ids import BookingId, EventId, FolioId, HotelId
from hotelcore.transports import Transport
from hotelcore.transports.jobs import JobTransport
from hotelcore.transports.nats import NatsTransport
from hotelcore.transports.rabbit import RabbitTransport
from hotelcore.transports.redis import RedisTransport
from tests.transports.proxy import Proxy

BROKERS: Mapping[str, tuple[str, str]] = {
    "nats": ("HOTELCORE_TEST_NATS", "nats://127.0.0.1:4222"),
    "rabbit": ("HOTELCORE_TEST_RABBIT", "amqp://guest:guest@127.0.0.1:5672/"),
    "redis": ("HOTELCORE_TEST_REDIS", "redis://127.0.0.1:6379"),
}
"""The environment variable that names each broker's URL, and the URL where it names none."""

KINDS = (*BROKERS, "jobs")

GROUPS = ("desk", "board")
"""The groups that the tests consume in."""

REDELIVER_SECONDS = 0.6
"""How soon what nobody acknowledged goes to another consumer, where that is a matter of time."""

_ADAPTERS: Mapping[str, Callable[..., Transport]] = {  # each has options of its own
    "nats": NatsTransport,
    "rabbit": RabbitTransport,
    "redis": RedisTransport,
    "jobs": JobTransport,
}
_OPTIONS: Mapping[str, Mapping[str, object]] = {
    "nats": {"redeliver_after": REDELIVER_SECONDS},
    "rabbit": {},
    "redis": {"redeliver_after": REDELIVER_SECONDS},
    "jobs": {"redeliver_after": REDELIVER_SECONDS, "groups": GROUPS[:1]},
}


@frozen(kw_only=True)
class Place:
    """A stream, exchange or queue of its own on one broker."""

    kind: str
    url: str
    name: str = field(factory=lambda: f"test-{uuid4().hex[:20]}")

    def transport(self, **changes: object) -> Transport:
        """Return a new transport to this place."""
        url = changes.pop("url", self.url)
        return _ADAPTERS[self.kind](url, name=self.name, **{**_OPTIONS[self.kind], **changes})

    def unhurried_transport(self, **changes: object) -> Transport:
        """Return a transport that gives nothing out twice only because the machine is busy."""
        timed = "redeliver_after" in _OPTIONS[self.kind]
        return self.transport(**changes, **({"redeliver_after": 60.0} if timed else {}))

    @contextmanager
    def another_way(self) -> Generator[tuple[Proxy, str]]:
        """Give a proxy before this broker, and the URL that leads through it."""
        scheme, _, rest = self.url.partition("://")
        address = make_url(f"broker://{rest}")
        host = address.query.get("host", address.host)
        assert isinstance(host, str)
        port = address.port or 5432
        with Proxy(f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, port)) as proxy:
            way = address.set(drivername="broker", host="127.0.0.1", port=proxy.port, query={})
            text = way.render_as_string(hide_password=False)
            yield proxy, text.replace("broker", scheme, 1)

    def waiting(self, group: str) -> int:
        """Count the events that are still to be acknowledged in a group without a consumer."""
        return asyncio.run(_WAITING[self.kind](self, group))

    def cleared(self) -> None:
        """Delete from the broker what the tests left there; a database goes as a whole."""
        if self.kind in _CLEAR:
            asyncio.run(_CLEAR[self.kind](self))


def stored(count: int) -> list[Envelope]:
    """Return events of one booking as the outbox holds them, in their order."""
    event = FolioClosed(
        hotel_id=HotelId(new_id()), booking_id=BookingId(new_id()), folio_id=FolioId(new_id())
    )
    return [
        Envelope(
            id=EventId(new_id()),
            hotel_id=event.hotel_id,
            name=event.wire_name,
            version=event.version,
            key=event.key,
            sequence=number,
            position=number,
            occurred_at=datetime(2026, 1, 1, tzinfo=UTC),
            correlation_id=None,
            causation_id=None,
            traceparent=None,
            payload=payload(event),
        )
        for number in range(1, count + 1)
    ]


def place_on(kind: str) -> Place:
    """Return a place on a broker, or say visibly that there is none: in CI as a failure."""
    variable, standard = BROKERS[kind]
    url = os.environ.get(variable, standard)
    address = urlsplit(url)
    try:
        with closing(socket.create_connection((address.hostname, address.port), timeout=1)):
            return Place(kind=kind, url=url)
    except OSError:
        missing = f"no {kind} broker at {address.hostname}:{address.port}: {variable} names another"
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    # A developer without this broker still runs the rest; in CI, above, it is a failure.
    pytest.skip(missing)


# -- what each broker knows ----------------------------------------------------------------------


async def _waiting_on_nats(place: Place, group: str) -> int:
    async with await nats.connect(place.url) as client:
        told = await client.jetstream().consumer_info(place.name, group)
        return (told.num_pending or 0) + (told.num_ack_pending or 0)


async def _waiting_on_rabbit(place: Place, group: str) -> int:
    async with await aio_pika.connect(place.url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(f"{place.name}.{group}", passive=True)
        return queue.declaration_result.message_count or 0


async def _waiting_on_redis(place: Place, group: str) -> int:
    async with Redis.from_url(place.url) as client:
        [told] = await client.xinfo_groups(place.name)
        return int(told["pending"]) + int(told["lag"])


async def _waiting_as_jobs(place: Place, group: str) -> int:
    url = place.url.removeprefix("procrastinate+")
    async with await psycopg.AsyncConnection.connect(url) as connection:
        found = await connection.execute("SELECT 1 FROM procrastinate_jobs")
        return found.rowcount


async def _clear_nats(place: Place) -> None:
    async with await nats.connect(place.url) as client:
        with suppress(NotFoundError):  # nothing was sent
            await client.jetstream().delete_stream(place.name)


async def _clear_rabbit(place: Place) -> None:
    async with await aio_pika.connect(place.url) as connection:
        channel = await connection.channel()
        for group in GROUPS:
            await channel.queue_delete(f"{place.name}.{group}")
        await channel.exchange_delete(place.name)


async def _clear_redis(place: Place) -> None:
    async with Redis.from_url(place.url) as client:
        await client.delete(place.name)


_WAITING = {
    "nats": _waiting_on_nats,
    "rabbit": _waiting_on_rabbit,
    "redis": _waiting_on_redis,
    "jobs": _waiting_as_jobs,
}
_CLEAR = {"nats": _clear_nats, "rabbit": _clear_rabbit, "redis": _clear_redis}
