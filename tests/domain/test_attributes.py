"""When a host's own fields are equal: exactly when their JSON is."""

from __future__ import annotations

import json
from types import MappingProxyType

from hypothesis import example, given
from hypothesis import strategies as st

from hotelcore.domain.fields import Attributes, JsonValue

# Few values, so that many draws are equal, or equal for Python alone.
plain: st.SearchStrategy[JsonValue] = st.sampled_from([None, False, True, 0, 1, "", "1", "true"])
values = st.recursive(
    plain,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=3,
)
objects = st.dictionaries(st.sampled_from("ab"), values)


def canonical(plain_object: object) -> str:
    """Return the JSON text of plain data, with sorted keys."""
    return json.dumps(plain_object, sort_keys=True)


@given(objects, objects)
@example({"a": 1}, {"a": True})
@example({"a": [0, {"b": False}]}, {"a": [0, {"b": 0}]})
def test_attributes_are_equal_exactly_when_their_json_is(
    one: dict[str, JsonValue], other: dict[str, JsonValue]
) -> None:
    """Also to a plain mapping, whichever side it stands on; equal ones hash alike."""
    equal = canonical(one) == canonical(other)
    ours, theirs = Attributes(one), Attributes(other)
    assert ((ours == theirs), (ours != theirs)) == (equal, not equal)
    assert (ours == other) == (other == ours) == (ours == MappingProxyType(other)) == equal
    if equal:
        assert hash(ours) == hash(theirs)


def test_what_attributes_cannot_hold_equals_none() -> None:
    """A float, a key that is no text and what is no mapping are simply something else."""
    ours = Attributes({"a": 1})
    others: list[object] = [{"a": 1.0}, {1: 1}, {"a": object()}, [("a", 1)], None, "a"]
    assert all(ours != other for other in others)
