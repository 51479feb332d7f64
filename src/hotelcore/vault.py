"""Sealing what a backup must not give away: secrets, keys and the envelopes in the database.

An envelope is ``version (1 byte) | key number (4, big-endian) | nonce (12) | ciphertext and tag``,
made by AES-256-GCM (NIST SP 800-38D). It opens only in the place it was sealed for.

Nothing here keeps a plaintext or a key in a frame that raises, so that no traceback with local
variables shows one.
"""

from __future__ import annotations

import os
import struct
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Mapping
from hmac import compare_digest
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, NoReturn, Protocol, SupportsIndex, final
from uuid import UUID

from attrs import frozen

from hotelcore import wire
from hotelcore.domain import fields
from hotelcore.errors import InvalidInput, SealBroken, SecretWithheld, UnknownKey
from hotelcore.ids import HotelId
from hotelcore.text import clean_text

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = [
    "KEY_BYTES",
    "KEY_VARIABLE",
    "Key",
    "KeyProvider",
    "KeyRing",
    "Place",
    "Secret",
    "header",
    "key_number",
    "key_variable",
    "number_of_variable",
    "opened_with",
    "resealed",
    "seal",
    "sealed_with",
    "unseal",
]

KEY_BYTES = 32
"""How many bytes a key has."""

KEY_VARIABLE = "PMS_ENCRYPTION_KEY"
"""The environment variable of key 1; the others are this with ``_2``, ``_3``, …"""

_MOST_CHARACTERS = 4_096
_MOST_NUMBER = 2**32 - 1
_VERSION = 1
_HEADER = struct.Struct(">BI")
_NONCE_BYTES = 12
_SEALING = "hotelcore/seal"


class _Withheld:
    """What is neither pickled nor copied: a copy would be out of sight."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise SecretWithheld(type(self).__name__)

    def __getstate__(self) -> NoReturn:
        raise SecretWithheld(type(self).__name__)


# -- secrets ---------------------------------------------------------------------------------


@final
class Secret(_Withheld):
    """A text that nothing shows: no print, log, traceback, pickle, event or audit entry.

    ``text`` has 1 to 4,096 characters. Two secrets are equal if their texts are, which takes the
    same time wherever they differ. Raises `InvalidInput` for other text, `SecretWithheld` where
    somebody pickles or copies it.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        reason = _fault_of_text(text)
        if reason is not None:
            del text
            raise InvalidInput("secret", reason)
        self._text = text

    def reveal(self) -> str:
        """Return the text itself. Call it where the text is used, and keep it nowhere."""
        return self._text

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return compare_digest(self._text.encode(), other._text.encode())

    def __repr__(self) -> str:
        return "<secret>"

    def __format__(self, spec: str) -> str:
        return "<secret>"


wire.keep_out(
    Secret, "is secret and never stored as data, nor hashed: give it without an idempotency key"
)


def _fault_of_text(text: object) -> str | None:
    try:
        clean_text("secret", text, most=_MOST_CHARACTERS)
    except InvalidInput as refusal:
        return refusal.reason
    return None


# -- keys ------------------------------------------------------------------------------------


@final
class Key(_Withheld):
    """A key with the number that stands in every envelope sealed under it.

    ``number`` is 1 to 2**32 - 1, ``material`` 32 random bytes, which nothing shows. Raises
    `InvalidInput` for material that nobody drew at random: zeros, a pattern, text, a key out of a
    standard.
    """

    __slots__ = ("_material", "number")

    number: int

    def __init__(self, number: int, material: bytes) -> None:
        reason = _fault_of_number(number) or _fault_of_material(material)
        if reason is not None:
            del material, number, self  # the two may be the wrong way round
            raise InvalidInput("key", reason)
        self.number, self._material = number, material

    def __repr__(self) -> str:
        return f"Key({self.number})"

    def derived(self, purpose: str) -> bytes:
        """Return the 32 bytes for one purpose, by HKDF with SHA-256 (RFC 5869).

        Every use takes a key of its own, so that none learns anything about another's.
        """
        # Only who seals pays for the import.
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        expand = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=purpose.encode())
        return expand.derive(self._material)

    def same_material(self, other: Key) -> bool:
        """Tell whether another key has the same material."""
        return compare_digest(self._material, other._material)


def _fault_of_number(number: object) -> str | None:
    if isinstance(number, int) and not isinstance(number, bool) and 1 <= number <= _MOST_NUMBER:
        return None
    return f"must have a whole number from 1 to {_MOST_NUMBER}"


# Published as examples, so anybody can try them. Patterns are refused without a list.
_PUBLISHED = frozenset(
    map(
        bytes.fromhex,
        (
            # FIPS 197, appendix A.3; NIST SP 800-38A, appendix F
            "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
            # RFC 8439, appendix A
            "1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0",
            # RFC 5869, appendix A: input and output of the first HKDF example
            "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
        ),
    )
)
# 32 random bytes hold about 30 different ones; fewer than 16 happens once in 10**10 keys.
_FEWEST_DIFFERENT = 16
_REMEDY = "make one with 'hotelcore keys generate'"


def _fault_of_material(material: object) -> str | None:
    if not isinstance(material, bytes):
        return f"must be {KEY_BYTES} bytes: {_REMEDY}"
    if len(material) != KEY_BYTES:
        return f"must have {KEY_BYTES} bytes, not {len(material)}: {_REMEDY}"
    if _is_pattern(material) or material in _PUBLISHED:
        return f"is an example, not a key: {_REMEDY}"
    if all(0x20 <= byte < 0x7F for byte in material):
        return f"is text, which is guessed, not a key: {_REMEDY}"
    return None


def _is_pattern(material: bytes) -> bool:
    """Tell whether the bytes count in equal steps, repeat, or are few different ones."""
    steps = {(right - left) % 256 for left, right in pairwise(material)}
    halves = material[:16] == material[16:]
    return len(steps) == 1 or halves or len(set(material)) < _FEWEST_DIFFERENT


class KeyProvider(Protocol):
    """Where the keys come from: the environment (`KeyRing`), or your key management system.

    Both methods are called inside transactions and from any thread, also of an event loop, so
    answer from memory: unwrap data keys with the remote system when the process starts or in the
    background, never here. A number always means the same material, in every process and for as
    long as an envelope bears it; `hotelcore keys status` counts those.
    """

    def current(self) -> Key:
        """Return the key under which new secrets are sealed."""
        ...

    def numbered(self, number: int) -> Key:
        """Return the key of that number; `UnknownKey` if there is none."""
        ...


@final
class KeyRing(_Withheld):
    """Keys by number, kept in memory; the highest number is the current one.

    ``materials`` are 32 bytes each, or their base64 or hexadecimal text. Raises `InvalidInput`
    that names the key, never its value, for one that is short, long, malformed or an example, and
    for two of the same material.
    """

    __slots__ = ("_keys",)

    def __init__(self, materials: Mapping[int, bytes | str]) -> None:
        self._keys: Mapping[int, Key] = {}
        keys = _keys_of(materials)
        if isinstance(keys, InvalidInput):
            del materials
            raise keys
        self._keys = keys

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> KeyRing:
        """Read ``PMS_ENCRYPTION_KEY`` (key 1) and ``PMS_ENCRYPTION_KEY_2``, ``_3``, … .

        Any of them may be absent, but not all. Raises `InvalidInput` that names the variable, or
        for what is no mapping.
        """
        keys = _keys_in(os.environ if environment is None else environment)
        if isinstance(keys, InvalidInput):
            del environment
            raise keys
        ring = cls.__new__(cls)
        ring._keys = keys
        return ring

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of all keys, rising."""
        return tuple(sorted(self._keys))

    def current(self) -> Key:
        """Return the key with the highest number."""
        return self._keys[max(self._keys)]

    def numbered(self, number: int) -> Key:
        """Return the key of that number; `UnknownKey` if there is none."""
        if not isinstance(number, int):
            del number  # it may be a key
            raise InvalidInput("number", "must be a whole number")
        if number not in self._keys:
            raise UnknownKey(number)
        return self._keys[number]

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(map(str, self.numbers))})"


def key_variable(number: int) -> str:
    """Return the name of the environment variable of a key."""
    return KEY_VARIABLE if number == 1 else f"{KEY_VARIABLE}_{number}"


def number_of_variable(name: str) -> int | None:
    """Return the number of the key in an environment variable; None if it is none of ours."""
    digits = "1" if name == KEY_VARIABLE else name.removeprefix(f"{KEY_VARIABLE}_")
    if not digits.isdecimal() or len(digits) > len(str(_MOST_NUMBER)):
        return None
    number = int(digits)
    return number if 1 <= number <= _MOST_NUMBER and name == key_variable(number) else None


# What goes wrong with a key is returned, not raised, until no frame holds its text any more.
_Keys = Mapping[int, Key]


def _keys_of(materials: Mapping[int, bytes | str]) -> _Keys | InvalidInput:
    if not isinstance(materials, Mapping) or not materials:
        return InvalidInput("keys", "must be a mapping that holds at least one key by its number")
    if any(_fault_of_number(number) for number in materials):
        # Whatever stands there may be the key itself, so it is not named.
        reason = f"must be a mapping of numbers from 1 to {_MOST_NUMBER} to keys, and not of others"
        return InvalidInput("keys", reason)
    return _distinct({f"key {number}": _key_of(number, materials) for number in materials})


def _keys_in(environment: Mapping[str, str]) -> _Keys | InvalidInput:
    if not isinstance(environment, Mapping):
        return InvalidInput("environment", "must be a mapping of variables' names to their texts")
    names = [name for name in environment if _is_meant_as_variable(name)]
    if not names:
        return InvalidInput(KEY_VARIABLE, f"is not set: {_REMEDY} and set it")
    named: dict[str, Key | str] = {}
    for name in names:
        number = number_of_variable(name)
        if number is None:
            known = f"{KEY_VARIABLE}, {key_variable(2)}, {key_variable(3)}, …"
            return InvalidInput(name, f"is the name of no key: they are called {known}")
        named[name] = _key_of(number, {number: environment[name]})
    return _distinct(named)


def _is_meant_as_variable(name: object) -> bool:
    if not isinstance(name, str):
        return False
    begin = f"{KEY_VARIABLE}_"
    number = name.removeprefix(begin)
    return name == KEY_VARIABLE or (name.startswith(begin) and number.isdecimal())


def _distinct(named: Mapping[str, Key | str]) -> _Keys | InvalidInput:
    """Return the keys by number, or the refusal of the first one that is wrong."""
    keys: dict[int, Key] = {}
    for name, key in named.items():
        if isinstance(key, str):
            return InvalidInput(name, key)
        if any(key.same_material(other) for other in keys.values()):
            return InvalidInput(name, f"is another key once more: {_REMEDY}")
        keys[key.number] = key
    return MappingProxyType(keys)


def _key_of(number: int, materials: Mapping[int, bytes | str]) -> Key | str:
    """Return a key, or what is wrong with it."""
    given: object = materials[number]
    material = _decoded(given) if isinstance(given, str) else given
    if not isinstance(material, bytes):
        return f"must be the base64 or hexadecimal text of {KEY_BYTES} bytes: {_REMEDY}"
    try:
        return Key(number, material)
    except InvalidInput as refusal:
        return refusal.reason


def _decoded(text: str) -> bytes | None:
    text = text.strip()
    try:
        if len(text) == 2 * KEY_BYTES:
            return bytes.fromhex(text)
        padded = text + "=" * (-len(text) % 4)
        return b64decode(padded.translate(str.maketrans("-_", "+/")), validate=True)
    except (NotBase64, ValueError):
        return None


# -- envelopes -------------------------------------------------------------------------------


@frozen
class Place:
    """Where a sealed value stands; nowhere else does it open.

    ``table`` and ``column`` are the library's own names, so a table that the host put under
    another prefix or schema still opens.
    """

    hotel_id: HotelId = fields.identifier()
    table: str = fields.text(63)
    column: str = fields.text(63)
    row: UUID = fields.identifier()

    def encoded(self) -> bytes:
        """Return the place as bytes that no other place has: each part behind its length."""
        table, column = self.table.encode(), self.column.encode()
        parts = (self.hotel_id.bytes, table, column, self.row.bytes)
        return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def seal(keys: KeyProvider, place: Place, secret: Secret) -> bytes:
    """Return the envelope of a secret, for its place, under the current key.

    Its nonce is drawn at random, so no process needs to know of another. With 96 random bits a
    key may seal 2**32 values (NIST SP 800-38D, section 8.3); `hotelcore keys status` counts them.
    """
    key = keys.current()
    aad = header(key.number) + place.encoded()
    nonce = os.urandom(_NONCE_BYTES)
    return sealed_with(
        key.derived(_SEALING), nonce, secret.reveal().encode(), aad=aad, number=key.number
    )


def unseal(keys: KeyProvider, place: Place, envelope: bytes) -> Secret:
    """Return the secret of an envelope that was sealed for this place.

    Raises `SealBroken`, which says the same for whatever is wrong: a changed, cut or moved
    envelope, another key, or a number that ``keys`` does not know.
    """
    secret = _opened(keys, place, envelope)
    if secret is None:
        raise SealBroken
    return secret


def resealed(keys: KeyProvider, place: Place, envelope: bytes) -> bytes:
    """Return the same secret in a new envelope under the current key; `SealBroken` as `unseal`."""
    return seal(keys, place, unseal(keys, place, envelope))


def header(number: int) -> bytes:
    """Return the bytes with which every envelope under that key begins."""
    return _HEADER.pack(_VERSION, number)


def key_number(envelope: bytes) -> int | None:
    """Return the number of the key that an envelope names; None if it is no envelope."""
    if len(envelope) < _HEADER.size + _NONCE_BYTES:
        return None
    version, number = _HEADER.unpack_from(envelope)
    return number if version == _VERSION else None


def sealed_with(key: bytes, nonce: bytes, plaintext: bytes, *, aad: bytes, number: int) -> bytes:
    """Return the envelope of ``plaintext`` under a key of 32 bytes and a nonce of 12.

    The nonce must be new for this key. Hosts call `seal`, which sees to that.
    """
    return header(number) + nonce + _cipher(key).encrypt(nonce, plaintext, aad)


def opened_with(key: bytes, envelope: bytes, *, aad: bytes) -> bytes | None:
    """Return the plaintext of an envelope, or None if it is not this key's and ``aad``'s."""
    from cryptography.exceptions import InvalidTag

    if key_number(envelope) is None:
        return None
    nonce, sealed = envelope[_HEADER.size :][:_NONCE_BYTES], envelope[_HEADER.size + _NONCE_BYTES :]
    try:
        return _cipher(key).decrypt(nonce, sealed, aad)
    except InvalidTag:
        return None


def _cipher(key: bytes) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)


def _opened(keys: KeyProvider, place: Place, envelope: bytes) -> Secret | None:
    number = key_number(envelope)
    if number is None:
        return None
    try:
        key = keys.numbered(number)
    except UnknownKey:
        return None
    aad = header(number) + place.encoded()
    return _secret_of(opened_with(key.derived(_SEALING), envelope, aad=aad))


def _secret_of(plaintext: bytes | None) -> Secret | None:
    try:
        return None if plaintext is None else Secret(plaintext.decode())
    except ValueError:
        return None
