"""Words and ids that belong to one hotel, and how they are found again in whatever comes out."""

from __future__ import annotations

import binascii
import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache
from itertools import count
from types import NoneType
from typing import Any, TypeAlias
from uuid import UUID

import attrs

from hotelcore.domain.fields import Attributes
from hotelcore.vault import Secret

__all__ = ["Mark", "Twins", "Words", "marks", "marks_in_text", "shape", "twin"]

Mark: TypeAlias = UUID | str
"""What can be told to be of one hotel: a canary word or a record's id."""

_WORD = re.compile(r"canary-[a-z]+-\d{3}[0-9a-j]")
_ID = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    r"|(?<![0-9a-zA-Z])[0-9a-f]{32}(?![0-9a-zA-Z])",
    re.IGNORECASE,
)
_SHORTEST_ID = 32
_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")
_NUMBER = re.compile(r"\b[0-9A-HJKMNP-TV-Z]{10}\b")  # a new confirmation number
_CURSOR = re.compile(r"W[A-Za-z0-9_-]{7,}={0,2}")  # a JSON list in base 64
_SILENT = (NoneType, bool, int, float, Decimal, date, timedelta, Enum, type)


class Words:
    """Gives one canary word of a hotel after the other, each once: 17 characters or so.

    The numbers of two hotels differ too, for a telephone number is its digits alone.
    """

    def __init__(self, name: str, first: int) -> None:
        self.name = name
        self._numbers = count(first)

    def __call__(self) -> str:
        """Return the next word."""
        return f"canary-{self.name}-{next(self._numbers):04}"


# -- finding ------------------------------------------------------------------------------------


def marks(*values: object) -> set[Mark]:
    """Return every canary word and id in some values, however deep, in cursors too."""
    found: set[Mark] = set()
    texts: list[str] = []
    _spread(values, found, texts)
    return found | marks_in_text("\0".join(texts))


def marks_in_text(text: str) -> set[Mark]:
    """Return every canary word and id in a text that is no cursor."""
    found: set[Mark] = set()
    if "canary-" in text:
        found.update(_WORD.findall(text))
    if len(text) >= _SHORTEST_ID:
        found.update(map(UUID, set(_ID.findall(text))))
    return found


def _spread(value: object, found: set[Mark], texts: list[str]) -> None:
    """Add every id in a value to ``found``, every text in it to ``texts``."""
    kind: object = type(value)
    if kind is str:
        opened = _opened(str(value))
        if opened is None:
            texts.append(str(value))
        else:
            _spread(opened, found, texts)
    elif kind is UUID:
        found.add(value)  # type: ignore[arg-type]  # seen by its very class
    elif not _is_silent(kind):
        for item in _inside(value):
            _spread(item, found, texts)


@cache
def _is_silent(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, _SILENT)


def _inside(value: Any) -> Iterable[object]:  # Any: its class is asked for
    if names := _names_of(value):
        its = [getattr(value, name, None) for name in names]
        return [*its, value.args] if isinstance(value, BaseException) else its
    if isinstance(value, Mapping):
        return [*value.keys(), *value.values()]
    if isinstance(value, tuple | list | set | frozenset):
        return value
    return _opaque(value)


def _opaque(value: object) -> list[object]:
    """Return what can be seen of a value of any other class."""
    if isinstance(value, Secret):
        return [value.reveal()]
    if isinstance(value, bytes):
        return [value.decode("latin-1")]
    inside = [getattr(value, "obj", None), getattr(value, "args", None)]
    return [str(value), repr(value), *inside]


@cache
def _names(kind: object) -> tuple[str, ...]:
    """Return the names of the fields of an attrs class; none for another."""
    if isinstance(kind, type) and attrs.has(kind):
        return tuple(field.name for field in attrs.fields(kind))
    return ()


def _names_of(value: object) -> tuple[str, ...]:
    kind: object = type(value)
    return _names(kind)


def _opened(text: str) -> object:
    """Return what a cursor holds; None for another text."""
    if text.startswith("W") and _CURSOR.fullmatch(text):
        with suppress(binascii.Error, ValueError):
            return json.loads(urlsafe_b64decode(text))
    return None


def _closed(value: object) -> str:
    return urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).decode()


# -- replacing ----------------------------------------------------------------------------------


class Twins:
    """For each foreign mark one that nobody has, of the same kind, length and place in an order.

    With ``plain`` words there are plain texts instead, which may be kept in a hotel.
    """

    def __init__(
        self,
        foreign: Callable[[Mark], bool],
        random_bits: Callable[[int], int],
        *,
        plain: bool = False,
    ) -> None:
        self._foreign = foreign
        self._random_bits = random_bits
        self._plain = plain
        self.known: dict[Mark, Mark] = {}

    def of(self, mark: Mark) -> Mark:
        """Return the twin of a foreign mark, and any other mark as it is."""
        if mark not in self.known and self._foreign(mark):
            self.known[mark] = self._new(mark)
        return self.known.get(mark, mark)

    def _new(self, mark: Mark) -> Mark:
        if isinstance(mark, str) and self._plain:
            return f"kept {self._random_bits(40):010x}"
        if isinstance(mark, str):
            return mark[:-1] + "abcdefghij"[int(mark[-1])]
        # The upper bits hold the time and the counter, which order the ids.
        return UUID(int=mark.int >> 40 << 40 | self._random_bits(40))

    def in_text(self, text: str) -> str:
        """Return a text with twins in place of the foreign marks."""
        if (opened := _opened(text)) is not None:
            return _closed(twin(opened, self))
        text = _WORD.sub(lambda match: str(self.of(match[0])), text)
        return _ID.sub(self._in_its_form, text)

    def _in_its_form(self, match: re.Match[str]) -> str:
        mark = UUID(match[0])
        other = self.of(mark)
        if other == mark or not isinstance(other, UUID):
            return match[0]
        return str(other) if "-" in match[0] else other.hex


def twin(value: Any, twins: Twins) -> Any:  # Any: what comes out is of the class that went in
    """Return a value with twins in place of the foreign marks, however deep."""
    if isinstance(value, UUID):
        return twins.of(value)
    if type(value) is str:
        return twins.in_text(value)
    if isinstance(value, Attributes):
        return Attributes(twin(dict(value), twins))
    if isinstance(value, Mapping):
        return {twin(key, twins): twin(item, twins) for key, item in value.items()}
    if isinstance(value, tuple | list | set | frozenset):
        return type(value)(twin(item, twins) for item in value)
    if _names_of(value):
        return _twin_record(value, twins)
    return value


def _twin_record(record: Any, twins: Twins) -> Any:  # Any: as in `twin`
    changed = {}
    for field in attrs.fields(type(record)):
        value = getattr(record, field.name)
        if field.init and (other := twin(value, twins)) != value:
            changed[field.alias] = other
    return attrs.evolve(record, **changed) if changed else record


# -- comparing ----------------------------------------------------------------------------------


class _Shapes:
    def __init__(self, places: Mapping[Mark, str], known: Callable[[Mark], bool]) -> None:
        self._places = places
        self._known = known
        self._new: dict[Mark, str] = {}

    def _mark(self, mark: Mark) -> str:
        if mark in self._places:
            return self._places[mark]
        if isinstance(mark, str) or self._known(mark):
            return str(mark)
        return self._new.setdefault(mark, f"<new {len(self._new)}>")

    def _text(self, text: str) -> object:
        if (opened := _opened(text)) is not None:
            return ("cursor", self.of(opened))
        text = _WORD.sub(lambda match: self._mark(match[0]), text)
        text = _ID.sub(lambda match: self._mark(UUID(match[0])), text)
        return _NUMBER.sub("<number>", _DIGEST.sub("<digest>", text))

    def of(self, value: object) -> object:
        if isinstance(value, UUID):
            return self._mark(value)
        if type(value) is str:
            return self._text(value)
        if isinstance(value, _SILENT):
            return value
        if names := _names_of(value):
            return (type(value), *(self.of(getattr(value, name, None)) for name in names))
        if isinstance(value, Mapping):
            return sorted(repr((self.of(key), self.of(item))) for key, item in value.items())
        if isinstance(value, set | frozenset):
            return sorted(repr(self.of(item)) for item in value)
        if isinstance(value, tuple | list):
            return [self.of(item) for item in value]
        if (wrapped := getattr(value, "obj", None)) is not None:  # a driver's JSON
            return self.of(wrapped)
        return self._text(repr(value))


def shape(value: object, places: Mapping[Mark, str], known: Callable[[Mark], bool]) -> object:
    """Return a value as it can be compared with that of another call.

    The marks of ``places`` stand as placeholders, ids that are not ``known`` in the order in which
    they come, and what is drawn or reckoned from the arguments (a confirmation number, a digest)
    for itself.
    """
    return _Shapes(places, known).of(value)
