"""What was stored in an older version opens as the newest, and nothing else opens at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import attrs
import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from hotelcore import Money, new_id
from hotelcore.errors import InvalidInput, TenantMismatch, UnknownEvent
from hotelcore.events.catalogue import CATALOGUE, Event, catalogue_of, event_of, payload
from hotelcore.events.envelope import Envelope
from hotelcore.events.upcasting import UPCASTERS, complete, opened
from hotelcore.ids import HotelId, RoomId
from hotelcore.wire import Json
from tests.events.strategies import envelopes

HOTEL, ROOM = HotelId(new_id()), RoomId(new_id())
NAME = "minibar.emptied"


@frozen(kw_only=True)
class MinibarEmptied(Event):
    """An event that has had two older versions."""

    wire_name: ClassVar[str] = NAME
    version: ClassVar[int] = 3
    room_id: RoomId
    value: Money
    bottles: int


def with_currency(old: Mapping[str, Json]) -> dict[str, Json]:
    """Lift version 1, whose value was a count of cents."""
    new = {**old, "value": {"minor": old["cents"], "currency": "EUR"}}
    del new["cents"]
    return new


def with_bottles(old: Mapping[str, Json]) -> dict[str, Json]:
    """Lift version 2, which did not count the bottles."""
    if old["value"] == "nothing":
        raise ValueError(f"cannot lift {old}")
    return {**old, "bottles": 0}


MINIBAR = catalogue_of(MinibarEmptied)
STEPS = complete({(NAME, 1): with_currency, (NAME, 2): with_bottles}, MINIBAR)

_of_room: dict[str, Json] = {"hotelId": str(HOTEL), "roomId": str(ROOM)}
_value: Json = {"minor": 900, "currency": "EUR"}
STORED: dict[int, dict[str, Json]] = {
    1: {**_of_room, "cents": 900},
    2: {**_of_room, "value": _value},
    3: {**_of_room, "value": _value, "bottles": 0},
}


@pytest.mark.parametrize("version", STORED)
def test_every_version_opens_as_the_newest(version: int) -> None:
    """A payload goes through each step that it lacks, and comes out as the class has it now."""
    found = opened(NAME, version, STORED[version], catalogue=MINIBAR, upcasters=STEPS)
    assert found == MinibarEmptied(hotel_id=HOTEL, room_id=ROOM, value=Money(900, "EUR"), bottles=0)
    assert payload(found) == STORED[3]


@pytest.mark.parametrize("name", [NAME, "minibar.filled"])
@pytest.mark.parametrize("version", [-1, 0, 4])
def test_what_a_newer_library_wrote_is_told_apart(name: str, version: int) -> None:
    """A version that the class has not reached, and a name that nobody knows, say what to do."""
    with pytest.raises(UnknownEvent, match="update hotelcore") as unknown:
        opened(name, version, STORED[3], catalogue=MINIBAR, upcasters=STEPS)
    assert (unknown.value.name, unknown.value.version) == (name, version)


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([], "minibar.emptied from version 1 is missing"),
        ([(NAME, 1)], "minibar.emptied from version 2 is missing"),
        ([(NAME, 1), (NAME, 2), (NAME, 3)], "minibar.emptied from version 3 leads to no version"),
        ([(NAME, 1), (NAME, 2), ("booking.created", 1)], "booking.created from version 1 leads"),
    ],
)
def test_a_gap_between_versions_is_refused(steps: list[tuple[str, int]], words: str) -> None:
    """Steps must lead from every older version to the newest one, and nowhere else."""
    with pytest.raises(InvalidInput, match=words):
        complete(dict.fromkeys(steps, with_bottles), MINIBAR)


def test_the_librarys_own_steps_are_complete() -> None:
    """No event of the catalogue has a version that the library can no longer open."""
    assert complete(UPCASTERS, CATALOGUE) == UPCASTERS


@pytest.mark.parametrize(
    ("version", "stored", "field"),
    [
        (1, {**_of_room}, "payload"),
        (2, {**_of_room, "value": "nothing"}, "payload"),
        (2, {**_of_room, "value": None}, "value"),
        (2, STORED[1], "payload"),
        (2, STORED[3] | {"proof": 40}, "proof"),
        (3, STORED[2], "bottles"),
    ],
)
def test_a_payload_of_another_version_is_refused(version: int, stored: Json, field: str) -> None:
    """What does not fit a step, or what the last one returns, is an error that quotes nothing."""
    with pytest.raises(InvalidInput) as refused:
        opened(NAME, version, stored, catalogue=MINIBAR, upcasters=STEPS)
    assert refused.value.field == field
    assert str(ROOM) not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("version", STORED)
@pytest.mark.parametrize("stored", [None, "text", 7, [], ["roomId"]])
def test_a_payload_of_any_version_is_an_object(version: int, stored: Json) -> None:
    """Other JSON never reaches a step."""
    with pytest.raises(InvalidInput, match="payload: must be an object"):
        opened(NAME, version, stored, catalogue=MINIBAR, upcasters=STEPS)


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(
    stored=st.one_of(json, st.dictionaries(st.sampled_from([*STORED[1], *STORED[3]]), json)),
    version=st.integers(0, 5),
)
def test_nothing_opens_by_accident(stored: Json, version: int) -> None:
    """Any JSON either opens or is refused by an error of the library's own."""
    with pytest.raises((InvalidInput, UnknownEvent)):
        opened(NAME, version, stored, catalogue=MINIBAR, upcasters=STEPS)


# -- an envelope opens its payload --------------------------------------------------------------


@given(envelope=envelopes())
def test_an_envelope_gives_its_event(envelope: Envelope) -> None:
    """The fact in an envelope is of the class with its name, and of its hotel and record."""
    event = envelope.event()
    assert event == event_of(CATALOGUE[envelope.name], envelope.payload)
    assert (event.hotel_id, event.key) == (envelope.hotel_id, envelope.key)


@given(envelope=envelopes())
def test_an_envelope_of_another_hotel_stays_shut(envelope: Envelope) -> None:
    """What claims to be of one hotel and reports of another reaches no handler."""
    with pytest.raises(TenantMismatch):
        attrs.evolve(envelope, hotel_id=HotelId(new_id())).event()


@given(envelope=envelopes())
def test_an_envelope_of_another_record_stays_shut(envelope: Envelope) -> None:
    """What would be handled in another record's order than its own is refused."""
    with pytest.raises(InvalidInput, match="key: must be the record"):
        attrs.evolve(envelope, key=new_id()).event()


@given(envelope=envelopes())
def test_an_envelope_of_a_newer_library_says_so(envelope: Envelope) -> None:
    """A consumer that is older than the producer learns it from the error."""
    for newer in (
        attrs.evolve(envelope, version=envelope.version + 1),
        attrs.evolve(envelope, name="minibar.emptied"),
    ):
        with pytest.raises(UnknownEvent, match="update hotelcore"):
            newer.event()
