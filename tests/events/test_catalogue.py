"""The catalogue is closed, keeps its wire forms for ever, and names no guest."""

from __future__ import annotations

import json
from datetime import date
from enum import Enum
from inspect import isclass
from pathlib import Path
from types import NoneType
from typing import Any, ClassVar, NewType, get_args
from uuid import UUID

import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from hotelcore import Money
from hotelcore.errors import InvalidInput
from hotelcore.events import catalogue as fact
from hotelcore.events.catalogue import (
    CATALOGUE,
    Event,
    catalogue_of,
    event_of,
    payload,
    wire_fields,
)
from hotelcore.events.upcasting import opened
from hotelcore.wire import Json
from tests.events.golden_events import FOLDER, GOLDEN, golden
from tests.events.strategies import events, storable_text

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "events.md"

WIRE = """
pms.room.synced             hotelId roomId externalId
pms.guest.synced            hotelId guestId externalId
pms.booking.synced          hotelId bookingId externalId
booking.created             hotelId bookingId confirmationNumber guestId roomTypeId arrival
                            departure total channel
booking.updated             hotelId bookingId confirmationNumber arrival departure total status
booking.roomAssigned        hotelId bookingId roomId previousRoomId
booking.cancelled           hotelId bookingId confirmationNumber fee refund nightsReleased reason
booking.noShow              hotelId bookingId confirmationNumber fee nightsReleased
charge.posted               hotelId bookingId folioId lineId code amount serviceDate
charge.voided               hotelId bookingId folioId lineId voidedLineId amount
folio.closed                hotelId bookingId folioId
pms.external.connected      hotelId configId vendor
pms.external.disconnected   hotelId configId vendor

booking.checkedIn           hotelId bookingId roomId businessDate
booking.checkedOut          hotelId bookingId roomId businessDate nightsReleased
booking.reinstated          hotelId bookingId confirmationNumber arrival departure
allowance.granted           hotelId bookingId folioId lineId chargeLineId amount
allowance.voided            hotelId bookingId folioId lineId voidedLineId amount
payment.received            hotelId bookingId folioId lineId method amount
payment.refunded            hotelId bookingId folioId lineId paymentLineId amount
room.statusChanged          hotelId roomId previous condition
housekeeping.taskCompleted  hotelId taskId roomId kind
businessDay.closed          hotelId businessDate nextBusinessDate roomsSold roomRevenue
"""
"""Every event with its fields: the original's names, and below them those beside them."""

CODES = {"channel", "code", "kind", "method", "status", "vendor"}
"""Text that comes from a list, of the library's or the host's."""

NUMBERS = {"confirmation_number", "external_id"}
"""Text by which a system calls a record."""

FREE_TEXT = {("booking.cancelled", "reason")}
"""What somebody wrote; the operations that take it ask to name nobody."""


# -- a closed list ------------------------------------------------------------------------------


def test_every_wire_name_and_field_is_there() -> None:
    """The catalogue has the original's events with its fields, those beside them, and no other."""
    wanted: dict[str, list[str]] = {}
    name = ""
    for word in WIRE.split():
        if "." in word:
            name, wanted[word] = word, []
        else:
            wanted[name].append(word)
    assert {name: list(wire_fields(kind)) for name, kind in CATALOGUE.items()} == wanted


def test_every_event_class_is_in_the_catalogue() -> None:
    """A class that has a wire name is enlisted under it, and exported."""
    classes = [item for item in vars(fact).values() if isclass(item) and issubclass(item, Event)]
    assert {kind.wire_name: kind for kind in classes if "wire_name" in vars(kind)} == CATALOGUE
    assert {kind.__name__ for kind in CATALOGUE.values()} <= set(fact.__all__)


@frozen(kw_only=True)
class Nameless(fact.BookingCreated):
    """An event that only inherits a wire name."""


@frozen(kw_only=True)
class Misnamed(Event):
    """An event whose wire name is no name."""

    wire_name: ClassVar[str] = "Booking created"


@frozen(kw_only=True)
class Impostor(Event):
    """An event with the wire name of another."""

    wire_name: ClassVar[str] = "booking.created"


@frozen(kw_only=True)
class Unborn(Event):
    """An event before its first version."""

    wire_name: ClassVar[str] = "booking.dreamt"
    version: ClassVar[int] = 0


@pytest.mark.parametrize(
    ("kinds", "field"),
    [
        ([Event], "wire_name"),
        ([Nameless], "wire_name"),
        ([Misnamed], "wire_name"),
        ([fact.BookingCreated, Impostor], "wire_name"),
        ([Unborn], "version"),
    ],
)
def test_a_catalogue_refuses_what_it_cannot_tell_apart(
    kinds: list[type[Event]], field: str
) -> None:
    """A class without a name of its own, a second one of a name, and no version are refused."""
    with pytest.raises(InvalidInput) as refused:
        catalogue_of(*kinds)
    assert refused.value.field == field
    assert kinds[-1].__name__ in str(refused.value)


def test_a_catalogue_cannot_be_added_to() -> None:
    """Nobody slips an event in behind the library's back."""
    with pytest.raises(TypeError):
        CATALOGUE["booking.dreamt"] = Unborn  # type: ignore[index]  # the misuse under test


# -- the wire form ------------------------------------------------------------------------------


def test_every_version_has_a_golden_file() -> None:
    """Each version that an event has had lies in a file, and no file is left over."""
    versions = {
        f"{name}.v{version}"
        for name, kind in CATALOGUE.items()
        for version in range(1, kind.version + 1)
    }
    assert {path.name.removesuffix(".json") for path in FOLDER.iterdir()} == versions
    assert set(GOLDEN) == versions


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_a_golden_file_opens_to_its_event(name: str) -> None:
    """A stored event of any version opens to what its class says now."""
    wire_name, _, version = name.rpartition(".v")
    assert opened(wire_name, int(version), golden(name)) == GOLDEN[name]


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_an_event_is_written_as_its_golden_file(name: str) -> None:
    """The newest version is written exactly so, field for field."""
    file = f"{name}.v{CATALOGUE[name].version}"
    assert payload(GOLDEN[file]) == golden(file)


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_a_field_is_null_only_where_its_golden_file_has_it_so(name: str) -> None:
    """A field that may be missing where it never was is a new version."""
    kind = CATALOGUE[name]
    whole = golden(f"{name}.v{kind.version}")
    for field in (field for field, value in whole.items() if value is not None):
        with pytest.raises(InvalidInput, match=f"^{field}: "):
            event_of(kind, whole | {field: None})


@given(event=events)
def test_a_payload_comes_back_as_its_event(event: Event) -> None:
    """Whatever the values, also through JSON text."""
    text = json.dumps(payload(event))
    assert event_of(type(event), json.loads(text)) == event


@given(event=events, data=st.data())
def test_a_payload_of_other_fields_is_refused(event: Event, data: st.DataObject) -> None:
    """A field too few, too many or of another type is named, and nothing is guessed."""
    whole = payload(event)
    name = data.draw(st.sampled_from(sorted(whole)))
    missing = {field: value for field, value in whole.items() if field != name}
    for wrong in (missing, whole | {name: 1.5}, whole | {name: ["x"]}, missing | {"extra": 1}):
        with pytest.raises(InvalidInput) as refused:
            event_of(type(event), wrong)  # type: ignore[arg-type]  # a float never travels
        assert refused.value.field == name
    with pytest.raises(InvalidInput, match=r"extra: is no field"):
        event_of(type(event), whole | {"extra": 1})


@pytest.mark.parametrize("wrong", [None, "text", 1, [], [["hotelId", "x"]]])
def test_a_payload_is_an_object(wrong: Any) -> None:  # any JSON
    """Other JSON is refused as what it is."""
    with pytest.raises(InvalidInput, match="payload: must be an object"):
        event_of(fact.FolioClosed, wrong)


def test_a_refusal_names_the_field_inside_a_field() -> None:
    """An amount in a currency that does not exist is refused with the path to it."""
    wrong: Json = {**golden("charge.posted.v1"), "amount": {"minor": 1, "currency": 5}}
    with pytest.raises(InvalidInput) as refused:
        event_of(fact.ChargePosted, wrong)
    assert refused.value.field == "amount.currency"


@given(value=storable_text.filter(lambda text: len(text) > 8))
def test_a_refusal_repeats_nothing_of_a_payload(value: str) -> None:
    """Neither a value nor what a stranger called a field gets into an error."""
    whole = golden("booking.created.v1")
    secret = f"<{value}>"
    changes: list[dict[str, Json]] = [{"arrival": secret}, {"total": {secret: 1}}, {secret: 1}]
    for change in changes:
        with pytest.raises(InvalidInput) as refused:
            event_of(fact.BookingCreated, {**whole, **change})
        assert secret not in str(refused.value)
        assert refused.value.__cause__ is None


# -- what may be in it --------------------------------------------------------------------------


def parts_of(kind: object) -> set[object]:
    """Return the plain types of which a field's type is made."""
    if isinstance(kind, NewType):
        return parts_of(kind.__supertype__)
    if get_args(kind):
        return set().union(*map(parts_of, get_args(kind)))
    return {Enum} if isclass(kind) and issubclass(kind, Enum) else {kind}


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_no_field_can_hold_personal_data(name: str) -> None:
    """Fields are ids, dates, money, counts and conditions; every text is accounted for by name."""
    for field in wire_fields(CATALOGUE[name]).values():
        parts = parts_of(field.type)
        if str in parts:
            assert field.name in CODES | NUMBERS or (name, field.name) in FREE_TEXT
        assert parts <= {UUID, date, Money, int, Enum, NoneType, str}


@given(event=events)
def test_an_event_belongs_to_a_hotel_and_a_record(event: Event) -> None:
    """Every event carries the hotel's id and the id of the record that keys it."""
    whole = payload(event)
    assert whole["hotelId"] == str(event.hotel_id)
    assert str(event.key) in whole.values()


def test_the_reference_lists_every_event() -> None:
    """The page's table has each event with its class, key and fields, in the catalogue's order."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in PAGE.read_text("utf-8").splitlines()
        if line.startswith("| `") and line.count("|") == 5
    ]
    assert rows == [
        [
            f"`{name}`",
            f"`{kind.__name__}`",
            next(f"`{key}`" for key, f in wire_fields(kind).items() if f.name == kind.keyed_by),
            ", ".join(f"`{field}`" for field in wire_fields(kind) if field != "hotelId"),
        ]
        for name, kind in sorted(CATALOGUE.items())
    ]
