"""Typed values to JSON-compatible data and back.

What a type says decides how its value travels, so nothing is tagged: decoding needs the type. Used
for stored results of operations, outbox payloads and audit changes. A `float` never travels: it
cannot carry money, and two machines may write it differently.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from hashlib import sha256
from inspect import isclass
from json.encoder import encode_basestring
from operator import attrgetter
from types import MappingProxyType, NoneType, UnionType
from typing import (
    Any,
    NewType,
    NoReturn,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
    overload,
)
from uuid import UUID

import attrs
from typing_extensions import TypeAliasType

from hotelcore.clock import require_utc
from hotelcore.errors import InvalidInput
from hotelcore.text import clean_text

__all__ = [
    "Json",
    "canonical",
    "decode",
    "encode",
    "fields_encoder",
    "fingerprint",
    "keep_out",
    "must_travel",
    "text_of",
    "text_of_encoded",
]

Json = TypeAliasType("Json", "str | int | bool | list[Json] | dict[str, Json] | None")
"""Data as JSON has it, without floats; also a type to `decode`, for free-form fields."""

_T = TypeVar("_T")
_Encoder = Callable[[Any], Json]  # Any: the encoder is chosen by the value's own type.
_Writer = Callable[[Any], str]  # Any: as above.
_Decoder = Callable[[Json], Any]  # Any: the type is known at run time only.

_OFFSET = "+00:00"  # as Python writes that of UTC
_INT_LIMIT = 2**63  # What both databases keep; also keeps json off Python's limit on digits.


def encode(value: object) -> Json:
    """Return `value` as JSON-compatible data.

    Takes str, int, bool, None, Decimal, UUID, date, datetime (UTC), Enum (its value), attrs
    classes (their fields), tuples, lists, frozensets and mappings with str keys, in any nesting.
    Raises `InvalidInput` for any other type, float among them, and for a value that one of the
    two databases cannot store (NUL and lone surrogates in text, integers beyond 64 bits).
    """
    return _ENCODERS[type(value)](value)


def fields_encoder(fields: Mapping[str, str]) -> Callable[[object], dict[str, Json]]:
    """Return what encodes an object's attributes, named by the keys under which each shall stand.

    It raises `InvalidInput` as `encode` does, with the attribute's name before the field's.
    """
    places = tuple(fields.items())
    names = tuple(fields.values())

    def encode_fields(record: object) -> dict[str, Json]:
        left = iter(places)
        try:
            return {
                key: _ENCODERS[type(value := getattr(record, name))](value) for key, name in left
            }
        except InvalidInput as refusal:
            raise _named(_reached(names, left), refusal) from refusal

    return encode_fields


def text_of(value: object) -> str:
    """Return the one JSON text of `value`: keys sorted, no spaces.

    Raises `InvalidInput` as `encode` does, and for a value that nests without end.
    """
    try:
        return _text_form(value)
    except RecursionError as error:
        raise InvalidInput("value", "nests too deep") from error


def canonical(value: object) -> bytes:
    """Return what `text_of` does, in UTF-8."""
    return text_of(value).encode()


def text_of_encoded(encoded: Json) -> str:
    """Return the one JSON text of what `encode` gave."""
    return _dump(encoded)


def fingerprint(value: object) -> str:
    """Return the SHA-256 of `canonical(value)` in hexadecimal."""
    return sha256(canonical(value)).hexdigest()


def keep_out(kind: type, reason: str) -> None:
    """Have every value of the class `kind` refused, with a reason that says what to do instead."""

    def refuse(_: object) -> NoReturn:
        raise InvalidInput("value", reason)

    _ENCODERS[kind] = _WRITERS[kind] = refuse


@overload
def decode(data: Json, kind: type[_T]) -> _T: ...
@overload
def decode(data: Json, kind: object) -> object: ...
def decode(data: Json, kind: object) -> object:
    """Return the value of type `kind` that `encode` made `data` of.

    `kind` is any type `encode` takes, as an annotation: also a NewType, `X | None`,
    `tuple[X, ...]`, `tuple[X, Y]`, `frozenset[X]`, `Mapping[str, X]` (read-only), `Json`, and a
    Mapping class of yours that is built from a dict of `Json`. A missing field takes its default.
    Raises `InvalidInput` with the path to what does not fit, for a field the class does not have,
    and for a type that does not travel.
    """
    return _decoder(kind)(data)


def must_travel(kind: object) -> None:
    """Raise `InvalidInput` for a type that `decode` does not take, before there is a value of it.

    Only a value shows whether the fields of its class travel too.
    """
    _decoder(kind)


# Made once: to make one takes as long as to write a record.
_dump = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, check_circular=False
).encode


def _nested(name: str, convert: Callable[[Any], _T], value: object) -> _T:  # Any: a table's entry.
    """Convert the field called `name`; a refusal from inside gets the name before its own."""
    try:
        return convert(value)
    except InvalidInput as refusal:
        raise _named(name, refusal) from refusal


def _named(name: str, refusal: InvalidInput) -> InvalidInput:
    """Return a refusal from inside the field called `name`."""
    inner = "" if refusal.field == "value" else f".{refusal.field}"
    return InvalidInput(name + inner, refusal.reason)


def _reached(names: Sequence[str], left: Iterator[object]) -> str:
    """Return the name that was taken last, by what is left to be taken of as many things.

    To convert all of them again in search of it would double the work with each record inside of
    another one.
    """
    return names[-1 - sum(1 for _ in left)]


class _Known(dict[type, Callable[[Any], _T]]):  # Any: of the class under which it stands.
    """What converts the values of each class; of a class that is met first it is made then."""

    def __init__(
        self,
        given: Mapping[type, Callable[[Any], _T]],  # Any: as above.
        make: Callable[[type], Callable[[Any], _T]],  # Any: as above.
    ) -> None:
        super().__init__(given)
        self._make = make

    def __missing__(self, kind: type) -> Callable[[Any], _T]:  # Any: as above.
        made = self[kind] = self._make(kind)
        return made


def _refused(expected: str, found: object) -> InvalidInput:
    return InvalidInput("value", f"must be {expected}, not {type(found).__name__}")


# -- to JSON ---------------------------------------------------------------------------------


def _text(value: str) -> str:
    if _is_plain(value):
        return value  # what the rule answers for most texts
    return clean_text("value", value, most=sys.maxsize, least=0)


def _is_plain(value: str) -> bool:
    return value.isascii() and "\x00" not in value


def _integer(value: int) -> int:
    if not -_INT_LIMIT <= value < _INT_LIMIT:
        raise InvalidInput("value", "must be an integer that fits 64 bits")
    return value


def _decimal(value: Decimal) -> str:
    if not value.is_finite():
        raise InvalidInput("value", "must be a finite number")
    return str(value)


def _instant(value: datetime) -> str:
    # A class of the host's may write itself in another way.
    return datetime.isoformat(require_utc(value, "value"))[: -len(_OFFSET)] + "Z"


def _list(value: tuple[object, ...] | list[object]) -> Json:
    return [encode(item) for item in value]


def _sorted_list(value: frozenset[object]) -> Json:
    return sorted((encode(item) for item in value), key=_dump)


def _object(value: Mapping[object, object]) -> Json:
    data: dict[str, Json] = {}
    for key, item in value.items():
        name = clean_text("key", key, most=sys.maxsize, least=0)
        data[name] = _nested(name, encode, item)
    return data


_ENCODERS = _Known[Json](
    {
        NoneType: lambda none: none,
        bool: lambda flag: flag,
        int: _integer,
        str: _text,
        Decimal: _decimal,
        UUID: str,
        date: date.isoformat,
        datetime: _instant,
        tuple: _list,
        list: _list,
        frozenset: _sorted_list,
    },
    lambda kind: _encoder(kind),
)


def _encoder(kind: type[Any]) -> _Encoder:  # Any: of whatever it holds.
    if issubclass(kind, Enum):
        return _member_encoder(kind)
    if attrs.has(kind):
        return _record_encoder(kind)
    for ancestor in kind.__mro__:
        if ancestor in _ENCODERS:
            return _ENCODERS[ancestor]
    if issubclass(kind, Mapping):
        return _object
    raise InvalidInput("value", f"{kind.__name__} does not travel: no JSON form is agreed for it")


def _member_encoder(kind: type[Enum]) -> _Encoder:
    if all(type(member.value) is str and _is_plain(member.value) for member in kind):
        return attrgetter("_value_")
    return lambda member: encode(member.value)


def _record_encoder(kind: type[Any]) -> _Encoder:  # Any: of whatever it holds.
    return fields_encoder({field.name: field.name for field in attrs.fields(kind) if field.init})


# -- to JSON text ----------------------------------------------------------------------------


def _text_form(value: object) -> str:
    """Return what `_dump` makes of `encode(value)`, of a record without the objects in between."""
    return _WRITERS[type(value)](value)


def _writer(kind: type[Any]) -> _Writer:  # Any: of whatever it holds.
    if issubclass(kind, Enum):
        return lambda member: _text_form(encode(member))
    if attrs.has(kind):
        return _record_writer(kind)
    if issubclass(kind, Mapping):  # most records of a host's own fields are empty
        return lambda value: _dump(encode(value)) if len(value) else "{}"
    return lambda value: _dump(encode(value))


def _record_writer(kind: type[Any]) -> _Writer:  # Any: as above.
    names = sorted(field.name for field in attrs.fields(kind) if field.init)
    places = [(name, f"{_dump(name)}:") for name in names]

    def write(record: object) -> str:
        left = iter(places)
        try:
            texts = [
                place + _WRITERS[type(value := getattr(record, name))](value)
                for name, place in left
            ]
        except InvalidInput as refusal:
            raise _named(_reached(names, left), refusal) from refusal
        return f"{{{','.join(texts)}}}"

    return write


def _written_list(items: Iterable[object]) -> str:
    return "[" + ",".join(map(_text_form, items)) + "]"


_WRITERS = _Known[str](
    {
        NoneType: lambda _: "null",
        bool: lambda flag: "true" if flag else "false",
        date: lambda day: f'"{day.isoformat()}"',
        datetime: lambda instant: f'"{_instant(instant)}"',
        UUID: lambda id: f'"{id}"',
        str: lambda text: encode_basestring(_text(text)),
        int: lambda number: str(_integer(number)),
        tuple: _written_list,
        list: _written_list,
    },
    lambda kind: _writer(kind),
)


# -- from JSON -------------------------------------------------------------------------------


def _exactly(kind: type) -> _Decoder:
    def decode_exactly(data: Json) -> object:
        if type(data) is not kind:
            raise _refused(kind.__name__, data)
        return data

    return decode_exactly


def _parsed(kind: type, parse: Callable[[str], object]) -> _Decoder:
    def decode_parsed(data: Json) -> object:
        if type(data) is not str:
            raise _refused(f"the text of a {kind.__name__}", data)
        with suppress(ValueError, ArithmeticError):
            return parse(data)
        # Raised out here, since the parser's own error shows the text.
        raise InvalidInput("value", f"is not the text of a {kind.__name__}")

    return decode_parsed


def _parse_decimal(text: str) -> Decimal:
    number = Decimal(text)
    _decimal(number)
    return number


def _parse_instant(text: str) -> datetime:
    return require_utc(datetime.fromisoformat(text), "value")


_DECODERS: dict[object, _Decoder] = {
    Json: encode,  # Free-form data is its own value; encoding it again only checks and copies.
    None: _exactly(NoneType),
    NoneType: _exactly(NoneType),
    bool: _exactly(bool),
    int: _exactly(int),
    str: _exactly(str),
    Decimal: _parsed(Decimal, _parse_decimal),
    UUID: _parsed(UUID, UUID),
    date: _parsed(date, date.fromisoformat),
    datetime: _parsed(datetime, _parse_instant),
}


@cache
def _decoder(kind: object) -> _Decoder:
    if isinstance(kind, NewType):
        return _decoder(cast("object", kind.__supertype__))
    decoder = _DECODERS.get(kind)
    decoder = decoder or (_class_decoder(kind) if isclass(kind) else _generic_decoder(kind))
    if decoder is None:
        raise InvalidInput("kind", f"{kind} does not travel: no JSON form is agreed for it")
    return decoder


def _class_decoder(kind: type[Any]) -> _Decoder | None:  # Any: of whatever it builds.
    if issubclass(kind, Enum):
        return _member_decoder(kind)
    if attrs.has(kind):
        return _record_decoder(kind)
    if Mapping in kind.__mro__[1:]:
        return _free_form_decoder(kind)
    return None


def _generic_decoder(kind: object) -> _Decoder | None:
    origin = get_origin(kind)
    match get_args(kind):
        case (item, none) | (none, item) if origin in (Union, UnionType) and none is NoneType:
            return _optional_decoder(item)
        case (item, end) if origin is tuple and end is ...:
            return _items_decoder(tuple, item)
        case items if origin is tuple:
            return _fixed_decoder(items)
        case (item,) if origin is frozenset:
            return _items_decoder(frozenset, item)
        case (key, item) if origin is Mapping and key is str:
            return _mapping_decoder(item)
        case _:
            return None


def _member_decoder(kind: type[Enum]) -> _Decoder:
    members: dict[object, Enum] = {(type(member.value), member.value): member for member in kind}

    def decode_member(data: Json) -> Enum:
        if not isinstance(data, (str, int)) or (type(data), data) not in members:
            raise InvalidInput("value", f"must be the value of a {kind.__name__}")
        return members[type(data), data]

    return decode_member


def _record_decoder(kind: type[Any]) -> _Decoder:  # Any: of whatever it builds.
    required = {f.name for f in attrs.fields(kind) if f.init and f.default is attrs.NOTHING}

    @cache  # At first use, so that a class may contain itself.
    def fields() -> dict[str, tuple[str, _Decoder]]:
        hints = get_type_hints(kind)
        return {f.name: (f.alias, _decoder(hints[f.name])) for f in attrs.fields(kind) if f.init}

    def decode_record(data: Json) -> object:
        if type(data) is not dict or not required <= data.keys() <= fields().keys():
            raise InvalidInput("value", f"must be an object with the fields of {kind.__name__}")
        known = fields()
        values = {}
        for name, item in data.items():
            argument, convert = known[name]
            values[argument] = _nested(name, convert, item)
        return kind(**values)

    return decode_record


def _optional_decoder(item: object) -> _Decoder:
    convert = _decoder(item)
    return lambda data: None if data is None else convert(data)


def _items_decoder(collection: type, item: object) -> _Decoder:
    convert = _decoder(item)

    def decode_items(data: Json) -> object:
        if type(data) is not list:
            raise _refused("a list", data)
        return collection(map(convert, data))

    return decode_items


def _fixed_decoder(items: tuple[object, ...]) -> _Decoder:
    converters = [_decoder(item) for item in items]

    def decode_fixed(data: Json) -> object:
        if type(data) is not list or len(data) != len(converters):
            raise _refused(f"a list of {len(converters)}", data)
        return tuple(convert(item) for convert, item in zip(converters, data, strict=True))

    return decode_fixed


def _free_form_decoder(kind: Callable[[Json], object]) -> _Decoder:
    def decode_free_form(data: Json) -> object:
        if type(data) is not dict:
            raise _refused("an object", data)
        return kind(encode(data))  # Any JSON may stand in it; encoding it again only checks it.

    return decode_free_form


def _mapping_decoder(item: object) -> _Decoder:
    convert = _decoder(item)

    def decode_mapping(data: Json) -> object:
        if type(data) is not dict:
            raise _refused("an object", data)
        return MappingProxyType({name: _nested(name, convert, data[name]) for name in data})

    return decode_mapping
