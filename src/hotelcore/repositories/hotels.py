"""The acting hotel's own record."""

from __future__ import annotations

from typing import Protocol

from hotelcore.domain.hotels import Hotel

__all__ = ["Hotels"]


class Hotels(Protocol):
    """The acting hotel's own record."""

    def add(self, hotel: Hotel) -> None:
        """Store a new hotel; `AlreadyExists` names a taken id or Stripe id."""
        ...

    def current(self) -> Hotel:
        """Return the acting hotel. In a writing unit its business date stands still meanwhile."""
        ...

    def lock(self) -> Hotel:
        """Return the acting hotel and keep every other command of it waiting."""
        ...

    def update(self, hotel: Hotel) -> Hotel:
        """Store the hotel; see `hotelcore.repositories` on versions."""
        ...
