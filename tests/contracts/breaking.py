"""How the tests of a contract show that each of its promises can be seen broken."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeAlias, TypeVar

import pytest

from hotelcore.testing.contracts import PromiseBroken, promises_of

__all__ = ["Case", "broken_promise", "cases_of"]

T = TypeVar("T")

Case: TypeAlias = tuple[str, T, str]
"""A check by its name, what breaks its promise, and a pattern of what it says it saw."""


def broken_promise(contract: object, check: str, seen: str, **given: object) -> None:
    """Run one check and see it fail with the words of its promise, and say what it saw."""
    words = promises_of(type(contract))[check]
    with pytest.raises(PromiseBroken) as broken:
        getattr(contract, check)(**given)
    assert str(broken.value).startswith(f"Promise broken: {words} ")
    assert re.search(seen, broken.value.seen), broken.value.seen


def cases_of(found: type | Iterable[Case[T]]) -> set[str]:
    """Return the checks of a contract, or those that a table of broken implementations has."""
    if isinstance(found, type):
        return set(promises_of(found))
    return {check for check, _, _ in found}
