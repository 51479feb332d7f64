"""Carries stored events to another process, over an engine that already runs there.

Each adapter is a `Transport`: the relay hands it batches with `send`, and whoever consumes calls
`consume`. Delivery is at least once; the inbox on the consuming side keeps order and repetition
out of your handlers. An adapter is a module of this package and needs the extra of its engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

from hotelcore.errors import InvalidInput
from hotelcore.transports.carrying import Consumer, Transport

__all__ = ["ADAPTERS", "Consumer", "Transport", "transport_for"]

ADAPTERS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "nats": ("nats", "NatsTransport"),
        "amqp": ("rabbit", "RabbitTransport"),
        "amqps": ("rabbit", "RabbitTransport"),
        "redis": ("redis", "RedisTransport"),
        "rediss": ("redis", "RedisTransport"),
        "kafka": ("kafka", "KafkaTransport"),
        "procrastinate+postgresql": ("jobs", "JobTransport"),
    }
)
"""The module of this package and the class in it that serve a URL's scheme."""


def transport_for(url: str, *, name: str = "hotelcore") -> Transport:
    """Return the adapter for the scheme of ``url``; nothing is connected yet.

    ``name`` is what the stream, exchange, topic or queue over there is called: 1 to 64 letters,
    digits, ``-`` and ``_``. Raises `InvalidInput` for another scheme or name, and `MissingExtra`
    if the adapter's packages are not installed.
    """
    scheme, separator, _ = url.partition("://") if isinstance(url, str) else ("", "", "")
    if not separator or scheme not in ADAPTERS:
        known = ", ".join(f"{scheme}://" for scheme in ADAPTERS)
        raise InvalidInput("url", f"must begin with one of {known}")
    module, adapter = ADAPTERS[scheme]
    transport: Transport = getattr(import_module(f"{__name__}.{module}"), adapter)(url, name=name)
    return transport
