"""Secrets: nothing that prints, logs, copies or stores a value shows one."""

from __future__ import annotations

import json
import logging
import pickle
import pprint
import string
from collections.abc import Callable, Mapping
from copy import copy, deepcopy
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

import attrs
import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from hotelcore import HotelcoreError, KeyRing, Secret, wire
from hotelcore.domain import fields
from hotelcore.domain.audit import text_of_change
from hotelcore.errors import InvalidInput, SealBroken, SecretWithheld, UnknownKey
from hotelcore.ids import HotelId
from hotelcore.operations.arguments import checked
from hotelcore.vault import Key, Place, seal, unseal
from tests.sql.house import texts
from tests.vault.canary import CANARY, shown, traced

any_value: Callable[..., Any] = lambda value: value  # noqa: E731  # hides a type from mypy
HERE = Place(HotelId(UUID(int=1)), "hc_pms_config", "api_key", UUID(int=2))


@frozen
class Holder:
    """A record that somebody put a secret into."""

    secret: Secret
    others: tuple[Secret, ...] = ()
    named: Mapping[str, Secret] = attrs.field(factory=dict)


@dataclass
class Held:
    """The same as a dataclass."""

    secret: object


SECRET = Secret(CANARY)
HOLDER = Holder(SECRET, (SECRET,), {"key": SECRET})

SINKS: Mapping[str, Callable[[], object]] = {
    "repr": lambda: repr(SECRET),
    "str": lambda: str(SECRET),
    "format": lambda: f"{SECRET}{SECRET!r}{SECRET!s}{SECRET!a}{SECRET:>100}{SECRET:x}",
    "percent": lambda: "%s %r %a" % (SECRET, SECRET, SECRET),  # noqa: UP031
    "str.format": lambda: "{0} {0!r} {0:50}".format(SECRET),  # noqa: UP032
    "template": lambda: string.Template("$secret").substitute(secret=SECRET),
    "containers": lambda: repr([{"key": (SECRET,)}]),
    "pprint": lambda: pprint.pformat([SECRET, HOLDER]),
    "attrs": lambda: repr(HOLDER),
    "asdict": lambda: repr(attrs.asdict(HOLDER)),
    "astuple": lambda: repr(attrs.astuple(HOLDER)),
    "asdict through str": lambda: json.dumps(attrs.asdict(HOLDER), default=str),
    "JSON through repr": lambda: json.dumps({"key": SECRET}, default=repr),
    "dir": lambda: repr([dir(SECRET), dir(Secret)]),
    "an error's arguments": lambda: repr(ValueError(SECRET, HOLDER)),
    "audit changes": lambda: text_of_change("x", HERE.row, None, Place(*attrs.astuple(HERE))),
}


@pytest.mark.parametrize("name", SINKS)
def test_no_sink_shows_a_secret(name: str) -> None:
    """Whatever makes a text of a secret, or of what holds it, makes one without its value."""
    assert CANARY not in str(SINKS[name]())


REFUSING: Mapping[str, Callable[[], object]] = {
    "pickle": lambda: pickle.dumps(SECRET),
    "pickle, old": lambda: pickle.dumps(HOLDER, protocol=0),
    "copy": lambda: copy(SECRET),
    "deepcopy": lambda: deepcopy(HOLDER),
    "state": lambda: any_value(SECRET).__getstate__(),
    "dataclass": lambda: asdict(Held(SECRET)),
    "json": lambda: json.dumps(SECRET),
    "json in a container": lambda: json.dumps({"key": [SECRET]}),
    "vars": lambda: vars(SECRET),
    "wire": lambda: wire.encode(SECRET),
    "wire in a record": lambda: wire.encode(HOLDER),
    "canonical": lambda: wire.canonical({"key": [SECRET]}),
    "fingerprint": lambda: wire.fingerprint((SECRET,)),
    "decode": lambda: wire.decode(CANARY[:0], Secret),
    "audit change": lambda: text_of_change("x", HERE.row, None, HOLDER),
    "iterate": lambda: list(any_value(SECRET)),
    "length": lambda: len(any_value(SECRET)),
    "join": lambda: ",".join([any_value(SECRET)]),
    "add": lambda: "x" + any_value(SECRET),
    "index": lambda: any_value(SECRET)[0],
    "bytes": lambda: bytes(any_value(SECRET)),
    "hash": lambda: hash(SECRET),
    "order": lambda: any_value(SECRET) < SECRET,
    "a host's attributes": lambda: fields.Attributes({"key": any_value(SECRET)}),
}


@pytest.mark.parametrize("name", REFUSING)
def test_a_secret_is_no_data(name: str) -> None:
    """It is not pickled, copied, iterated, hashed or turned into JSON, and no refusal shows it."""
    with pytest.raises((HotelcoreError, TypeError)) as caught:
        REFUSING[name]()
    assert CANARY not in traced(caught.value)
    again = pickle.loads(pickle.dumps(caught.value))
    assert CANARY not in shown(again)


def test_pickling_says_what_to_do() -> None:
    """The refusal is one of the library's and a TypeError, as pickle's own are."""
    with pytest.raises(SecretWithheld, match="hand over the object itself") as caught:
        pickle.dumps(SECRET)
    assert isinstance(caught.value, TypeError)


@given(texts(4_096), texts(4_096))
def test_a_secret_gives_its_text_to_who_asks(one: str, other: str) -> None:
    """`reveal` gives the text, and secrets are equal exactly if their texts are."""
    assert Secret(one).reveal() == one
    assert (Secret(one) == Secret(other)) == (one == other)
    assert Secret(one) == Secret(one)
    assert Secret(one) != any_value(one)


BAD_TEXTS: Mapping[str, object] = {
    "long": CANARY * 400,
    "NUL": f"{CANARY}\0",
    "surrogate": f"{CANARY}\ud800",
    "bytes": CANARY.encode(),
    "list": [CANARY],
    "empty": "",
    "blank": "  ",
    "none": None,
}


@pytest.mark.parametrize("name", BAD_TEXTS)
def test_a_bad_text_is_refused_without_being_shown(name: str) -> None:
    """Neither the refusal's text nor any of our frames under it holds what was given."""
    with pytest.raises(InvalidInput, match="secret: ") as caught:
        Secret(any_value(BAD_TEXTS[name]))
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert CANARY not in traced(caught.value)


@pytest.mark.parametrize("value", [CANARY, CANARY.encode(), [SECRET], 7])
def test_an_operation_takes_a_secret_for_nothing_else(value: object) -> None:
    """An argument that is declared as a `Secret` takes nothing else, and does not show that."""

    @checked
    def work(*, api_key: Secret | None = None) -> None:
        raise AssertionError(api_key)

    with pytest.raises(InvalidInput, match="api_key: must be a Secret") as caught:
        work(api_key=any_value(value))
    assert CANARY not in str(caught.value)


# -- failures while something is sealed or opened ---------------------------------------------


class Failing:
    """Keys that cannot be had, at one point or another."""

    def __init__(self, ring: KeyRing, *, at: str) -> None:
        self._ring, self._at = ring, at

    def current(self) -> Key:
        """Give the current key, or fail."""
        if self._at == "current":
            raise ConnectionError
        return self._ring.current()

    def numbered(self, number: int) -> Key:
        """Give a key, or fail."""
        if self._at == "numbered":
            raise ConnectionError
        raise UnknownKey(number)


MATERIAL = bytes.fromhex("8f" + "".join(f"{37 * n % 256:02x}" for n in range(3, 34)))


def test_failing_to_seal_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither secret nor key stands in a frame, whatever fails: the provider, chance, a place."""
    ring = KeyRing({1: MATERIAL})

    def no_chance(size: int) -> bytes:
        raise OSError(size)

    failures: list[BaseException] = []
    with pytest.raises(ConnectionError) as caught:
        seal(Failing(ring, at="current"), HERE, SECRET)
    failures.append(caught.value)
    with pytest.raises(AttributeError) as wrong:
        seal(ring, any_value("nowhere"), SECRET)
    failures.append(wrong.value)
    with pytest.raises(AttributeError) as text:
        seal(ring, HERE, any_value(None))
    failures.append(text.value)
    monkeypatch.setattr("os.urandom", no_chance)
    with pytest.raises(OSError, match="12") as chance:
        seal(ring, HERE, SECRET)
    failures.append(chance.value)
    for failure in failures:
        assert CANARY not in traced(failure)
        assert repr(MATERIAL)[2:-1] not in traced(failure)


@given(st.data())
def test_failing_to_open_shows_nothing(data: st.DataObject) -> None:
    """Neither secret nor key stands in a frame when an envelope stays shut."""
    ring = KeyRing({1: MATERIAL})
    envelope = bytearray(seal(ring, HERE, SECRET))
    envelope[data.draw(st.integers(0, len(envelope) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SealBroken) as caught:
        unseal(ring, HERE, bytes(envelope))
    with pytest.raises(ConnectionError) as failed:
        unseal(Failing(ring, at="numbered"), HERE, seal(ring, HERE, SECRET))
    for failure in (caught.value, failed.value):
        assert CANARY not in traced(failure)
        assert repr(MATERIAL)[2:-1] not in traced(failure)
        assert repr(ring.current().derived("hotelcore/seal"))[2:-1] not in traced(failure)


def test_logging_shows_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """A log at DEBUG has the mark, also with the traceback of a failure."""
    with caplog.at_level(logging.DEBUG):
        logging.debug("connecting with %s, %r", SECRET, HOLDER)  # noqa: LOG015
        try:
            unseal(KeyRing({1: MATERIAL}), HERE, b"")
        except SealBroken:
            logging.exception("failed with %s", SECRET)  # noqa: LOG015
    assert "<secret>" in caplog.text
    assert CANARY not in caplog.text


def test_the_search_would_find_a_value_in_a_frame() -> None:
    """What another module than a test had in a local variable is found."""
    with pytest.raises(TypeError) as caught:
        json.dumps({CANARY: object()})
    assert CANARY in traced(caught.value)
