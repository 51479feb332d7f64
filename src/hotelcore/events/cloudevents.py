"""Stored events as CloudEvents 1.0 in binary mode: attributes as headers, the payload as body.

https://github.com/cloudevents/spec is the specification. Of its documented extensions these are
used: partitioning, sequence, correlation, distributed tracing. ``position`` is one of our own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from urllib.parse import quote, unquote
from uuid import UUID

from attrs import frozen

from hotelcore import wire
from hotelcore.domain.fields import MOST
from hotelcore.errors import InvalidInput
from hotelcore.events.envelope import Envelope
from hotelcore.events.trace import Trace
from hotelcore.ids import EventId, HotelId

__all__ = [
    "ATTRIBUTES",
    "CONTENT_TYPE",
    "Attribute",
    "Binding",
    "envelope_of",
    "headers_and_body",
    "type_of",
]

CONTENT_TYPE = "application/json"
"""What every body is."""


class Binding(Enum):
    """How a protocol carries the attributes, by the bindings that CloudEvents has.

    ``NATS`` has ASCII headers alone, all else percent-encoded, so it also serves a protocol for
    which CloudEvents has no binding. ``AMQP`` has the content type as a property of the message,
    which is for the caller to set.
    """

    NATS = "ce-", "ce-datacontenttype"
    KAFKA = "ce_", "content-type"
    AMQP = "cloudEvents_", None

    def __init__(self, prefix: str, content_type: str | None) -> None:
        self.prefix = prefix
        self.content_type = content_type


_SOURCE, _TYPE = "/hotels/", "hotelcore."
_ID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_DATE, _TIME = "[0-9]{4}-[0-9]{2}-[0-9]{2}", r"[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{6})?"
_TRACE = "[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"
_NAME, _VERSION = r"[A-Za-z.]{1,100}", r"v[1-9][0-9]{0,8}"


@frozen
class Attribute:
    """One attribute: its name, what it stands for, and the text it holds as a regular expression.

    An ``optional`` one is missing where there is nothing to say.
    """

    name: str
    meaning: str
    pattern: str
    optional: bool = False


ATTRIBUTES = (
    Attribute("specversion", "the version of CloudEvents", r"1\.0"),
    Attribute("id", "the event", _ID),
    Attribute("source", "the hotel", _SOURCE + _ID),
    Attribute("type", "the event's wire name and version", rf"hotelcore\.{_NAME}\.{_VERSION}"),
    Attribute("time", "when it happened, UTC", f"{_DATE}T{_TIME}Z"),
    Attribute("subject", "the record that it is about", _ID),
    Attribute("partitionkey", "hotel and record, the scope of the order", f"{_ID}/{_ID}"),
    Attribute("sequence", "its place among the record's events", "[0-9]{10}"),
    Attribute("position", "its place in the hotel's log", "[0-9]{19}", optional=True),
    Attribute("correlationid", "the host's name for the work", r"[^\x00]+", optional=True),
    Attribute("causationid", "the event that it answers", _ID, optional=True),
    Attribute("traceparent", "the trace that it belongs to", _TRACE, optional=True),
)
"""Every attribute but the content type."""

# All printable ASCII but the double quote and the percent sign.
_SAFE = "".join(set(map(chr, range(0x21, 0x7F))) - {'"', "%"})
_PERCENT_ENCODED = re.compile("(?:[!#$&-~]|%[0-9A-Fa-f]{2})*")

# -- to a message ------------------------------------------------------------------------------


def headers_and_body(
    envelope: Envelope, binding: Binding = Binding.NATS
) -> tuple[dict[str, str], bytes]:
    """Return the message of ``envelope`` for a protocol of ``binding``."""
    headers = {
        binding.prefix + name: _sealed(value, binding)
        for name, value in _attributes(envelope).items()
        if value is not None
    }
    if binding.content_type is not None:
        headers[binding.content_type] = CONTENT_TYPE
    return headers, wire.canonical(envelope.payload)


def type_of(name: str, version: int) -> str:
    """Return the ``type`` of an event, of which another version is another type."""
    return f"{_TYPE}{name}.v{version}"


def _attributes(envelope: Envelope) -> dict[str, str | None]:
    causation, position = envelope.causation_id, envelope.position
    return {
        "specversion": "1.0",
        "id": str(envelope.id),
        "source": f"{_SOURCE}{envelope.hotel_id}",
        "type": type_of(envelope.name, envelope.version),
        "time": str(wire.encode(envelope.occurred_at)),
        "subject": str(envelope.key),
        "partitionkey": f"{envelope.hotel_id}/{envelope.key}",
        # Filled up with zeros, so that the texts sort like the numbers.
        "sequence": f"{envelope.sequence:010}",
        "position": None if position is None else f"{position:019}",
        "correlationid": envelope.correlation_id,
        "causationid": None if causation is None else str(causation),
        "traceparent": envelope.traceparent,
    }


def _sealed(value: str, binding: Binding) -> str:
    return quote(value, safe=_SAFE) if binding is Binding.NATS else value


# -- from a message ----------------------------------------------------------------------------

# A broker may change the partition key or take it away, as its extension says.
_READ = {a: re.compile(a.pattern) for a in ATTRIBUTES if a.name != "partitionkey"}


def envelope_of(
    headers: Mapping[str, str], body: bytes, binding: Binding = Binding.NATS
) -> Envelope:
    """Return the envelope that `headers_and_body` made this message of.

    Other headers and attributes may stand beside its own. Raises `InvalidInput`, which names the
    attribute that is missing or is not as `headers_and_body` writes it; the body is ``data``.
    """
    texts = _texts(headers, binding)
    trace = _trace(texts)
    name, version = texts["type"].removeprefix(_TYPE).rsplit(".v", 1)
    return Envelope(
        id=EventId(UUID(texts["id"])),
        hotel_id=HotelId(UUID(texts["source"].removeprefix(_SOURCE))),
        name=name,
        version=int(version),
        key=UUID(texts["subject"]),
        sequence=_number("sequence", texts["sequence"], MOST),
        position=_number("position", texts["position"], 2**63 - 1) if "position" in texts else None,
        occurred_at=_instant(texts["time"]),
        correlation_id=trace.correlation_id,
        causation_id=trace.causation_id,
        traceparent=trace.traceparent,
        payload=_payload(body),
    )


def _texts(headers: Mapping[str, str], binding: Binding) -> dict[str, str]:
    if binding.content_type is not None and headers.get(binding.content_type) != CONTENT_TYPE:
        raise InvalidInput("datacontenttype", f"must be {CONTENT_TYPE}, as in binary mode")
    texts = {}
    for attribute, pattern in _READ.items():
        name = attribute.name
        value = headers.get(binding.prefix + name)
        if value is not None:
            texts[name] = _opened(name, value, binding)
            if not pattern.fullmatch(texts[name]):
                raise InvalidInput(name, f"must look like {attribute.pattern}")
        elif not attribute.optional:
            raise InvalidInput(name, "is missing")
    return texts


def _opened(name: str, value: object, binding: Binding) -> str:
    if not isinstance(value, str):
        raise InvalidInput(name, "must be text")
    if binding is not Binding.NATS:
        return value
    if not _PERCENT_ENCODED.fullmatch(value):
        raise InvalidInput(name, "must be ASCII, with all else percent-encoded")
    try:
        return unquote(value, errors="strict")
    except UnicodeDecodeError:
        raise InvalidInput(name, "must be UTF-8 where it is percent-encoded") from None


def _trace(texts: Mapping[str, str]) -> Trace:
    causation = texts.get("causationid")
    try:
        return Trace(
            correlation_id=texts.get("correlationid"),
            causation_id=None if causation is None else EventId(UUID(causation)),
            traceparent=texts.get("traceparent"),
        )
    except InvalidInput as error:
        raise InvalidInput(error.field.replace("_", ""), error.reason) from None


def _number(name: str, digits: str, most: int) -> int:
    number = int(digits)
    if not 1 <= number <= most:
        raise InvalidInput(name, f"must be from 1 to {most}")
    return number


def _instant(text: str) -> datetime:
    try:
        return wire.decode(text, datetime)
    except InvalidInput as error:
        raise InvalidInput("time", error.reason) from None


def _payload(body: bytes) -> wire.Json:
    try:
        # Only checks: without it a float, or text that no database stores, would be found too late.
        payload = wire.encode(json.loads(body.decode()))
    except InvalidInput as error:
        raise InvalidInput("data", error.reason) from None
    except ValueError:
        raise InvalidInput("data", "must be JSON in UTF-8") from None
    except RecursionError:
        raise InvalidInput("data", "nests too deep") from None
    if not isinstance(payload, dict):
        raise InvalidInput("data", "must be an object")
    return payload
