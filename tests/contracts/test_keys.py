"""The contract of a key provider: ours keeps it, and each promise can be seen broken."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from hashlib import sha256
from itertools import count
from typing import ClassVar, cast

import pytest

from hotelcore.errors import UnknownKey
from hotelcore.testing.contracts import KeyProviderContract
from hotelcore.vault import Key, KeyProvider, KeyRing, key_variable
from tests.contracts.breaking import Case, broken_promise, cases_of

OLD, NEW, OTHER = (sha256(b"key %d" % number).digest() for number in (1, 2, 3))


class TestTheKeyRing(KeyProviderContract):
    """The library's ring of two keys."""

    older = (1,)

    @pytest.fixture(params=["given", "from the environment"])
    def keys(self, request: pytest.FixtureRequest) -> KeyProvider:
        """Return a ring of two keys, made in each way."""
        materials = {1: OLD, 2: NEW}
        if request.param == "given":
            return KeyRing(materials)
        return KeyRing.from_environment({key_variable(n): m.hex() for n, m in materials.items()})


class Remote:
    """A host's own provider, which unwrapped its keys when the process began."""

    def __init__(self) -> None:
        self._keys: Mapping[int, Key] = {1: Key(1, OLD), 2: Key(2, NEW)}

    def current(self) -> Key:
        """Return key 2."""
        return self._keys[2]

    def numbered(self, number: int) -> Key:
        """Return one of two."""
        try:
            return self._keys[number]
        except KeyError:
            raise UnknownKey(number) from None


class TestAProviderOfAHost(KeyProviderContract):
    """The smallest provider that keeps the contract."""

    older = (1,)

    @pytest.fixture
    def keys(self) -> KeyProvider:
        """Return a provider of two keys."""
        return Remote()


# -- broken ones ----------------------------------------------------------------------------------


class Bare(Remote):
    """Hands out bytes."""

    def current(self) -> Key:
        return cast("Key", Plain(2))


class Plain:
    """Looks like a key and is none."""

    def __init__(self, number: int) -> None:
        self.number = number


class Confused(Remote):
    """Gives the newest key, whatever was asked for."""

    def numbered(self, number: int) -> Key:
        super().numbered(number)
        return self.current()


class Fresh(Remote):
    """Makes a new key each time."""

    _drawn: ClassVar = count(4)

    def numbered(self, number: int) -> Key:
        super().numbered(number)
        return Key(number, sha256(b"key %d" % next(self._drawn)).digest())


class Hasty(Remote):
    """Knows another key 2 by its number than as the current one."""

    def current(self) -> Key:
        return Key(2, OTHER)


class Twice(Remote):
    """Has one key under two numbers."""

    def __init__(self) -> None:
        self._keys = {1: Key(1, NEW), 2: Key(2, NEW)}


class Rough(Remote):
    """Lets the error of its dictionary out."""

    def numbered(self, number: int) -> Key:
        return self._keys[number]


class Obliging(Remote):
    """Makes a key for every number."""

    def numbered(self, number: int) -> Key:
        return self._keys[1] if number == 1 else self._keys[2]


class Nameless(Remote):
    """Does not say which key is missing."""

    def numbered(self, number: int) -> Key:
        if number not in self._keys:
            raise UnknownKey(99)
        return self._keys[number]


class Forgetful(Remote):
    """Does not have the key that it calls current: what it seals never opens."""

    def current(self) -> Key:
        return Key(3, OTHER)


class Looping(Remote):
    """Starts an event loop of its own to fetch a key."""

    def numbered(self, number: int) -> Key:
        fetching = self._fetch(number)
        try:
            return asyncio.run(fetching)
        finally:
            fetching.close()

    async def _fetch(self, number: int) -> Key:
        return super().numbered(number)


class Shared(Remote):
    """Gives whatever key stands at the top when several ask."""

    _asked: ClassVar = count()

    def numbered(self, number: int) -> Key:
        super().numbered(number)
        return Key(number, (OLD, NEW)[next(self._asked) // 3 % 2])


class Talkative(Remote):
    """Prints what it holds."""

    def __repr__(self) -> str:
        return f"Talkative({OLD.hex()})"


class Chatty(Remote):
    """Says what it looked through, when it finds nothing."""

    def numbered(self, number: int) -> Key:
        try:
            return super().numbered(number)
        except UnknownKey:
            raise Telling(number) from None


class Telling(UnknownKey):
    """An error that holds too much."""

    def message(self) -> str:
        return f"not among {NEW!r}"


class Packed(Remote):
    """Travels with its keys, as bytes."""

    def __reduce__(self) -> tuple[type[bytes], tuple[bytes]]:
        return bytes, (OLD,)


CASES: list[Case[type[Remote]]] = [
    ("test_a_key_has_32_bytes", Bare, "a Plain, which is none"),
    ("test_a_key_bears_its_number", Confused, "Asked for key 1, it gave key 2"),
    ("test_a_number_means_the_same_key_again", Fresh, "Key 1 is another each time"),
    ("test_a_number_means_the_same_key_again", Hasty, "Key 2 is not the current key"),
    ("test_numbers_mean_different_keys", Twice, "Keys 1 and 2 are the same"),
    ("test_an_unknown_number_is_told", Rough, "raised KeyError and not UnknownKey"),
    ("test_an_unknown_number_is_told", Obliging, "raised nothing, where UnknownKey is due"),
    ("test_an_unknown_number_is_told", Nameless, "it named 99"),
    ("test_the_current_key_seals", Forgetful, "raised SealBroken"),
    ("test_the_current_key_seals", Hasty, "raised SealBroken"),
    ("test_threads_get_the_same_keys", Shared, "Two threads got two keys under the number"),
    ("test_an_event_loop_gets_the_same_keys", Looping, "raised RuntimeError"),
    ("test_nothing_shows_a_key", Talkative, "text of a Talkative shows one"),
    ("test_nothing_shows_a_key", Chatty, "text of a Telling shows one"),
    ("test_pickling_takes_no_key_along", Packed, "protocol 0 holds one"),
]


@pytest.mark.parametrize(("check", "broken", "seen"), CASES)
def test_a_broken_provider_is_told(check: str, broken: type[Remote], seen: str) -> None:
    """Each promise is found broken, in its own words."""
    broken_promise(TestAProviderOfAHost(), check, seen, keys=broken())


def test_every_promise_can_break() -> None:
    """No check passes whatever it is given."""
    assert cases_of(CASES) == cases_of(KeyProviderContract)
