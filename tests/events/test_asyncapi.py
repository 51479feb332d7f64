"""The AsyncAPI document describes what the library sends, and nothing else would pass it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from jsonschema import Draft7Validator, FormatChecker

from hotelcore.events.asyncapi import document
from hotelcore.events.catalogue import CATALOGUE, Event, payload
from hotelcore.events.cloudevents import Binding, headers_and_body, type_of
from hotelcore.events.envelope import Envelope
from tests.events.golden_events import GOLDEN, golden
from tests.events.strategies import envelopes, events

Part = Any  # of the document, which is JSON

DOCUMENTS: dict[Binding, Part] = {binding: document(binding) for binding in Binding}
MESSAGES = sorted(type_of(name, kind.version) for name, kind in CATALOGUE.items())


def part(whole: Part, reference: str) -> Part:
    """Return what a reference inside a document points at."""
    for name in reference.removeprefix("#/").split("/"):
        whole = whole[name]
    return whole


def references(inside: Part) -> Iterator[str]:
    """Return every reference in a part of a document."""
    if isinstance(inside, dict):
        if "$ref" in inside:
            yield inside["$ref"]
        inside = list(inside.values())
    if isinstance(inside, list):
        for item in inside:
            yield from references(item)


def validator(of: str, which: str, binding: Binding = Binding.NATS) -> Draft7Validator:
    """Return what checks the ``headers`` or the ``payload`` of a message."""
    whole = DOCUMENTS[binding]
    schema = part(whole, f"#/components/messages/{of}/{which}")
    # Beside a reference all else is ignored, so the schema's own references go through `allOf`.
    rooted = {"allOf": [schema], "components": whole["components"]}
    Draft7Validator.check_schema(rooted)
    return Draft7Validator(rooted, format_checker=FormatChecker())


@pytest.mark.parametrize("binding", Binding)
def test_every_reference_leads_somewhere(binding: Binding) -> None:
    """No part of the document points at one that is not there."""
    found = list(references(DOCUMENTS[binding]))
    assert len(found) > len(MESSAGES)
    for reference in found:
        assert part(DOCUMENTS[binding], reference)


def test_every_event_is_a_message_of_the_channel() -> None:
    """The document has the newest version of each event of the catalogue, in order, and no more."""
    whole = DOCUMENTS[Binding.NATS]
    assert whole["asyncapi"] == "3.0.0"
    assert list(whole["components"]["messages"]) == MESSAGES
    assert list(whole["channels"]["events"]["messages"]) == MESSAGES
    assert whole["operations"]["tell"]["channel"] == {"$ref": "#/channels/events"}


@pytest.mark.parametrize("message", MESSAGES)
def test_a_golden_file_fits_its_schema(message: str) -> None:
    """The newest golden payload is valid; a field less, a field more or another type is not."""
    whole = golden(message.removeprefix("hotelcore."))
    schema = validator(message, "payload")
    schema.validate(whole)
    for name in whole:
        missing = {field: value for field, value in whole.items() if field != name}
        for wrong in (missing, missing | {name: 1.5}, missing | {name: ["x"]}):
            assert not schema.is_valid(wrong), name
    assert not schema.is_valid(whole | {"extra": 1})


@given(event=events)
def test_every_payload_fits_its_schema(event: Event) -> None:
    """Whatever its values, an event is described by the document."""
    message = type_of(event.wire_name, event.version)
    validator(message, "payload").validate(payload(event))


@given(envelope=envelopes())
def test_every_header_fits_its_schema(envelope: Envelope) -> None:
    """The headers of each protocol are described, and tell one event from another."""
    message = type_of(envelope.name, envelope.version)
    other = next(name for name in MESSAGES if name != message)
    for binding in Binding:
        headers, _ = headers_and_body(envelope, binding)
        validator(message, "headers", binding).validate(headers)
        assert not validator(other, "headers", binding).is_valid(headers)
        del headers[f"{binding.prefix}subject"]
        assert not validator(message, "headers", binding).is_valid(headers)


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_says_what_keeps_its_order(message: str) -> None:
    """Each message names the field of its payload that is its key."""
    told = DOCUMENTS[Binding.NATS]["components"]["messages"][message]
    event = GOLDEN[message.removeprefix("hotelcore.")]
    key = told["description"].rpartition(" ")[2].rstrip(".")
    assert payload(event)[key] == str(event.key)
    assert told["title"] == type(event).__name__


def test_the_document_is_the_same_everywhere() -> None:
    """Another process, with another order of sets, writes the same text."""
    script = (
        "import json; from hotelcore.events.asyncapi import document as d; print(json.dumps(d()))"
    )
    for seed in ("1", "2"):
        written = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        )
        assert written.stdout.decode().strip() == json.dumps(document())
