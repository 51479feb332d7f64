"""Any event of the catalogue, and any envelope that the outbox could hold."""

from __future__ import annotations

from datetime import UTC, date
from enum import Enum
from inspect import isclass
from types import NoneType
from typing import Any, NewType, get_args
from uuid import UUID

from hypothesis import strategies as st

from hotelcore import Money
from hotelcore.domain.fields import MOST
from hotelcore.domain.money import EXPONENTS, MINOR_LIMIT
from hotelcore.events.catalogue import CATALOGUE, Event, payload, wire_fields
from hotelcore.events.envelope import Envelope

Values = st.SearchStrategy[Any]  # of whatever type a field has

storable_text = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20
)
money = st.builds(
    Money,
    st.integers(1 - MINOR_LIMIT, MINOR_LIMIT - 1),
    st.sampled_from([code for code, decimals in EXPONENTS.items() if decimals is not None]),
)
_plain: dict[object, Values] = {
    NoneType: st.none(),
    UUID: st.uuids(),
    date: st.dates(),
    Money: money,
    int: st.integers(0, MOST),
    str: storable_text,
}


def _values(kind: object) -> Values:
    if isinstance(kind, NewType):
        return _values(kind.__supertype__)
    if isclass(kind) and issubclass(kind, Enum):
        return st.sampled_from(list(kind))
    return _plain[kind] if kind in _plain else st.one_of(*map(_values, get_args(kind)))


def events_of(kind: type[Event]) -> st.SearchStrategy[Event]:
    """Return events of one class, with any values."""
    fields = wire_fields(kind).values()
    return st.builds(kind, **{field.name: _values(field.type) for field in fields})


events = st.one_of(*map(events_of, CATALOGUE.values()))

HOSTILE = ["%", "%41", "%zz", "a b", " a", '"a"', "é", "😀" * 200, "a\u2028ce-id: 7"]
"""Correlation ids that a header could break, or break out of."""

correlation_ids = st.sampled_from(HOSTILE) | st.text(
    st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=200
).filter(str.strip)
traceparents = st.from_regex("00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]", fullmatch=True)


@st.composite
def envelopes(draw: st.DrawFn) -> Envelope:
    """Return any stored event."""
    event = draw(events)
    return Envelope(
        id=draw(st.uuids()),  # type: ignore[arg-type]  # an EventId is a UUID
        hotel_id=event.hotel_id,
        name=event.wire_name,
        version=event.version,
        key=event.key,
        sequence=draw(st.integers(1, MOST)),
        position=draw(st.none() | st.integers(1, 2**63 - 1)),
        occurred_at=draw(st.datetimes(timezones=st.just(UTC))),
        correlation_id=draw(st.none() | correlation_ids),
        causation_id=draw(st.none() | st.uuids()),  # type: ignore[arg-type]  # as above
        traceparent=draw(st.none() | traceparents),
        payload=payload(event),
    )
