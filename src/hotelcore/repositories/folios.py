"""Folios with their lines."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from hotelcore.domain.folios import Folio, FolioLine
from hotelcore.ids import BookingId, FolioId, FolioLineId
from hotelcore.lists import FolioFilter, JournalFilter, Page

__all__ = ["Folios"]


class Folios(Protocol):
    """The hotel's folios; lines are only ever added."""

    def open_all(self, folios: Sequence[Folio]) -> None:
        """Store new folios without lines.

        `AlreadyExists` if an id is taken, here or twice among them.
        """
        ...

    def get(self, folio_id: FolioId) -> Folio:
        """Return one folio."""
        ...

    def lock(self, folio_id: FolioId) -> Folio:
        """Return one folio; postings of others wait until the transaction ends."""
        ...

    def of_booking(self, booking_id: BookingId) -> tuple[Folio, ...]:
        """Return a booking's folios, oldest first, locked in a writing unit."""
        ...

    def of_bookings(
        self, booking_ids: Collection[BookingId]
    ) -> Mapping[BookingId, tuple[Folio, ...]]:
        """Return the folios of each booking, as `of_booking` does for one."""
        ...

    def of_house(self) -> Mapping[BookingId, Folio]:
        """Return the oldest open folio of each booking in house, locked in a writing unit."""
        ...

    def post(self, lines: Sequence[FolioLine]) -> None:
        """Add lines and move the balances, in folio order; `FolioClosed` names a closed one."""
        ...

    def close(self, folio: Folio, *, at: datetime) -> Folio:
        """Close an open folio of balance zero; anything else raises `StaleVersion`."""
        ...

    def reopen(self, folio: Folio) -> Folio:
        """Open a closed folio again, for the named reversals of a booking."""
        ...

    def line(self, line_id: FolioLineId) -> FolioLine:
        """Return one line."""
        ...

    def lines(self, folio_id: FolioId) -> tuple[FolioLine, ...]:
        """Return all lines of a folio in the order of posting."""
        ...

    def referring_to(self, line_id: FolioLineId) -> tuple[FolioLine, ...]:
        """Return the lines that refer to a line, and the lines that refer to those."""
        ...

    def page(self, which: FolioFilter, *, after: str | None = None, limit: int = 50) -> Page[Folio]:
        """Return folios in the order in which they were opened."""
        ...

    def journal(
        self, which: JournalFilter, *, after: str | None = None, limit: int = 50
    ) -> Page[FolioLine]:
        """Return lines of all folios in order of business date and posting."""
        ...
