"""The queue of a hotel, in which commands stand that must not overtake each other."""

from __future__ import annotations

from hashlib import blake2b

from hotelcore.ids import HotelId
from hotelcore.sql.seam.messages import Message

__all__ = ["place_in_queue"]

# Locks of PostgreSQL's on a number, by whether they are had alone; they queue up in one line:
# https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
_STAND = {
    False: "SELECT pg_advisory_xact_lock_shared($1)",
    True: "SELECT pg_advisory_xact_lock($1)",
}


def place_in_queue(hotel_id: HotelId, *, alone: bool) -> Message:
    """Return what asks for a place in a hotel's queue, shared with others or had ``alone``."""
    return _STAND[alone], (_number_of(hotel_id),)


def _number_of(hotel_id: HotelId) -> int:
    """Return the number that a hotel's queue has among all such locks of the database."""
    digest = blake2b(hotel_id.bytes, digest_size=8, person=b"hotelcore").digest()
    return int.from_bytes(digest, signed=True)
