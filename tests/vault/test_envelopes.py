"""Envelopes: right by the published vectors, and opened in their own place and whole, or not."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from hotelcore import KeyRing, Secret
from hotelcore.errors import SealBroken
from hotelcore.ids import HotelId
from hotelcore.vault import (
    Place,
    header,
    key_number,
    opened_with,
    resealed,
    seal,
    sealed_with,
    unseal,
)
from tests.sql.house import texts

# A nightly run may ask for the million that is promised.
NONCES = int(os.environ.get("HOTELCORE_NONCES", "100000"))

secret_texts = texts(4_096)
names = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=20)
places = st.builds(
    Place,
    hotel_id=st.uuids().map(HotelId),
    table=names.filter(str.strip),
    column=names.filter(str.strip),
    row=st.uuids(),
)
# As random as keys are: what looks like a text or a pattern is refused.
materials = st.binary(max_size=16).map(lambda drawn: sha256(drawn).digest())
HERE = Place(HotelId(UUID(int=1)), "hc_pms_config", "api_key", UUID(int=2))
OLD = sha256(b"old").digest()
KEYS = KeyRing({1: OLD, 2: os.urandom(32)})


# -- the published vectors --------------------------------------------------------------------


def vectors(folder: Path) -> Iterator[dict[str, Any]]:  # Any: JSON of the project Wycheproof
    """Give each vector of AES-256-GCM with a nonce of 96 bits."""
    file = folder / "data" / "wycheproof" / "aes_gcm_test.json"
    for group in json.loads(file.read_text(encoding="utf-8"))["testGroups"]:
        if (group["keySize"], group["ivSize"], group["tagSize"]) == (256, 96, 128):
            yield from group["tests"]


def test_wycheproofs_vectors_come_out_right(shared_data: Path) -> None:
    """Each valid vector is sealed to its very bytes and opened; each invalid one stays shut."""
    right = 0
    for vector in vectors(shared_data):
        key, nonce, plaintext, aad, ciphertext, tag = (
            bytes.fromhex(vector[name]) for name in ("key", "iv", "msg", "aad", "ct", "tag")
        )
        envelope = header(7) + nonce + ciphertext + tag
        opened = opened_with(key, envelope, aad=aad)
        if vector["result"] == "valid":
            assert sealed_with(key, nonce, plaintext, aad=aad, number=7) == envelope
            assert opened == plaintext
        else:
            assert opened is None
        right += 1
    assert right == 66


# -- in its own place, whole ------------------------------------------------------------------


@given(text=secret_texts, place=places)
def test_what_is_sealed_opens(text: str, place: Place) -> None:
    """A secret comes back as it was, from an envelope under the current key that hides it."""
    envelope = seal(KEYS, place, Secret(text))
    assert unseal(KEYS, place, envelope).reveal() == text
    assert key_number(envelope) == 2
    assert len(envelope) == 1 + 4 + 12 + len(text.encode()) + 16
    assert len(text) < 4 or text.encode() not in envelope


def refusal(keys: KeyRing, place: Place, envelope: bytes) -> tuple[object, ...]:
    """Return all that can be told of the refusal to open an envelope."""
    with pytest.raises(SealBroken) as caught:
        unseal(keys, place, envelope)
    error = caught.value
    return type(error), str(error), repr(error), error.args, error.__cause__, error.__context__


ONE_REFUSAL = refusal(KEYS, HERE, b"")


@given(text=secret_texts, place=places, other=places)
def test_a_moved_envelope_stays_shut(text: str, place: Place, other: Place) -> None:
    """It opens for no other hotel, table, column or row, whether one of them differs or all do."""
    envelope = seal(KEYS, place, Secret(text))
    moved = [
        evolve(place, **{part: getattr(other, part)})
        for part in ("hotel_id", "table", "column", "row")
        if getattr(place, part) != getattr(other, part)
    ]
    for elsewhere in moved:
        assert refusal(KEYS, elsewhere, envelope) == ONE_REFUSAL


def test_an_envelope_with_any_bit_flipped_stays_shut() -> None:
    """Every single bit counts: of the version, the key's number, the nonce, the text, the tag."""
    envelope = seal(KEYS, HERE, Secret("a secret of thirty-two letters.."))
    for bit in range(8 * len(envelope)):
        flipped = bytearray(envelope)
        flipped[bit // 8] ^= 1 << bit % 8
        assert refusal(KEYS, HERE, bytes(flipped)) == ONE_REFUSAL


def test_an_envelope_cut_anywhere_stays_shut() -> None:
    """No beginning and no end of an envelope opens, nor one with something before or behind it."""
    envelope = seal(KEYS, HERE, Secret("a secret of thirty-two letters.."))
    for place in range(len(envelope)):
        assert refusal(KEYS, HERE, envelope[:place]) == ONE_REFUSAL
        assert place == 0 or refusal(KEYS, HERE, envelope[place:]) == ONE_REFUSAL
        assert refusal(KEYS, HERE, envelope[:place] + envelope[place + 1 :]) == ONE_REFUSAL
        assert refusal(KEYS, HERE, envelope[:place] + b"\0" + envelope[place:]) == ONE_REFUSAL
    assert refusal(KEYS, HERE, envelope + b"\0") == ONE_REFUSAL


@given(envelope=st.binary(max_size=100))
def test_what_was_never_sealed_stays_shut(envelope: bytes) -> None:
    """No bytes open by chance."""
    assert refusal(KEYS, HERE, envelope) == ONE_REFUSAL


@given(first=materials, second=materials, text=secret_texts)
def test_another_key_opens_nothing(first: bytes, second: bytes, text: str) -> None:
    """Neither another key of the same number nor a ring without the number opens an envelope."""
    envelope = seal(KeyRing({5: first}), HERE, Secret(text))
    assert unseal(KeyRing({5: first}), HERE, envelope).reveal() == text
    if first != second:
        assert refusal(KeyRing({5: second}), HERE, envelope) == ONE_REFUSAL
        # The key is in the ring, but under another number than the envelope says.
        assert refusal(KeyRing({5: second, 6: first}), HERE, envelope) == ONE_REFUSAL
    assert refusal(KeyRing({4: first}), HERE, envelope) == ONE_REFUSAL


def test_the_number_is_sealed_with_the_value() -> None:
    """A number that was changed to another one of the same key is noticed too."""

    class TwoNumbers:
        """A provider that breaks its promise."""

        current = KEYS.current

        def numbered(self, number: int) -> Any:  # Any: it lies about the number
            return KEYS.current()

    envelope = seal(KEYS, HERE, Secret("x"))
    renumbered = header(9) + envelope[len(header(9)) :]
    assert unseal(TwoNumbers(), HERE, envelope).reveal() == "x"
    with pytest.raises(SealBroken):
        unseal(TwoNumbers(), HERE, renumbered)


@given(text=secret_texts, place=places)
def test_resealing_moves_to_the_current_key(text: str, place: Place) -> None:
    """The same secret stands in a new envelope, which is under the current key."""
    one = KeyRing({1: OLD})
    old = seal(one, place, Secret(text))
    new = resealed(KEYS, place, old)
    assert (key_number(old), key_number(new)) == (1, 2)
    assert unseal(KEYS, place, new) == unseal(KEYS, place, old) == Secret(text)


# -- places and nonces ------------------------------------------------------------------------


@given(places, places)
def test_no_two_places_have_the_same_bytes(one: Place, other: Place) -> None:
    """Places have the same bytes exactly if they are the same."""
    assert (one.encoded() == other.encoded()) == (one == other)


@given(places, st.data())
def test_no_letter_slips_from_one_part_to_the_next(place: Place, data: st.DataObject) -> None:
    """Table and column are told apart by their lengths, wherever the border between them lies."""
    joined = place.table + place.column
    border = data.draw(st.integers(1, len(joined) - 1))
    table, column = joined[:border], joined[border:]
    if (table, column) != (place.table, place.column) and table.strip() and column.strip():
        shifted = evolve(place, table=table, column=column)
        assert shifted.encoded() != place.encoded()
        assert not shifted.encoded().startswith(place.encoded())
        assert not place.encoded().startswith(shifted.encoded())


def test_no_nonce_comes_twice() -> None:
    """Every envelope has a nonce of its own, also that of the same secret in the same place."""
    secret = Secret("x")
    begin = len(header(1))
    nonces = {seal(KEYS, HERE, secret)[begin : begin + 12] for _ in range(NONCES)}
    assert len(nonces) == NONCES
