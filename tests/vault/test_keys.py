"""Keys: only what was drawn at random is one, and a refusal names the variable, never the value."""

from __future__ import annotations

import os
import pickle
import traceback
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from copy import copy, deepcopy
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotelcore import HotelCore, HotelcoreError, KeyRing
from hotelcore.errors import InvalidInput, SecretWithheld, UnknownKey
from hotelcore.vault import KEY_BYTES, Key, key_variable, number_of_variable

any_value: Callable[..., Any] = lambda value: value  # noqa: E731  # hides a type from mypy
GOOD = sha256(b"good").digest()
OTHER = sha256(b"other").digest()

EXAMPLES: Mapping[str, bytes] = {
    "zeros": bytes(32),
    "ones": b"\xff" * 32,
    "one letter": b"a" * 32,
    "counting up": bytes(range(32)),
    "counting from 1": bytes(range(1, 33)),
    "counting down": bytes(range(255, 223, -1)),
    "counting over the end": bytes((250 + n) % 256 for n in range(32)),
    "counting by 17": bytes(17 * n % 256 for n in range(32)),
    "RFC 8439, section 2.8.2": bytes(range(0x80, 0xA0)),
    "FIPS 197, appendix C.3": bytes.fromhex(
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
    ),
    "FIPS 197, appendix A.3": bytes.fromhex(
        "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"
    ),
    "McGrew and Viega, test case 16": bytes.fromhex("feffe9928665731c6d6a8f9467308308" * 2),
    "RFC 8439, appendix A.5": bytes.fromhex(
        "1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0"
    ),
    "RFC 5869, appendix A.1": bytes.fromhex(
        "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5"
    ),
    "a half twice": GOOD[:16] * 2,
    "two letters": b"ab" * 16,
    "text": b"changeme-changeme-changeme-chang",
    "a passphrase": b"correct horse battery staple 123",
    "hexadecimal text": b"0f8b2c9d4e6a7f1c3b5d8e0a2c4f6b8d",
    "fifteen different bytes": (bytes(GOOD[:15]) * 3)[:32],
    "short": GOOD[:31],
    "long": GOOD + b"\x01",
    "half": GOOD[:16],
    "nothing": b"",
}
TEXTS: Mapping[str, str] = {
    "empty": "",
    "blank": "  ",
    "changeme": "changeme",
    "not base64": "!" * 44,
    "not ASCII": "é" * 44,
    "not hexadecimal": "zz" * 32,
    "hexadecimal, cut": GOOD.hex()[:-1],
    "base64, cut": b64encode(GOOD).decode()[:-4],
    "two keys": b64encode(GOOD).decode() * 2,
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_nobody_drew_is_no_key(name: str) -> None:
    """Zeros, patterns, text and published keys are refused, whichever way they are given."""
    material = EXAMPLES[name]
    for make in (
        lambda: Key(1, material),
        lambda: KeyRing({1: material}),
        lambda: KeyRing({1: b64encode(material).decode()}),
        lambda: KeyRing.from_environment({"PMS_ENCRYPTION_KEY": material.hex()}),
    ):
        with pytest.raises(InvalidInput, match="hotelcore keys generate"):
            make()


@pytest.mark.parametrize("text", [*TEXTS.values(), *(m.hex() for m in EXAMPLES.values())])
@pytest.mark.parametrize("variable", ["PMS_ENCRYPTION_KEY", "PMS_ENCRYPTION_KEY_2"])
def test_a_bad_key_is_refused_by_its_variable(
    variable: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process does not start, and is told which variable is wrong, never what stands in it."""
    monkeypatch.setenv("PMS_ENCRYPTION_KEY", b64encode(GOOD).decode())
    monkeypatch.setenv(variable, text)
    with pytest.raises(InvalidInput) as caught:
        KeyRing.from_environment()
    error = caught.value
    assert error.field == variable
    assert error.__cause__ is error.__context__ is None
    shown = "".join(
        traceback.TracebackException.from_exception(error, capture_locals=True).format()
    )
    ours = shown.split("vault.py", 1)[1]
    assert len(text) < 8 or text.strip() not in ours
    assert b64encode(GOOD).decode() not in ours


@pytest.mark.parametrize(
    ("environment", "variable"),
    [
        ({}, "PMS_ENCRYPTION_KEY"),
        ({"PMS_ENCRYPTION_KEYS": GOOD.hex()}, "PMS_ENCRYPTION_KEY"),
        ({"PMS_ENCRYPTION_KEY_OLD": GOOD.hex()}, "PMS_ENCRYPTION_KEY"),
        ({"PMS_ENCRYPTION_KEY_0": GOOD.hex()}, "PMS_ENCRYPTION_KEY_0"),
        ({"PMS_ENCRYPTION_KEY_1": GOOD.hex()}, "PMS_ENCRYPTION_KEY_1"),
        ({"PMS_ENCRYPTION_KEY_02": GOOD.hex()}, "PMS_ENCRYPTION_KEY_02"),
        ({"PMS_ENCRYPTION_KEY_4294967296": GOOD.hex()}, "PMS_ENCRYPTION_KEY_4294967296"),
        ({"PMS_ENCRYPTION_KEY_" + "9" * 5000: GOOD.hex()}, "PMS_ENCRYPTION_KEY_" + "9" * 5000),
        (
            {"PMS_ENCRYPTION_KEY": GOOD.hex(), "PMS_ENCRYPTION_KEY_2": b64encode(GOOD).decode()},
            "PMS_ENCRYPTION_KEY_2",
        ),
    ],
)
def test_a_ring_without_good_keys_is_refused(environment: dict[str, str], variable: str) -> None:
    """No key at all, a misspelt number, and one key under two numbers are refused by name."""
    with pytest.raises(InvalidInput) as caught:
        KeyRing.from_environment(environment)
    assert caught.value.field == variable
    assert GOOD.hex() not in str(caught.value)


@given(
    materials=st.dictionaries(
        st.integers(1, 2**32 - 1),
        st.integers(0, 2**64).map(lambda seed: sha256(str(seed).encode()).digest()),
        min_size=1,
        max_size=5,
    ).filter(lambda drawn: len(set(drawn.values())) == len(drawn)),
    form=st.sampled_from(
        (
            bytes.hex,
            lambda m: b64encode(m).decode(),
            lambda m: urlsafe_b64encode(m).decode().rstrip("="),
            lambda m: f" {b64encode(m).decode()}\n",
        )
    ),
)
def test_good_keys_are_read_in_every_form(
    materials: dict[int, bytes], form: Callable[[bytes], str]
) -> None:
    """Base64, also that of URLs and unpadded, and hexadecimal text give the same keys as bytes."""
    ring = KeyRing(materials)
    texts = {number: form(material) for number, material in materials.items()}
    read = KeyRing.from_environment(
        {"PATH": "/bin", **{key_variable(number): text for number, text in texts.items()}}
    )
    assert ring.numbers == read.numbers == KeyRing(texts).numbers == tuple(sorted(materials))
    assert read.current().number == max(materials)
    for number, material in materials.items():
        expected = Key(number, material)
        for known in (ring.numbered(number), read.numbered(number)):
            assert known.number == number
            assert known.same_material(expected)
            assert known.derived("use") == expected.derived("use")
        assert number_of_variable(key_variable(number)) == number


@given(seed=st.binary(min_size=8))
def test_random_material_is_a_key(seed: bytes) -> None:
    """What was drawn at random is not taken for an example."""
    assert Key(1, sha256(seed).digest()).number == 1


def test_an_unknown_number_is_told() -> None:
    """The ring names the number that it does not have."""
    with pytest.raises(UnknownKey, match="no key 3") as caught:
        KeyRing({1: GOOD}).numbered(3)
    assert caught.value.number == 3
    assert isinstance(caught.value, LookupError)


@pytest.mark.parametrize("number", [0, -1, 2**32, True, 1.0, "1", None])
def test_a_key_has_a_number_that_fits(number: object) -> None:
    """A number is a whole one from 1 to 2**32 - 1."""
    with pytest.raises(InvalidInput):
        Key(any_value(number), GOOD)


@pytest.mark.parametrize("materials", [{}, None, [GOOD], GOOD, {1: None}, {1: 7}, {None: GOOD}])
def test_a_ring_of_something_else_is_refused(materials: object) -> None:
    """Only a mapping of numbers to keys makes a ring."""
    with pytest.raises(InvalidInput):
        KeyRing(any_value(materials))


def shown_by_ours(error: BaseException) -> str:
    """Return the traceback with the variables of the library's own frames."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True).format()
    return str(error) + "".join(shown).split("vault.py", 1)[1]


@pytest.mark.parametrize(
    "make",
    [
        lambda key: KeyRing({key: any_value(1)}),
        lambda key: KeyRing({1: GOOD, key: GOOD}),
        lambda key: KeyRing({key.hex(): any_value(1)}),
        lambda key: KeyRing({int.from_bytes(key): GOOD}),
        lambda key: Key(key, any_value(1)),
        lambda key: KeyRing({1: GOOD}).numbered(key),
        lambda key: KeyRing.from_environment({key.hex(): "PMS_ENCRYPTION_KEY"}),
        lambda key: KeyRing.from_environment({key: "PMS_ENCRYPTION_KEY"}),
    ],
)
def test_a_key_in_the_place_of_its_number_is_not_shown(make: Callable[[bytes], object]) -> None:
    """A key and its number the wrong way round are refused in words that have neither."""
    key = b"0123456789-my-32-byte-secret-key"
    with pytest.raises(InvalidInput) as caught:
        make(key)
    shown = shown_by_ours(caught.value)
    for form in (key.decode(), key.hex(), str(int.from_bytes(key))):
        assert form not in shown


@pytest.mark.parametrize("environment", [5, "PMS_ENCRYPTION_KEY", ["PMS_ENCRYPTION_KEY"]])
def test_an_environment_is_a_mapping(environment: object) -> None:
    """Anything else is refused by the argument's name."""
    with pytest.raises(InvalidInput) as caught:
        KeyRing.from_environment(any_value(environment))
    assert caught.value.field == "environment"


def test_each_use_has_a_key_of_its_own() -> None:
    """Keys for two purposes, or from two keys, have nothing in common."""
    purposes = [f"purpose {n}" for n in range(50)]
    derived = {Key(1, m).derived(purpose) for m in (GOOD, OTHER) for purpose in purposes}
    assert len(derived) == 100
    assert {len(key) for key in derived} == {KEY_BYTES}
    assert GOOD not in derived


def test_derived_keys_are_hkdf() -> None:
    """A key is derived as RFC 5869 says: extracted under no salt, expanded with the purpose."""
    import hmac

    extracted = hmac.digest(bytes(32), GOOD, "sha256")
    expanded = hmac.digest(extracted, b"hotelcore/seal\x01", "sha256")
    assert Key(1, GOOD).derived("hotelcore/seal") == expanded


@pytest.mark.parametrize("kept", [Key(1, GOOD), KeyRing({1: GOOD})])
def test_keys_show_nothing(kept: object) -> None:
    """No text of a key or a ring holds the material, and neither is pickled or copied."""
    for text in (repr(kept), str(kept), f"{kept}", f"{[kept]}"):
        assert repr(GOOD)[2:-1] not in text
        assert GOOD.hex() not in text
    for leave in (pickle.dumps, copy, deepcopy, lambda it: it.__getstate__()):
        with pytest.raises(SecretWithheld):
            leave(any_value(kept))


def test_a_refused_key_can_be_shown() -> None:
    """What shows tracebacks with local variables can show those of a refusal."""
    for fail in (lambda: Key(1, bytes(32)), lambda: KeyRing({1: bytes(32)})):
        with pytest.raises(InvalidInput) as caught:
            fail()
        found = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        assert "vault.py" in "".join(found.format())


@pytest.mark.parametrize("keys", [object(), {1: GOOD}, GOOD, "key"])
def test_a_core_takes_nothing_but_a_provider(keys: object) -> None:
    """What cannot give keys is refused when the core is made."""
    with pytest.raises(InvalidInput, match="keys: "):
        HotelCore("sqlite://", keys=any_value(keys))


def test_the_errors_of_keys_travel() -> None:
    """Every refusal survives pickling, whole."""
    for fail in (
        lambda: KeyRing({1: GOOD}).numbered(2),
        lambda: pickle.dumps(Key(1, GOOD)),
        lambda: Key(1, bytes(32)),
        lambda: KeyRing.from_environment({}),
    ):
        with pytest.raises(HotelcoreError) as caught:
            fail()
        again = pickle.loads(pickle.dumps(caught.value))
        assert (type(again), str(again)) == (type(caught.value), str(caught.value))
    assert os.environ.get("PMS_ENCRYPTION_KEY") is None
