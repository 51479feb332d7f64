"""A property management system of the tests' own, with pages and keys, and an adapter for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from hotelcore.domain.money import Money
from hotelcore.domain.stays import Stay
from hotelcore.errors import PmsFailure
from hotelcore.pms import (
    RemoteBooking,
    RemoteBookingStatus,
    RemoteGuest,
    RemoteRoom,
    RemoteRooms,
    RemoteRoomType,
)
from hotelcore.testing.contracts import RemoteSystem

__all__ = ["KEY", "HillAdapter", "HillFailure", "HillServer", "system_of"]

KEY = "hill-4711-key"
"""What the server accepts."""

NAME = "Guest of the hill"
"""How every guest is called."""

PAGE = 2
NIGHT = timedelta(days=1)
BEGIN = datetime(2026, 3, 1, 12, tzinfo=UTC)
CUTOFF = BEGIN + timedelta(hours=3)
TYPE = RemoteRoomType(external_id="dbl", code="DBL", name="Double", base_rate=Money(9_000, "EUR"))


class HillFailure(Exception):
    """What the server's own client raises; its text is nobody else's business."""


class HillServer:
    """Holds five guests and five bookings; number n was last changed n hours after the begin."""

    def __init__(self) -> None:
        self.guests = {
            n: RemoteGuest(external_id=f"g{n}", last_name=NAME, first_name="") for n in range(1, 6)
        }
        self.bookings = {n: _booking(n) for n in range(1, 6)}

    def ask(self, key: str, kind: str, since: datetime | None, page: int) -> Sequence[Any]:
        """Return one page of what changed since an instant."""
        if key != KEY:
            raise HillFailure(f"401: the key {key} does not open the house of {NAME}")
        held: Mapping[int, Any] = getattr(self, kind)  # Any: either kind of record
        found = [
            record
            for number, record in held.items()
            if since is None or BEGIN + timedelta(hours=number) >= since
        ]
        return found[page * PAGE : (page + 1) * PAGE]


def _booking(number: int) -> RemoteBooking:
    arrival = date(2026, 4, 1) + number * NIGHT
    return RemoteBooking(
        external_id=f"b{number}",
        confirmation_number=f"HILL{number}",
        guest_external_id=f"g{number}",
        room_type_external_id=TYPE.external_id,
        status=RemoteBookingStatus.CANCELLED if number == 5 else RemoteBookingStatus.CONFIRMED,
        stay=Stay(arrival, arrival + 2 * NIGHT),
        nightly_prices=(Money(9_000, "EUR"), Money(9_500, "EUR")),
        channel="hill",
    )


class HillAdapter:
    """A `hotelcore.pms.PmsAdapter` for the server."""

    def __init__(self, server: HillServer, key: str) -> None:
        self.server, self.key = server, key

    def __repr__(self) -> str:
        return "HillAdapter()"

    def test_connection(self) -> None:
        """Ask for a page, which a system that is away does not give."""
        self.page("guests", None, 0)

    def sync_rooms(self) -> RemoteRooms:
        self.test_connection()
        room = RemoteRoom(external_id="r1", room_type_external_id="dbl", number="101")
        return RemoteRooms(room_types=(TYPE,), rooms=(room,))

    def sync_guests(self, *, changed_since: datetime | None) -> Sequence[RemoteGuest]:
        return list(self.pages("guests", changed_since))

    def sync_bookings(self, *, changed_since: datetime | None) -> Sequence[RemoteBooking]:
        return list(self.pages("bookings", changed_since))

    def pages(
        self, kind: str, since: datetime | None
    ) -> Iterator[Any]:  # Any: as the server has it
        """Give the records of all pages."""
        number = 0
        while records := self.page(kind, since, number):
            yield from records
            number += 1

    def page(self, kind: str, since: datetime | None, number: int) -> Sequence[Any]:
        """Fetch one page."""
        try:
            return self.server.ask(self.key, kind, since, number)
        except HillFailure:
            raise PmsFailure("hill", "refused the request") from None


def system_of(kind: type[HillAdapter]) -> RemoteSystem:
    """Return the system for trying out an adapter: what changed three hours later and after."""
    server = HillServer()
    return RemoteSystem(
        adapter=kind(server, KEY),
        refused=kind(server, "hill-0000-wrong"),
        guest_ids=[each.external_id for each in server.guests.values()],
        booking_ids=[each.external_id for each in server.bookings.values()],
        cutoff=CUTOFF,
        changed_guest_ids=["g3", "g4", "g5"],
        changed_booking_ids=["b3", "b4", "b5"],
        secrets=[KEY, "hill-0000-wrong", NAME],
    )
