"""What goes over the wire comes back equal, has one canonical form, and is never guessed at."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag, IntEnum, StrEnum
from hashlib import sha256
from random import Random
from types import MappingProxyType
from typing import NewType, Optional, cast
from uuid import UUID

import pytest
from attrs import Factory, field, frozen
from hypothesis import given
from hypothesis import strategies as st

from hotelcore.domain.money import MINOR_LIMIT, Money
from hotelcore.errors import InvalidInput
from hotelcore.ids import BookingId
from hotelcore.wire import Json, canonical, decode, encode, fingerprint

Label = NewType("Label", str)
TaggedLabel = NewType("TaggedLabel", Label)
NAIVE = datetime(2026, 1, 1)  # naive on purpose


class Colour(StrEnum):
    """An enum of text."""

    RED = "red"
    BLUE = "blue"


class Rank(IntEnum):
    """An enum of numbers, one of which equals True."""

    LOW = 1
    HIGH = 2


class Odd(Enum):
    """An enum with a member that does not travel."""

    EVEN = "even"
    HALF = 0.5


class Alike(Enum):
    """An enum whose members are equal, and so have no hash."""

    ONE = "one"
    OTHER = "other"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Alike)


class Mark(Flag):
    """An enum whose members can be put together."""

    LEFT = 1
    RIGHT = 2


class Shape(Enum):
    """An enum that is neither."""

    ROUND = "round"


class Notes(Mapping[str, object]):
    """A mapping of a host's own, frozen by its constructor."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = dict(values)

    def __getitem__(self, key: str) -> object:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


@frozen
class Night:
    """A record whose field hides the name of its own type."""

    date: date
    rate: Money | None


@frozen(kw_only=True)
class Visit:
    """A record with a field of every kind, another record, and itself."""

    id: BookingId
    label: TaggedLabel
    at: datetime
    flag: bool
    count: int
    share: Decimal
    nothing: None
    colour: Colour
    rank: Rank
    shape: Shape
    nights: tuple[Night, ...]
    pair: tuple[str, int]
    tags: frozenset[Colour]
    totals: Mapping[str, tuple[Money, ...]]
    free: Mapping[str, Json]
    notes: Notes
    parent: Visit | None = None
    _hidden: Optional[int] = None  # noqa: UP045  # the older spelling is supported too
    doubled: int = field(init=False, default=Factory(lambda self: self.count * 2, takes_self=True))


# -- strategies ------------------------------------------------------------------------------

ints = st.integers(-MINOR_LIMIT, MINOR_LIMIT - 1)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
decimals = st.decimals(allow_nan=False, allow_infinity=False)
utc_datetimes = st.datetimes(timezones=st.just(UTC))
money = st.builds(Money, st.integers(-(10**9), 10**9), st.sampled_from(["EUR", "JPY", "KWD"]))
free_form = st.recursive(
    st.none() | st.booleans() | ints | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
free_objects = st.dictionaries(texts, free_form, max_size=3)
nights = st.builds(Night, st.dates(), st.none() | money)


def visits(parents: st.SearchStrategy[Visit | None]) -> st.SearchStrategy[Visit]:
    """Give visits, each with a parent of `parents`."""
    return st.builds(
        Visit,
        id=st.uuids(),
        label=texts,
        at=utc_datetimes,
        flag=st.booleans(),
        count=st.integers(-(10**6), 10**6),
        share=decimals,
        nothing=st.none(),
        colour=st.sampled_from(Colour),
        rank=st.sampled_from(Rank),
        shape=st.sampled_from(Shape),
        nights=st.lists(nights, max_size=3).map(tuple),
        pair=st.tuples(texts, ints),
        tags=st.frozensets(st.sampled_from(Colour)),
        totals=st.dictionaries(texts, st.lists(money, max_size=2).map(tuple), max_size=2),
        free=free_objects,
        notes=free_objects.map(Notes),
        parent=parents,
        hidden=st.none() | ints,
    )


family = visits(st.none() | visits(st.none()))
floats_anywhere = st.floats().flatmap(
    lambda number: st.sampled_from(
        [number, (number,), [number], {"rate": number}, frozenset({number}), ((), {"a": (number,)})]
    )
)

# -- there and back --------------------------------------------------------------------------


@given(family)
def test_a_record_comes_back_equal(visit: Visit) -> None:
    """Nested records of every kind of field survive real JSON text, and their form is stable."""
    back = decode(json.loads(json.dumps(encode(visit))), Visit)
    assert back == visit
    assert back.doubled == visit.doubled
    assert back.at.tzinfo is UTC
    assert canonical(back) == canonical(visit)
    assert decode(json.loads(canonical(visit)), Visit) == visit


@given(st.tuples(family, st.none() | nights))
def test_a_result_of_several_records_comes_back_equal(result: tuple[Visit, Night | None]) -> None:
    """A tuple annotation, as of an operation's result, decodes what it describes."""
    back = decode(encode(result), tuple[Visit, Night | None])
    assert back == result


@given(free_form)
def test_free_form_data_is_its_own_value(data: Json) -> None:
    """JSON data encodes to itself and decodes to an equal copy."""
    assert encode(data) == data
    assert decode(data, Json) == data


def test_the_wire_form_is_the_agreed_one() -> None:
    """Each kind has the one form that other readers rely on."""
    key = UUID("017f22e2-79b0-7cc3-98c4-dc0c0c07398f")
    value = {
        "money": Money(1250, "EUR"),
        "id": BookingId(key),
        "decimal": Decimal("1.50"),
        "day": date(2026, 12, 1),
        "at": datetime(2026, 12, 1, 8, 30, tzinfo=UTC),
        "enums": (Colour.RED, Rank.HIGH, Shape.ROUND),
        "set": frozenset({"b", "a"}),
        "none": None,
        "é": True,
    }
    assert canonical(value).decode() == (
        '{"at":"2026-12-01T08:30:00Z","day":"2026-12-01","decimal":"1.50",'
        '"enums":["red",2,"round"],"id":"017f22e2-79b0-7cc3-98c4-dc0c0c07398f",'
        '"money":{"currency":"EUR","minor":1250},"none":null,"set":["a","b"],"é":true}'
    )


def test_both_spellings_of_utc_are_read() -> None:
    """`Z` and `+00:00` are the same instant; the first is written."""
    at = datetime(2026, 12, 1, 8, 30, 0, 1, tzinfo=UTC)
    assert encode(at) == "2026-12-01T08:30:00.000001Z"
    assert decode("2026-12-01T08:30:00.000001+00:00", datetime) == at
    assert decode("2026-12-01T08:30:00.000001Z", datetime) == at


class Terse(datetime):
    """An instant of a host's, which writes itself its own way."""

    def isoformat(self, sep: str = "T", timespec: str = "auto") -> str:
        """Write no more than a Z behind it."""
        return super().isoformat(sep, timespec).replace("+00:00", "Z")


def test_an_instant_of_a_hosts_class_is_written_as_any_other() -> None:
    """How it writes itself does not matter."""
    at = Terse(2026, 12, 1, 8, 30, 0, 123456, tzinfo=UTC)
    assert encode(at) == "2026-12-01T08:30:00.123456Z"


@given(visits(st.none()))
def test_a_field_added_later_takes_its_default(visit: Visit) -> None:
    """What was stored before a field with a default existed is still read; others must be there."""
    data = cast("dict[str, Json]", encode(visit))
    del data["parent"]
    assert decode(data, Visit) == visit
    del data["pair"]
    with pytest.raises(InvalidInput):
        decode(data, Visit)


def test_a_computed_field_is_not_stored() -> None:
    """Only what the constructor takes travels, and nothing else is accepted."""
    with pytest.raises(InvalidInput):
        decode({"minor": 1, "currency": "EUR", "amount": "0.01"}, Money)
    assert encode(Money(1, "EUR")) == {"minor": 1, "currency": "EUR"}


def test_decoded_mappings_are_read_only() -> None:
    """Nothing mutable comes out of a typed mapping."""
    back: object = decode({"a": 1}, Mapping[str, int])
    assert back == {"a": 1}
    assert isinstance(back, MappingProxyType)


# -- canonical -------------------------------------------------------------------------------


@given(st.dictionaries(texts, free_form, max_size=8), st.randoms())
def test_the_canonical_form_ignores_the_order_of_keys(
    data: dict[str, Json], random: Random
) -> None:
    """However a mapping was filled, its bytes and its fingerprint are the same."""
    items = list(data.items())
    random.shuffle(items)
    assert canonical(dict(items)) == canonical(data)
    assert fingerprint(dict(items)) == fingerprint(MappingProxyType(data))
    assert json.loads(canonical(data)) == data


@given(st.frozensets(st.integers(0, 10**6), max_size=8))
def test_the_canonical_form_ignores_the_order_of_a_set(numbers: frozenset[int]) -> None:
    """Two equal sets, filled in another order, have the same bytes."""
    assert canonical(frozenset(sorted(numbers, reverse=True))) == canonical(numbers)
    assert decode(encode(numbers), frozenset[int]) == numbers


@given(free_form)
def test_the_canonical_form_loses_nothing(data: Json) -> None:
    """The canonical text reads back as the same data, so other data has other bytes."""
    assert repr(_sorted(json.loads(canonical(data)))) == repr(_sorted(data))


def _sorted(data: Json) -> Json:
    if isinstance(data, dict):
        return {key: _sorted(data[key]) for key in sorted(data)}
    return [_sorted(item) for item in data] if isinstance(data, list) else data


@given(
    st.recursive(
        st.builds(Money, st.integers(-(2**62), 2**62), st.sampled_from(["EUR", "JPY"]))
        | st.sampled_from([None, True, False, Colour.RED, Rank.LOW, Shape.ROUND])
        | st.sampled_from([Odd.EVEN, Odd.HALF, Mark.LEFT, Mark.LEFT | Mark.RIGHT, *Alike])
        | st.text()
        | st.integers(-(2**70), 2**70)
        | st.dates()
        | st.decimals()
        | st.floats(),
        lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    )
)
def test_the_canonical_form_is_that_of_what_was_encoded(value: object) -> None:
    """Whatever it holds, it is the JSON text of the encoded value, or the same refusal."""

    def told(work: Callable[[object], object]) -> object:
        try:
            return work(value)
        except InvalidInput as refusal:
            return str(refusal)

    def by_hand(data: object) -> bytes:
        form = {"sort_keys": True, "separators": (",", ":"), "ensure_ascii": False}
        return json.dumps(encode(data), **form).encode()  # type: ignore[arg-type]  # its options

    assert told(canonical) == told(by_hand)


def test_a_refusal_names_the_field_in_the_canonical_form_too() -> None:
    """The path to what does not travel is that of `encode`."""

    @frozen
    class Inner:
        amount: object

    @frozen
    class Outer:
        inner: Inner

    with pytest.raises(InvalidInput) as refused:
        canonical([Outer(Inner(0.5))])
    assert refused.value.field == "inner.amount"


@frozen
class Folder:
    """A record with another one inside, beside other values."""

    label: str
    inside: object
    size: int = 0


class Counted(Mapping[str, object]):
    """Free-form data that cannot travel, and counts how often it is looked into."""

    def __init__(self) -> None:
        self.times = 0

    def __getitem__(self, key: str) -> object:
        return 1.5

    def __iter__(self) -> Iterator[str]:
        self.times += 1
        return iter(["weight"])

    def __len__(self) -> int:
        return 1


@pytest.mark.parametrize("convert", [encode, canonical, fingerprint])
@pytest.mark.parametrize("between", [lambda inside: inside, lambda inside: {"in": inside}])
@given(depth=st.integers(1, 12))
def test_a_refusal_from_deep_inside_is_found_once(
    convert: Callable[[object], object], between: Callable[[object], object], depth: int
) -> None:
    """However deep the records nest, each value is looked at once, and the whole path is named."""
    value: object = (counted := Counted())
    for number in range(depth):
        value = Folder(str(number), between(value))
    with pytest.raises(InvalidInput) as refused:
        convert(value)
    assert counted.times == 1
    step = "inside" if between(0) == 0 else "inside.in"
    assert refused.value.field == ".".join([*[step] * depth, "weight"])


def test_fingerprints_are_sha256_of_the_canonical_form() -> None:
    """The fingerprint is the hexadecimal digest that any other reader can compute."""
    assert fingerprint({"b": 1, "a": "é"}) == sha256('{"a":"é","b":1}'.encode()).hexdigest()
    different: list[object] = [1, True, "1", (1,), None, {}, ()]
    assert len({fingerprint(value) for value in different}) == 7


# -- refusals --------------------------------------------------------------------------------


@given(floats_anywhere)
def test_floats_never_travel(value: object) -> None:
    """A float is refused at any depth, in both directions."""
    for refuse in (encode, canonical, fingerprint, lambda data: decode(data, Json)):
        with pytest.raises(InvalidInput):
            refuse(value)


@pytest.mark.parametrize(
    "value",
    [
        b"bytes",
        {1, 2},
        object(),
        1j,
        Decimal,
        {1: "a"},
        {None: 1},
        range(3),
        timedelta(1),
        Decimal("NaN"),
        Decimal("Infinity"),
        MINOR_LIMIT,
        -MINOR_LIMIT - 1,
        pytest.param(10**5000, id="5000 digits"),
        "a\0b",
        "\ud800",
        {"\ud800": 1},
        {"a\0": 1},
        NAIVE,
        datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=1))),
    ],
)
def test_what_cannot_travel_is_refused(value: object) -> None:
    """Unknown types, unstorable text and integers, and instants that are not UTC are refused."""
    nested: object
    for nested in (value, (value,), {"a": (None, value)}):
        with pytest.raises(InvalidInput):
            encode(nested)


def test_endless_data_is_refused() -> None:
    """Data that contains itself, or nests without sense, has no canonical form."""
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(InvalidInput):
        fingerprint(endless)


@pytest.mark.parametrize(
    "kind",
    [
        float,
        object,
        bytes,
        set[int],
        list[int],
        tuple,
        Mapping,
        Mapping[int, str],
        int | str,
        int | str | None,
        frozenset,
        "Visit",
        timedelta,
    ],
)
def test_types_that_do_not_travel_are_refused(kind: object) -> None:
    """A type without an agreed form is refused, whatever the data; unions would need guessing."""
    nothing: list[Json] = [None, [], {}, 1, "a"]
    for data in nothing:
        with pytest.raises(InvalidInput) as refused:
            decode(data, kind)
        assert refused.value.field == "kind"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (True, int),
        (1, bool),
        (1, str),
        ("1", int),
        (None, str),
        (0, None),
        ([], str),
        ("NaN", Decimal),
        ("x", Decimal),
        (1, Decimal),
        ("x", UUID),
        (1, UUID),
        ("2026-02-30", date),
        ("2026-01-01", datetime),
        ("2026-01-01T00:00:00", datetime),
        ("2026-01-01T00:00:00+01:00", datetime),
        (20260101, date),
        ("green", Colour),
        (True, Rank),
        ("1", Rank),
        ([], Colour),
        (None, Colour),
        ([1], tuple[int, int]),
        ([1, 2, 3], tuple[int, int]),
        ({}, tuple[int, ...]),
        (["a"], tuple[int, ...]),
        ("ab", tuple[str, ...]),
        ([1, "a"], frozenset[int]),
        ([], Mapping[str, int]),
        ({"a": "b"}, Mapping[str, int]),
        ([], Notes),
        ({"a": 1.5}, Notes),
        ([1, "EUR"], Money),
        ({"minor": 1}, Money),
        ({"minor": 1, "currency": "XXX"}, Money),
        ({"minor": True, "currency": "EUR"}, Money),
        ({"minor": "1", "currency": "EUR"}, Money),
        ({"minor": 1, "currency": "EUR", "more": 1}, Money),
    ],
)
def test_data_that_does_not_fit_is_refused(data: Json, kind: object) -> None:
    """Decoding converts nothing on its own: true is not 1, text is not a number."""
    with pytest.raises(InvalidInput):
        decode(data, kind)


def test_a_refusal_names_the_path_and_not_the_value() -> None:
    """The error leads to the field, however deep, and keeps what was in it to itself."""
    data: Json = {"date": "2026-01-01", "rate": {"minor": "secret", "currency": "EUR"}}
    with pytest.raises(InvalidInput) as refused:
        decode({"nights": data}, Mapping[str, Night])
    assert refused.value.field == "nights.rate.minor"
    assert "secret" not in str(refused.value)
    with pytest.raises(InvalidInput) as refused:
        encode({"guest": {"name": "secret\0"}})
    assert refused.value.field == "guest.name"
    assert "secret" not in str(refused.value)
