"""What a unit of work belongs to and answers, as its events carry it on."""

from __future__ import annotations

import re

from attrs import field, frozen

from hotelcore.errors import InvalidInput
from hotelcore.ids import EventId
from hotelcore.text import clean_text

__all__ = ["Trace"]

# version - trace id - parent id - flags, in lower-case hexadecimal digits
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

# CloudEvents forbids these in an attribute.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def _correlation_id(value: str | None) -> str | None:
    if value is not None and _CONTROL.search(clean_text("correlation_id", value, most=200)):
        raise InvalidInput("correlation_id", "must not contain control characters")
    return value


def _traceparent(value: str | None) -> str | None:
    if value is not None and not (isinstance(value, str) and _TRACEPARENT.fullmatch(value)):
        raise InvalidInput("traceparent", "must look like 00-<32 digits>-<16 digits>-<2 digits>")
    return value


@frozen(kw_only=True)
class Trace:
    """Where a unit of work comes from.

    ``correlation_id`` is the host's own (1 to 200 characters), ``traceparent`` that of W3C Trace
    Context (https://www.w3.org/TR/trace-context/#traceparent-header), ``causation_id`` the event
    that is being answered. Raises `InvalidInput` for text of another form.
    """

    correlation_id: str | None = field(default=None, converter=_correlation_id)
    causation_id: EventId | None = None
    traceparent: str | None = field(default=None, converter=_traceparent)
