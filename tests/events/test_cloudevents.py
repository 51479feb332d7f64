"""An envelope survives every protocol's headers, and a damaged message is refused by name."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotelcore.errors import InvalidInput
from hotelcore.events.catalogue import payload
from hotelcore.events.cloudevents import (
    ATTRIBUTES,
    CONTENT_TYPE,
    Binding,
    envelope_of,
    headers_and_body,
)
from hotelcore.events.envelope import Envelope
from hotelcore.ids import EventId
from tests.events.golden_events import GOLDEN
from tests.events.strategies import HOSTILE, envelopes

OPTIONAL = {attribute.name for attribute in ATTRIBUTES if attribute.optional}
NEEDED = sorted({attribute.name for attribute in ATTRIBUTES} - OPTIONAL - {"partitionkey"})
bindings = st.sampled_from(Binding)

_created = GOLDEN["booking.created.v1"]
ENVELOPE = Envelope(
    id=EventId(_created.hotel_id),
    hotel_id=_created.hotel_id,
    name="booking.created",
    version=1,
    key=_created.key,
    sequence=7,
    position=1_234,
    occurred_at=datetime(2026, 11, 25, 9, 30, tzinfo=UTC),
    correlation_id="Euro € 😀",
    causation_id=EventId(_created.key),
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    payload=payload(_created),
)
HOTEL = "01900000-0000-7000-8000-000000000001"
BOOKING = "01900000-0000-7000-8000-000000000002"


def message(**changes: str | None) -> tuple[dict[str, Any], bytes]:  # any header's value
    """Return the example's message with some attributes changed, or taken out for None."""
    headers, body = headers_and_body(ENVELOPE)
    changed: dict[str, Any] = headers | {f"ce-{name}": text for name, text in changes.items()}
    return {name: text for name, text in changed.items() if text is not None}, body


# -- there and back -----------------------------------------------------------------------------


def test_a_message_is_what_cloudevents_says() -> None:
    """The example's headers and body, to the letter; the euro is the specification's own."""
    headers, body = headers_and_body(ENVELOPE)
    assert headers == {
        "ce-specversion": "1.0",
        "ce-id": HOTEL,
        "ce-source": f"/hotels/{HOTEL}",
        "ce-type": "hotelcore.booking.created.v1",
        "ce-time": "2026-11-25T09:30:00Z",
        "ce-subject": BOOKING,
        "ce-datacontenttype": "application/json",
        "ce-partitionkey": f"{HOTEL}/{BOOKING}",
        "ce-sequence": "0000000007",
        "ce-position": "0000000000000001234",
        "ce-correlationid": "Euro%20%E2%82%AC%20%F0%9F%98%80",
        "ce-causationid": BOOKING,
        "ce-traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }
    assert json.loads(body) == ENVELOPE.payload


@given(envelope=envelopes(), binding=bindings)
def test_an_envelope_comes_back_equal(envelope: Envelope, binding: Binding) -> None:
    """Nothing is lost in any protocol, whatever the host's correlation id is."""
    assert envelope_of(*headers_and_body(envelope, binding), binding) == envelope


@pytest.mark.parametrize("binding", Binding)
@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_correlation_id_comes_back_equal(text: str, binding: Binding) -> None:
    """Also what looks encoded already, or like the end of a header."""
    hostile = attrs.evolve(ENVELOPE, correlation_id=text)
    assert envelope_of(*headers_and_body(hostile, binding), binding) == hostile


@given(envelope=envelopes())
def test_a_header_is_printable_ascii(envelope: Envelope) -> None:
    """No correlation id can break a line, begin a header or need quoting."""
    headers, _ = headers_and_body(envelope)
    assert all(re.fullmatch(r"[!-~]+", text) and '"' not in text for text in headers.values())


@given(envelope=envelopes(), binding=bindings)
def test_a_message_has_the_attributes_that_are_listed(envelope: Envelope, binding: Binding) -> None:
    """Each has a name that CloudEvents allows, and its form; only optional ones are missing."""
    headers, _ = headers_and_body(envelope, binding)
    if binding.content_type is not None:
        assert headers.pop(binding.content_type) == CONTENT_TYPE
    listed = {binding.prefix + attribute.name: attribute for attribute in ATTRIBUTES}
    assert headers.keys() <= listed.keys()
    for name, attribute in listed.items():
        assert re.fullmatch("[a-z0-9]{1,20}", attribute.name)
        assert attribute.optional or name in headers
        assert name not in headers or re.fullmatch(attribute.pattern, headers[name])


@given(envelope=envelopes(), places=st.tuples(*[st.integers(1, 2**31 - 1)] * 2))
def test_numbers_sort_as_text(envelope: Envelope, places: tuple[int, int]) -> None:
    """A consumer that knows CloudEvents alone sees which of two events of a record came first."""
    first, second = (
        headers_and_body(attrs.evolve(envelope, sequence=place, position=place))[0]
        for place in places
    )
    for name in ("ce-sequence", "ce-position"):
        assert (first[name] < second[name]) == (places[0] < places[1])


def test_what_a_broker_adds_or_changes_does_not_matter() -> None:
    """Foreign headers, unknown attributes and another partition key are passed over."""
    headers, body = message(partitionkey="7", recordedtime="2026-11-25T09:30:01Z")
    headers |= {"Nats-Msg-Id": "9", "content-type": "", "correlation_id": "another's"}
    assert envelope_of(headers, body) == ENVELOPE
    del headers["ce-partitionkey"]
    assert envelope_of(headers, body) == ENVELOPE


def test_percent_encoding_is_read_as_cloudevents_says() -> None:
    """Small letters and more encoding than is needed are read all the same."""
    headers, body = message(correlationid="%45uro%20%e2%82%ac%20%f0%9f%98%80")
    assert envelope_of(headers, body) == ENVELOPE


# -- damaged messages ---------------------------------------------------------------------------


@pytest.mark.parametrize("binding", Binding)
@pytest.mark.parametrize("name", NEEDED)
def test_a_missing_attribute_is_named(name: str, binding: Binding) -> None:
    """A message without one of its attributes says which."""
    headers, body = headers_and_body(ENVELOPE, binding)
    del headers[binding.prefix + name]
    with pytest.raises(InvalidInput, match=f"^{name}: is missing$"):
        envelope_of(headers, body, binding)


@pytest.mark.parametrize("name", sorted(OPTIONAL))
def test_an_optional_attribute_may_be_missing(name: str) -> None:
    """What was not there to be said comes back as None."""
    found = envelope_of(*message(**{name: None}))
    assert [value for value in attrs.astuple(found) if value is None] == [None]


WRONG = {
    "specversion": ["0.3", "1.0.2", "", "1x0"],
    "id": [
        "7",
        "0190ABCD-0000-7000-8000-000000000001",
        f"{{{HOTEL}}}",
        HOTEL.replace("-", ""),
        HOTEL + "%0A",
    ],
    "source": [HOTEL, "/hotels/7", f"/hotel/{HOTEL}", f"/hotels/{HOTEL}/"],
    "type": ["booking.created", "hotelcore.booking.created", "hotelcore.booking.created.v0"]
    + ["hotelcore.booking.created.v01", "hotelcore.booking.created.v1.v", "com.hotelcore.a.v1"]
    + ["hotelcore.booking.created.v9999999999", f"hotelcore.{'a' * 101}.v1"],
    "time": ["2026-11-25", "2026-11-25T09:30:00", "2026-11-25T09:30:00+01:00"]
    + ["2026-13-25T09:30:00Z", "2026-11-25T25:30:00Z", "1795599000", "0000-01-01T00:00:00Z"],
    "subject": ["", "booking", BOOKING[:-1]],
    "sequence": ["0000000000", "7", "00000000007", "-000000007", "9999999999", "000000000%D9%A7"],
    "position": ["0000000000000000000", "1234", "9999999999999999999", "-000000000000001234"],
    "correlationid": ["", "%20", "%00", "a" * 201, "%C0%A0", "%E2%82", "100%", "%zz", "a b", "é"]
    + ['"quoted"'],
    "causationid": ["none", BOOKING[1:]],
    "traceparent": ["", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name in WRONG for text in WRONG[name]])
def test_a_wrong_attribute_is_named_and_not_quoted(name: str, text: str) -> None:
    """A value that nobody would have written is refused by its attribute's name."""
    headers, body = message(**{name: text})
    with pytest.raises(InvalidInput) as refused:
        envelope_of(headers, body)
    assert refused.value.field == name
    assert len(text) < 3 or text not in refused.value.reason
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("value", [None, 1, b"1.0", ["1.0"]])
def test_a_header_is_text(value: Any) -> None:  # whatever a client library makes of a header
    """What a client did not decode is refused."""
    headers, body = message()
    with pytest.raises(InvalidInput, match=r"^specversion: "):
        envelope_of(headers | {"ce-specversion": value}, body)


@pytest.mark.parametrize("binding", [Binding.NATS, Binding.KAFKA])
@pytest.mark.parametrize("kind", ["application/cloudevents+json", "text/plain", None])
def test_other_content_is_refused(kind: str | None, binding: Binding) -> None:
    """Structured mode and other content types are not guessed at."""
    headers, body = headers_and_body(ENVELOPE, binding)
    assert binding.content_type is not None
    del headers[binding.content_type]
    if kind is not None:
        headers[binding.content_type] = kind
    with pytest.raises(InvalidInput, match=r"^datacontenttype: must be application/json"):
        envelope_of(headers, body, binding)


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b'"text"', b'{"a": 1.5}', b'{"a": NaN}', b'{"a": "\\ud800"}', b"{"]
    + [b'{"a": "\\u0000"}', b"\xff\xfe", '{"a": 1}'.encode("utf-16"), b'{"a": ' + b"9" * 5_000]
    + [b'{"a": ' + b"9" * 5_000 + b"}", b'{"a": 9223372036854775808}', b'{"a": "\xe9"}']
    + [b'{"a": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"],
)
def test_a_wrong_body_is_refused(body: bytes) -> None:
    """What is no JSON object that the outbox could hold is refused as the data."""
    with pytest.raises(InvalidInput) as refused:
        envelope_of(message()[0], body)
    assert refused.value.field == "data"
    assert refused.value.__cause__ is None


def outcome(headers: dict[str, str], body: bytes, binding: Binding) -> Envelope | InvalidInput:
    """Return what a message holds, or its refusal; any other error fails the test."""
    try:
        return envelope_of(headers, body, binding)
    except InvalidInput as refusal:
        return refusal


@given(
    envelope=envelopes(),
    binding=bindings,
    data=st.data(),
    noise=st.text() | st.text("0123456789abcdef-:/.%TZv"),
)
def test_a_damaged_header_changes_nothing_unseen(
    envelope: Envelope, binding: Binding, data: st.DataObject, noise: str
) -> None:
    """With a piece of a header replaced, a message is refused, or it says what it now says."""
    headers, body = headers_and_body(envelope, binding)
    name = data.draw(st.sampled_from(sorted(headers)))
    begin, end = sorted(data.draw(st.tuples(*[st.integers(0, len(headers[name]))] * 2)))
    headers[name] = headers[name][:begin] + noise + headers[name][end:]
    found = outcome(headers, body, binding)
    if isinstance(found, InvalidInput):
        assert binding.prefix + found.field == name or found.field == "datacontenttype"
    else:
        again, _ = headers_and_body(found, binding)
        assert again.keys() == headers.keys()
        assert name.endswith(("partitionkey", "correlationid")) or again[name] == headers[name]


@given(envelope=envelopes(), binding=bindings, data=st.data(), noise=st.binary())
def test_a_damaged_body_changes_nothing_unseen(
    envelope: Envelope, binding: Binding, data: st.DataObject, noise: bytes
) -> None:
    """With a piece of the body replaced, a message is refused, or holds the JSON that it has."""
    headers, body = headers_and_body(envelope, binding)
    begin, end = sorted(data.draw(st.tuples(*[st.integers(0, len(body))] * 2)))
    damaged = body[:begin] + noise + body[end:]
    found = outcome(headers, damaged, binding)
    if isinstance(found, InvalidInput):
        assert found.field == "data"
    else:
        assert found == attrs.evolve(envelope, payload=json.loads(damaged))
