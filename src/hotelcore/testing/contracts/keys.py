"""The promises of a key provider: a number always means the same key, and nothing shows it."""

from __future__ import annotations

import asyncio
import pickle
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ClassVar

from hotelcore.errors import UnknownKey
from hotelcore.ids import HotelId, new_id
from hotelcore.testing.contracts.promises import promise, refusal
from hotelcore.vault import (
    KEY_BYTES,
    Key,
    KeyProvider,
    Place,
    Secret,
    key_number,
    resealed,
    seal,
    unseal,
)

__all__ = ["KeyProviderContract"]

_NO_NUMBERS = (0, -1, 2**32 - 1, 2**32)
_THREADS = 8


class KeyProviderContract:
    """Subclass it under a name that begins with ``Test``, and give the fixture ``keys``.

    ``keys`` returns your `hotelcore.vault.KeyProvider`, with at least one key. ``older`` are the
    numbers of further keys that it must still have, so that what they sealed can be opened.
    """

    older: ClassVar[Collection[int]] = ()
    """The numbers of keys that are current no longer."""

    @promise("A key provider answers with keys of 32 bytes.")
    def test_a_key_has_32_bytes(self, keys: KeyProvider) -> None:
        """Ask for the current key and for each known number."""
        for key in (keys.current(), *map(keys.numbered, self._numbers(keys))):
            assert isinstance(key, Key), f"It answered with a {type(key).__name__}, which is none."
            assert len(_material(key)) == KEY_BYTES, f"Key {key.number} has {len(_material(key))}."

    @promise("The key of a number bears that number.")
    def test_a_key_bears_its_number(self, keys: KeyProvider) -> None:
        """Ask for each known number, that of the current key among them."""
        for number in self._numbers(keys):
            found = keys.numbered(number).number
            assert found == number, f"Asked for key {number}, it gave key {found}."

    @promise("A number means the same key whenever it is asked for.")
    def test_a_number_means_the_same_key_again(self, keys: KeyProvider) -> None:
        """Ask several times for each known number, and for the current key by its number."""
        for number in self._numbers(keys):
            first = keys.numbered(number)
            for _ in range(3):
                seen = f"Key {number} is another each time."
                assert keys.numbered(number).same_material(first), seen
        current = keys.current()
        seen = f"Key {current.number} is not the current key, which has that number."
        assert keys.numbered(current.number).same_material(current), seen

    @promise("Two numbers never mean the same key.")
    def test_numbers_mean_different_keys(self, keys: KeyProvider) -> None:
        """Compare the keys of all known numbers."""
        known = [keys.numbered(number) for number in self._numbers(keys)]
        for place, key in enumerate(known):
            for other in known[place + 1 :]:
                seen = f"Keys {key.number} and {other.number} are the same."
                assert not key.same_material(other), seen

    @promise("An unknown number is answered with UnknownKey, which names it.")
    def test_an_unknown_number_is_told(self, keys: KeyProvider) -> None:
        """Ask for numbers that no key has, or that no key can have."""
        for number in set(_NO_NUMBERS) - set(self._numbers(keys)):
            what = f"To ask for key {number}"
            error = refusal(UnknownKey, partial(keys.numbered, number), what)
            assert error.number == number, f"Asked for key {number}, it named {error.number}."

    @promise("What is sealed under the current key opens again, as long as it has the key.")
    def test_the_current_key_seals(self, keys: KeyProvider) -> None:
        """Seal a secret, open it, and seal it anew."""
        place = Place(hotel_id=HotelId(new_id()), table="contract", column="secret", row=new_id())
        secret = Secret("a word that nobody is told")
        envelope = seal(keys, place, secret)
        for each in (envelope, resealed(keys, place, envelope)):
            assert unseal(keys, place, each) == secret, "It opened to something else."
        found = key_number(envelope)
        assert found == keys.current().number, f"It was sealed under key {found}, not the current."

    @promise("A key provider may be asked from many threads at once.")
    def test_threads_get_the_same_keys(self, keys: KeyProvider) -> None:
        """Let some threads ask for all known keys at the same time."""
        numbers = self._numbers(keys)
        with ThreadPoolExecutor(_THREADS) as threads:
            found = list(threads.map(lambda _: [*map(keys.numbered, numbers)], range(_THREADS)))
        for answers in found:
            for key, first in zip(answers, found[0], strict=True):
                seen = f"Two threads got two keys under the number {key.number}."
                assert key.same_material(first), seen

    @promise("A key provider answers from memory, so also in the thread of an event loop.")
    def test_an_event_loop_gets_the_same_keys(self, keys: KeyProvider) -> None:
        """Ask while an event loop is running: whoever starts one of its own fails there."""

        async def ask() -> list[Key]:
            return [keys.current(), *map(keys.numbered, self._numbers(keys))]

        for key in asyncio.run(ask()):
            seen = f"In an event loop key {key.number} is another."
            assert keys.numbered(key.number).same_material(key), seen

    @promise("Nothing that shows a key provider shows a key.")
    def test_nothing_shows_a_key(self, keys: KeyProvider) -> None:
        """Print the provider, its keys, and the error for an unknown number."""
        known = [keys.numbered(number) for number in self._numbers(keys)]
        unknown = next(number for number in _NO_NUMBERS if number not in self._numbers(keys))
        error = refusal(UnknownKey, partial(keys.numbered, unknown), "To ask for an unknown key")
        for shown in (keys, known, error):
            for text in (repr(shown), str(shown), f"{shown}"):
                assert not _shows(text.encode(), known), f"The text of a {_kind(shown)} shows one."

    @promise("A key provider that can be pickled or copied takes no key along.")
    def test_pickling_takes_no_key_along(self, keys: KeyProvider) -> None:
        """Pickle the provider and look for each known key in the bytes."""
        known = [keys.numbered(number) for number in self._numbers(keys)]
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            try:
                pickled = pickle.dumps(keys, protocol)
            except Exception:  # noqa: BLE001, S112  # who refuses, in whatever way, gives nothing away
                continue
            assert not _shows(pickled, known), f"Pickle's protocol {protocol} holds one."

    def _numbers(self, keys: KeyProvider) -> tuple[int, ...]:
        return tuple(sorted({*self.older, keys.current().number}))


def _shows(text: bytes, keys: Iterable[Key]) -> bool:
    return any(form in text for key in keys for form in _forms(_material(key)))


def _forms(material: bytes) -> Iterable[bytes]:
    """Give a key as it may stand in a text."""
    yield material
    yield repr(material).encode()[2:-1]
    yield material.hex().encode()
    yield material.hex().upper().encode()
    yield b64encode(material).rstrip(b"=")
    yield urlsafe_b64encode(material).rstrip(b"=")


def _material(key: Key) -> bytes:
    return key._material  # nobody else may look: here it is looked for where it must not be


def _kind(shown: object) -> str:
    return type(shown).__name__
