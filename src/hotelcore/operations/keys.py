"""Room keys: issued for the rest of a stay, revoked together."""

from __future__ import annotations

import attrs

from hotelcore.domain.bookings import Booking, Reason, RoomKey
from hotelcore.errors import ActionRefused
from hotelcore.ids import RoomId, RoomKeyId
from hotelcore.unit_of_work import UnitOfWork

__all__ = ["issue_keys", "reissue_keys", "revoke_keys", "room_in_use"]


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


def revoke_keys(uow: UnitOfWork, booking: Booking) -> tuple[RoomKey, ...]:
    """Revoke every valid key of the booking and return them as they are now."""
    revoked = uow.keys.revoke_all(booking.id, at=uow.now())
    for key in revoked:
        uow.changed("room_key", key.id, attrs.evolve(key, revoked_at=None), key)
    return revoked


def reissue_keys(uow: UnitOfWork, booking: Booking) -> None:
    """Replace the booking's valid keys by as many new ones, for its new room or departure."""
    issue_keys(uow, booking, len(revoke_keys(uow, booking)))


def room_in_use(booking: Booking) -> RoomId:
    """Return the room of a booking in house; `ActionRefused` for one that has none."""
    if booking.room_id is None:
        raise ActionRefused("use_room", (Reason.NO_ROOM,), booking.status)
    return booking.room_id
