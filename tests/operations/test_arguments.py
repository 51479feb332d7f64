"""A function that checks its arguments takes what it declares, and names what it refuses."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest

from hotelcore import Money, Role, Secret, Stay
from hotelcore.errors import InvalidInput
from hotelcore.ids import BookingId
from hotelcore.operations.arguments import checked
from tests.operations.small_hotel import NOON, TODAY, eur

if TYPE_CHECKING:
    from nowhere import Unknown  # type: ignore[import-not-found]  # a name for type checkers alone

# A type as it is declared, its name in a refusal, and values that are and that are not of it.
KNOWN: list[tuple[Any, str, list[object], list[object]]] = [  # Any: whatever may be a type
    (UUID, "a UUID", [uuid4()], [str(uuid4()), 7, None]),
    (BookingId, "a UUID", [uuid4()], [str(uuid4()), 7, None]),
    (bool, "true or false", [True, False], [1, 0, "true", None]),
    (int, "a whole number", [7, -1], [True, 1.0, "7", None]),
    (str, "text", ["", "x"], [7, b"x", None]),
    (date, "a date without a time", [TODAY], [NOON, "2026-12-01", None]),
    (datetime, "a datetime", [NOON], [TODAY, "2026-12-01T12:00:00Z", None]),
    (Secret, "a Secret", [Secret("x")], ["x", None]),
    (Stay, "Stay", [Stay(TODAY, TODAY)], [(TODAY, TODAY), None]),
    (Money, "Money", [eur(1)], [1, "1 EUR", None]),
    (Mapping[str, int], "a mapping", [{}, {"a": 1}], [[("a", 1)], "a", None]),
    (
        Collection[int],
        "a collection, each a whole number",
        [[], [1, 2], (1,), {1}],
        ["1", b"1", 1, [1, True], [1, "2"], iter([1]), None],
    ),
    (
        Collection[BookingId],
        "a collection, each a UUID",
        [[uuid4()]],
        [str(uuid4()), [str(uuid4())], None],
    ),
    (
        Sequence[str],
        "a sequence, each text",
        [[], ["a"], ("a", "b")],
        ["a", b"a", {"a"}, {"a": "b"}, ["a", 1], None],
    ),
]
UNKNOWN: list[Any] = [  # Any: whatever may be a type
    Role,
    Callable[[], None],
    list[int],
    tuple[int, ...],
    int | str,
    int | str | None,
    Role | None,
    Collection[Role],
    Sequence[int | str],
    None,
]


def taking(hint: object) -> Callable[..., object]:
    """Make a function that declares one argument, checks it, and gives it back."""

    def give_back(number: object = None, *, value: object) -> object:
        return value

    give_back.__annotations__ = {"number": int, "value": hint}
    return checked(give_back)


def refusal(hint: object, value: object) -> str:
    """Have a value refused, and return the error's text."""
    with pytest.raises(InvalidInput) as refused:
        taking(hint)(value=value)
    return str(refused.value)


def text_too(name: str, value: object) -> str:
    """Return what is said of a text in place of a single value."""
    single = not any(word in name for word in ("each", "mapping"))
    return ", and not its text" if single and isinstance(value, str) else ""


@pytest.mark.parametrize(("hint", "name", "good", "bad"), KNOWN)
def test_exactly_what_is_declared_is_taken(
    hint: Any, name: str, good: list[object], bad: list[object]
) -> None:
    """A value of the declared type arrives as it is, any other is refused by both names."""
    for value in good:
        assert taking(hint)(value=value) is value
    for value in bad:
        assert refusal(hint, value) == f"value: must be {name}{text_too(name, value)}"


@pytest.mark.parametrize(("hint", "name", "good", "bad"), KNOWN)
def test_what_may_be_left_out_may_be_none(
    hint: Any, name: str, good: list[object], bad: list[object]
) -> None:
    """An optional argument takes None too, and besides it what it takes without being optional."""
    for optional in (hint | None, None | hint):
        for value in (None, *good):
            assert taking(optional)(value=value) is value
        for value in bad:
            if value is not None:
                assert refusal(optional, value) == f"value: must be {name}{text_too(name, value)}"


@pytest.mark.parametrize("hint", UNKNOWN)
def test_other_types_are_left_to_the_function(hint: Any) -> None:
    """What is declared as something else is for the function itself to judge."""
    for value in (None, 7, "x", [7], Role.ADMIN, object()):
        assert taking(hint)(value=value) is value


def test_what_is_given_by_position_is_left_alone() -> None:
    """Arguments by position and those without a declared type arrive unchecked."""
    assert taking(str)("no number", value="x") == "x"

    @checked
    def give_back(*given: object, **named: object) -> object:
        return given, named

    assert give_back("x", a=1) == (("x",), {"a": 1})


def test_what_only_a_type_checker_knows_is_not_checked() -> None:
    """A declaration that names what is not imported at run time costs the checks, no more."""

    @checked
    def give_back(*, number: int, value: Unknown) -> object:
        return (number, value)

    assert give_back(number="x", value=7) == ("x", 7)  # type: ignore[arg-type]  # wrong on purpose


def test_a_checked_function_keeps_its_name() -> None:
    """The checking function answers to the name of the one within."""
    assert taking(int).__name__ == "give_back"
