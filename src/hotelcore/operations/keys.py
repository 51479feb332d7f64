"""Room keys: issued for the rest of a stay, revoked together.

Keys change under the lock of their booking alone, so they are still as they were read under it.
"""

from __future__ import annotations

from collections.abc import Sequence

from hotelcore.domain.bookings import Booking, Reason, RoomKey
from hotelcore.errors import ActionRefused
from hotelcore.ids import BookingId, RoomId, RoomKeyId
from hotelcore.unit_of_work import UnitOfWork

__all__ = ["issue_keys", "reissue_keys", "revoke_keys", "room_in_use", "valid_keys"]


def issue_keys(uow: UnitOfWork, booking: Booking, number: int) -> tuple[RoomKey, ...]:
    """Issue ``number`` keys of the room of a booking in house, good until its departure."""
    room_id = room_in_use(booking)
    keys = tuple(
        RoomKey(
            id=RoomKeyId(uow.new_id()),
            hotel_id=uow.hotel_id,
            booking_id=booking.id,
            room_id=room_id,
            valid_until=booking.stay.departure,
            issued_at=uow.now(),
        )
        for _ in range(number)
    )
    uow.keys.issue_all(keys)
    for key in keys:
        uow.changed("room_key", key.id, None, key)
    return keys


def valid_keys(uow: UnitOfWork, booking_id: BookingId) -> tuple[RoomKey, ...]:
    """Return the keys of a booking that were not revoked."""
    return tuple(key for key in uow.keys.of_booking(booking_id) if key.revoked_at is None)


def revoke_keys(uow: UnitOfWork, keys: Sequence[RoomKey]) -> None:
    """Revoke valid keys of a booking."""
    for key, revoked in zip(keys, uow.keys.revoke_all(keys, at=uow.now()), strict=True):
        uow.changed("room_key", key.id, key, revoked)


def reissue_keys(uow: UnitOfWork, booking: Booking, keys: Sequence[RoomKey]) -> None:
    """Replace the booking's valid keys by as many new ones, for its new room or departure."""
    revoke_keys(uow, keys)
    issue_keys(uow, booking, len(keys))


def room_in_use(booking: Booking) -> RoomId:
    """Return the room of a booking in house; `ActionRefused` for one that has none."""
    if booking.room_id is None:
        raise ActionRefused("use_room", (Reason.NO_ROOM,), booking.status)
    return booking.room_id
