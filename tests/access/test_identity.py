"""From verified claims to an actor: strictly, and with one refusal for everything else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotelcore import Role, new_id
from hotelcore.errors import IdentityRefused, InvalidInput
from hotelcore.identity import ClaimNames, actor_from_claims
from tests.access.tokens import CANARY, assert_silent

GOOD: Mapping[str, object] = {"sub": "ana", "hotel_id": str(new_id()), "role": "reception"}

subjects = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(
    subject=subjects.filter(lambda text: bool(text.strip())),
    hotel_id=st.uuids(),
    role=st.from_regex(r"[a-z][a-z0-9_]{0,19}", fullmatch=True) | st.sampled_from(Role),
    more=st.dictionaries(st.text(), json_values, max_size=3),
)
def test_good_claims_are_an_actor(
    subject: str, hotel_id: UUID, role: str, more: dict[str, object]
) -> None:
    """Subject, hotel and role are taken as they are, and nothing else is looked at."""
    actor = actor_from_claims({**more, "sub": subject, "hotel_id": str(hotel_id), "role": role})
    assert (actor.subject, actor.hotel_id, actor.role) == (subject, hotel_id, role)


@given(claim=st.sampled_from(sorted(GOOD)), value=json_values | st.binary() | st.uuids())
def test_any_other_value_is_refused(claim: str, value: object) -> None:
    """Whatever stands in a claim, it is either right or refused by the claim's name."""
    try:
        actor = actor_from_claims({**GOOD, claim: value})
    except IdentityRefused as refused:
        reason, named = refused.reason, refused.claim
        context = (refused.__cause__, refused.__context__)
    else:
        assert isinstance(value, str)
        assert str({"sub": actor.subject, "role": actor.role}.get(claim, value)) == value
        return
    assert (reason, named) == ("claim_missing" if value is None else "claim_malformed", claim)
    assert context == (None, None)


@pytest.mark.parametrize("claim", GOOD)
def test_a_missing_claim_is_refused(claim: str) -> None:
    """Each of the three has to be there."""
    with pytest.raises(IdentityRefused) as refused:
        actor_from_claims({name: value for name, value in GOOD.items() if name != claim})
    assert (refused.value.reason, refused.value.claim) == ("claim_missing", claim)


@pytest.mark.parametrize("nothing", [None, [], "sub", 7, [("sub", "ana")]])
def test_what_are_no_claims_is_refused(nothing: Any) -> None:  # Any: refused at run time
    """Somebody who is not logged in at all is refused like anybody else."""
    with pytest.raises(IdentityRefused):
        actor_from_claims(nothing)


@pytest.mark.parametrize(
    "spelt",
    [
        "{{{}}}",
        "urn:uuid:{}",
        " {}",
        "{}\n",
        "{}0",
    ],
)
def test_a_hotel_has_one_spelling(spelt: str) -> None:
    """What Python would read as a UUID too is refused, but for capital letters."""
    hotel_id = UUID(str(GOOD["hotel_id"]))
    for text in (spelt.format(hotel_id), hotel_id.hex, str(hotel_id)[:-1]):
        with pytest.raises(IdentityRefused) as refused:
            actor_from_claims({**GOOD, "hotel_id": text})
        assert refused.value.claim == "hotel_id"
    assert actor_from_claims({**GOOD, "hotel_id": str(hotel_id).upper()}).hotel_id == hotel_id


@pytest.mark.parametrize(
    "malformed",
    [
        {"sub": CANARY * 20},
        {"sub": f"{CANARY}\0"},
        {"sub": f"{CANARY}\ud800"},
        {"sub": [CANARY]},
        {"hotel_id": CANARY},
        {"hotel_id": {CANARY: CANARY}},
        {"role": CANARY},
        {"role": [CANARY]},
    ],
)
def test_a_refusal_shows_no_value(malformed: dict[str, object]) -> None:
    """The value is in no text, attribute, pickle or traceback of the error."""
    with pytest.raises(IdentityRefused) as refused:
        actor_from_claims({**GOOD, **malformed})
    assert_silent(refused.value)


def test_claims_may_have_other_names() -> None:
    """A host names its claims; the standard ones then count for nothing."""
    names = ClaimNames(subject="uid", hotel="https://example.org/hotel", role="position")
    named = {
        "uid": "joe",
        "https://example.org/hotel": str(new_id()),
        "position": "porter",
        "role": "admin",
        "sub": "eve",
    }
    actor = actor_from_claims(named, names=names)
    assert (actor.subject, actor.role) == ("joe", "porter")
    with pytest.raises(IdentityRefused) as refused:
        actor_from_claims(GOOD, names=names)
    assert refused.value.claim == "uid"


@pytest.mark.parametrize(
    "names",
    [
        {"subject": ""},
        {"subject": None},
        {"role": 1},
        {"role": "sub"},
        {"hotel": "role"},
        {"hotel": "n" * 201},
    ],
)
def test_bad_names_are_refused(names: dict[str, Any]) -> None:  # Any: refused at run time
    """No claim says two things: a subject who chooses a name must not choose a role."""
    with pytest.raises(InvalidInput):
        ClaimNames(**names)
