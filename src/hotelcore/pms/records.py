"""What comes from a property management system, in words that belong to no vendor.

``external_id`` is the vendor's id, stable for the record's life. Records refer to each other by it.
Values are validated like the hotel's own, so nothing that cannot be stored gets past an adapter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Protocol, TypeVar

import attrs
from attrs import frozen

from hotelcore.domain import fields
from hotelcore.domain.money import Money
from hotelcore.domain.rooms import RoomCondition
from hotelcore.domain.stays import Stay
from hotelcore.errors import InvalidInput

__all__ = [
    "PmsSnapshot",
    "RemoteBooking",
    "RemoteBookingStatus",
    "RemoteGuest",
    "RemoteRoom",
    "RemoteRoomType",
    "RemoteRooms",
]


class RemoteBookingStatus(StrEnum):
    """What the PMS says of a booking. Guests are checked in and out here, not there.

    A stay that is over there, and was neither cancelled nor missed, stays ``confirmed``.
    """

    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"
    NO_SHOW = "no_show"


@frozen(kw_only=True)
class RemoteRoomType:
    """A room type there; an unmapped one is matched with ours by its code."""

    external_id: str = fields.text(200)
    code: str = fields.text(20)
    name: str = fields.text(200)
    base_rate: Money = fields.money()


@frozen(kw_only=True)
class RemoteRoom:
    """A room there; an unmapped one is matched with ours by its number."""

    external_id: str = fields.text(200)
    room_type_external_id: str = fields.text(200)
    number: str = fields.text(20)
    condition: RoomCondition | None = fields.choice(RoomCondition, optional=True)


@frozen(kw_only=True)
class RemoteGuest:
    """A guest there. Two unmapped guests are never taken for the same person."""

    external_id: str = fields.text(200)
    last_name: str = fields.text(200, personal=True)
    first_name: str = fields.text(200, least=0, personal=True)
    email: str | None = fields.text(320, optional=True, personal=True)
    phone: str | None = fields.text(50, optional=True, personal=True)

    def __repr__(self) -> str:
        """Show no personal data."""
        return f"RemoteGuest(external_id={self.external_id!r})"


@frozen(kw_only=True)
class RemoteBooking:
    """A booking there, with a price for each night of its stay, in order."""

    external_id: str = fields.text(200)
    confirmation_number: str = fields.text(40)
    guest_external_id: str = fields.text(200)
    room_type_external_id: str = fields.text(200)
    status: RemoteBookingStatus = fields.choice(RemoteBookingStatus)
    stay: Stay = fields.instance(Stay)
    nightly_prices: tuple[Money, ...] = fields.instances(Money)
    adults: int = fields.count(0, 999, default=1)
    children: int = fields.count(0, 999, default=0)
    channel: str = fields.text(50)

    def __attrs_post_init__(self) -> None:
        if len(self.nightly_prices) != len(self.stay):
            raise InvalidInput("nightly_prices", "must name one price a night")


@frozen(kw_only=True)
class RemoteRooms:
    """All room types and rooms of the hotel there."""

    room_types: tuple[RemoteRoomType, ...] = fields.instances(RemoteRoomType, default=True)
    rooms: tuple[RemoteRoom, ...] = fields.instances(RemoteRoom, default=True)


@frozen(kw_only=True)
class PmsSnapshot:
    """What one run fetched. Where a record comes twice, the later one counts.

    ``more_follow`` says that it is a part of that (`parts`), and not the last.
    """

    room_types: tuple[RemoteRoomType, ...] = fields.instances(RemoteRoomType, default=True)
    rooms: tuple[RemoteRoom, ...] = fields.instances(RemoteRoom, default=True)
    guests: tuple[RemoteGuest, ...] = fields.instances(RemoteGuest, default=True)
    bookings: tuple[RemoteBooking, ...] = fields.instances(RemoteBooking, default=True)
    more_follow: bool = fields.flag()

    def parts(self, most: int = 1_000) -> Iterator[PmsSnapshot]:
        """Give snapshots of at most ``most`` records each, to be taken over one after the other.

        Each is a transaction of its own, so a takeover of any size needs no more memory, and keeps
        nobody waiting longer, than one of ``most`` records. They come in the order in which records
        name each other: room types, rooms, guests, bookings. If the run breaks off halfway, what
        was taken over stays, and the connection is not synced: fetch again since the same instant,
        and take all of it over anew. Raises `InvalidInput` for a number below 1.
        """
        if isinstance(most, bool) or not isinstance(most, int) or most < 1:
            raise InvalidInput("most", "must be a whole number of at least 1")
        pieces = [
            {kind: records[begin : begin + most]}
            for kind in ("room_types", "rooms", "guests", "bookings")
            for records in [_latest(getattr(self, kind))]
            for begin in range(0, len(records), most)
        ]
        for number, piece in enumerate(pieces, start=1):
            more_follow = self.more_follow or number < len(pieces)
            yield attrs.evolve(_NOTHING, more_follow=more_follow, **piece)
        if not pieces:
            yield self


class _Record(Protocol):
    @property
    def external_id(self) -> str: ...


R = TypeVar("R", bound=_Record)


def _latest(records: Sequence[R]) -> tuple[R, ...]:
    """Return the later of two records of one id: in two parts the first would count as well."""
    return tuple({record.external_id: record for record in records}.values())


_NOTHING = PmsSnapshot()
