"""What an audit entry shows of a change, and what it keeps for who may see it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotelcore import wire
from hotelcore.domain.audit import HIDDEN, Change, check_record, personal_between, text_of_change
from hotelcore.domain.fields import Attributes
from hotelcore.domain.guests import Guest
from hotelcore.errors import InvalidInput
from hotelcore.ids import GuestId, HotelId, new_id

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
ADA = Guest(
    id=GuestId(new_id()),
    hotel_id=HotelId(new_id()),
    last_name="Lovelace",
    first_name="Ada",
    email="ada@example.com",
    created_at=NOON,
)


def change(before: Guest | None, after: Guest | None) -> Change:
    """Return the change as it is read from the log."""
    return wire.decode(json.loads(text_of_change("guest", ADA.id, before, after)), Change)


def test_a_new_record_shows_what_it_has() -> None:
    """Fields without a value are left out where nothing was before; personal ones are hidden."""
    noted = change(None, ADA)
    assert (noted.resource, noted.resource_id, noted.before) == ("guest", ADA.id, None)
    assert noted.after == {
        "last_name": HIDDEN,
        "first_name": HIDDEN,
        "email": HIDDEN,
        "vip": False,
        "attributes": HIDDEN,
        "created_at": "2026-06-01T12:00:00Z",
    }
    erased = change(ADA, None)
    assert (erased.before, erased.after) == (noted.after, None)


def test_a_change_shows_both_sides_of_what_differs() -> None:
    """What became None is shown as None on its side, and what is equal on neither."""
    after = attrs.evolve(ADA, email=None, vip=True, version=2)
    noted = change(ADA, after)
    assert noted.before == {"email": HIDDEN, "vip": False}
    assert noted.after == {"email": None, "vip": True}


def test_a_flag_that_was_a_number_is_a_change() -> None:
    """What differs in JSON is shown, though Python takes 1 and True for the same."""
    before, after = (attrs.evolve(ADA, attributes=Attributes({"pet": pet})) for pet in (1, True))
    assert change(before, after).after == {"attributes": HIDDEN}
    assert personal_between(before, after) == [
        {"attributes": {"pet": 1}},
        {"attributes": {"pet": True}},
    ]


def test_what_is_personal_is_kept_apart() -> None:
    """The values of personal fields are kept where they differ, both sides; None of none."""
    after = attrs.evolve(ADA, email=None, first_name="Augusta", vip=True)
    assert personal_between(ADA, after) == [
        {"first_name": "Ada", "email": "ada@example.com"},
        {"first_name": "Augusta"},
    ]
    assert personal_between(None, ADA) == [
        {},
        {
            "last_name": "Lovelace",
            "first_name": "Ada",
            "email": "ada@example.com",
            "attributes": {},
        },
    ]
    assert personal_between(ADA, attrs.evolve(ADA, vip=True)) is None
    assert personal_between(None, None) is None


@given(st.sampled_from(["Augusta", "Ada"]), st.booleans(), st.none() | st.just("ada@example.com"))
def test_what_was_hidden_can_be_put_back(first: str, vip: bool, email: str | None) -> None:
    """A change with its personal data in place is the change as it really was."""
    after = attrs.evolve(ADA, first_name=first, vip=vip, email=email)
    noted = attrs.evolve(change(ADA, after), sealed="c2VhbGVk")
    kept: Any = personal_between(ADA, after) or [{}, {}]  # Any: JSON
    shown = noted.revealed(*kept)
    assert shown.sealed is None
    assert (shown.resource, shown.resource_id) == (noted.resource, noted.resource_id)
    for side, guest in ((shown.before, ADA), (shown.after, after)):
        assert isinstance(side, dict)
        assert side == {
            name: getattr(guest, name)
            for name in ("first_name", "email", "vip")
            if getattr(ADA, name) != getattr(after, name)
        }


@given(st.booleans(), st.sampled_from(["a", 'é"\\\n', "\x7f"]), st.none() | st.just(ADA.id))
def test_the_text_of_a_change_is_the_canonical_one(new: bool, value: str, whose: GuestId) -> None:
    """It is the text that a verification makes of what the database gives back."""
    after = attrs.evolve(ADA, attributes=Attributes({"k": value}), country=value[:1] * 2, vip=True)
    written = text_of_change(
        value, ADA.id, None if new else ADA, after, guest_id=whose, sealed="c2VhbGVk"
    )
    assert written == wire.text_of_encoded(json.loads(written))


@pytest.mark.parametrize(
    ("resource", "record", "whose"),
    [("", ADA.id, None), ("x" * 51, ADA.id, None), ("guest", "1", None), ("guest", ADA.id, "1")],
)
def test_a_change_of_no_record_is_refused(resource: Any, record: Any, whose: Any) -> None:
    """What it is of has a name of at most 50 characters, and an id; a text is none."""
    with pytest.raises(InvalidInput):
        check_record(resource, record, whose)


def test_more_than_a_change_may_hold_is_refused() -> None:
    """What is written can be read again: so much is never sealed into one change."""
    with pytest.raises(InvalidInput) as refused:
        text_of_change("guest", ADA.id, None, ADA, sealed="c" * (2**20 + 1))
    assert refused.value.field == "sealed"


@pytest.mark.parametrize("nothing", [None, []])
def test_what_is_no_record_stays_as_it_is(nothing: Any) -> None:  # Any: JSON
    """Where there was no record, or nothing is kept, nothing is put back."""
    noted = change(None, ADA)
    shown = noted.revealed({"last_name": "Lovelace"}, nothing)
    assert (shown.before, shown.after) == (None, noted.after)
