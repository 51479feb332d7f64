"""Compares what happened in the shared database with what happened in the hotel's own twin.

The two make different ids and different random confirmation numbers. Both are paired when they are
first met, and from then on each must stand for the other, in values and inside texts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import attrs

from hotelcore.errors import HotelcoreError
from hotelcore.testing.worlds import NUMBER

__all__ = ["Pairs"]

# What the two sides hold is of any type; that is what is compared.

_TOKEN = re.compile(rf"[0-9a-f]{{8}}-(?:[0-9a-f]{{4}}-){{3}}[0-9a-f]{{12}}|{NUMBER}")


_known_fields: dict[type, tuple[str, ...]] = {}


def _fields(kind: type) -> tuple[str, ...]:
    found = _known_fields.get(kind)
    if found is None:
        names = (it.name for it in attrs.fields(kind)) if attrs.has(kind) else ()
        found = _known_fields[kind] = tuple(names)
    return found


class Pairs:
    """What stands for what: ids and numbers of the shared database, and those of one twin."""

    def __init__(self) -> None:
        self._theirs: dict[object, object] = {}
        self._ours: dict[object, object] = {}

    def translated(self, value: Any) -> Any:
        """Give an argument as the twin knows it; an id it never met stays as it is."""
        if isinstance(value, UUID):
            return self._theirs.get(value, value)
        if isinstance(value, list | tuple | set | frozenset):
            return type(value)(self.translated(item) for item in value)
        return value

    def same(self, ours: Any, theirs: Any) -> bool:
        """Tell whether two values are equal up to ids and random numbers."""
        kind = type(ours)
        if kind is not type(theirs):
            return False
        if kind is UUID:
            return self._paired(ours, theirs)
        if kind is str:
            return ours == theirs or self._same_text(ours, theirs)
        if kind in (tuple, list):
            return len(ours) == len(theirs) and all(map(self.same, ours, theirs))
        if isinstance(ours, Mapping):
            return len(ours) == len(theirs) and all(
                self.same(left, right)
                for left, right in zip(ours.items(), theirs.items(), strict=True)
            )
        if isinstance(ours, HotelcoreError) and not self._same_text(str(ours), str(theirs)):
            return False
        if names := _fields(kind):
            return all(self.same(getattr(ours, name), getattr(theirs, name)) for name in names)
        return isinstance(ours, HotelcoreError) or bool(ours == theirs)

    def _paired(self, ours: object, theirs: object) -> bool:
        known = self._theirs.get(ours)
        if known is None and theirs not in self._ours:
            self._theirs[ours], self._ours[theirs] = theirs, ours
            return True
        return known == theirs

    def _same_text(self, ours: str, theirs: str) -> bool:
        if _TOKEN.sub("#", ours) != _TOKEN.sub("#", theirs):
            return False
        tokens = zip(_TOKEN.findall(ours), _TOKEN.findall(theirs), strict=True)
        return all(self._paired(_met(left), _met(right)) for left, right in tokens)


def _met(token: str) -> object:
    return UUID(token) if "-" in token else token
