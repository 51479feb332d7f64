"""What one synchronisation tells of what it did, and of what it could not follow."""

from __future__ import annotations

from enum import StrEnum

from attrs import frozen

from hotelcore.domain.pms import PmsResource

__all__ = ["Hindrance", "NotFollowed", "SyncReport", "Taken"]


class Hindrance(StrEnum):
    """Why a record there could not be followed here: stable codes for screens and programs.

    ``anonymised``: it is about a guest who was erased here. ``in_house``: the guest is in house;
    another arrival, another type or an end there is for the desk to settle. ``checked_out``: the
    guest has left, and the stay here is what it was. ``stay_is_over``: the stay there, or here, is
    over, and they differ. ``past_nights``: nights before the business date would be added or
    dropped. ``room_taken``: the guest stays longer, and another has the room then.
    """

    ANONYMISED = "anonymised"
    IN_HOUSE = "in_house"
    CHECKED_OUT = "checked_out"
    STAY_IS_OVER = "stay_is_over"
    PAST_NIGHTS = "past_nights"
    ROOM_TAKEN = "room_taken"


@frozen(kw_only=True)
class NotFollowed:
    """A record there that what is here does not follow, and why; here it stays as it was."""

    resource: PmsResource
    external_id: str
    reason: Hindrance


@frozen(kw_only=True)
class Taken:
    """How many records of one kind were new, changed, or left as they are.

    What could not be followed is in none of the three numbers.
    """

    created: int
    updated: int
    unchanged: int


@frozen(kw_only=True)
class SyncReport:
    """What one synchronisation did, and which records it could not follow."""

    room_types: Taken
    rooms: Taken
    guests: Taken
    bookings: Taken
    not_followed: tuple[NotFollowed, ...] = ()
