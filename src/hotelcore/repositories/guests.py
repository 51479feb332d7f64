"""Guests, whom a hotel may have to forget."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from hotelcore.domain.guests import Guest
from hotelcore.ids import GuestId
from hotelcore.lists import GuestFilter, Page

__all__ = ["Guests"]


class Guests(Protocol):
    """The hotel's guests."""

    def add_all(self, guests: Sequence[Guest]) -> None:
        """Store new guests; `AlreadyExists` if an id is taken, here or twice among them."""
        ...

    def get(self, guest_id: GuestId) -> Guest:
        """Return one guest."""
        ...

    def get_all(self, guest_ids: Collection[GuestId]) -> Mapping[GuestId, Guest]:
        """Return guests by id; `NotFound` names the first unknown id."""
        ...

    def lock(self, guest_id: GuestId) -> Guest:
        """Return one guest, locked."""
        ...

    def share(self, guest_id: GuestId) -> Guest:
        """Return one guest, who stays unchanged meanwhile; many may share a guest at once."""
        ...

    def share_all(self, guest_ids: Collection[GuestId]) -> tuple[Guest, ...]:
        """Share guests in id order and return them so; `NotFound` names the first unknown id."""
        ...

    def update(self, guest: Guest) -> Guest:
        """Store the guest; see `hotelcore.repositories` on versions."""
        ...

    def erase(self, guest: Guest) -> Guest:
        """Store an anonymised guest as `update` does, over every earlier state that was kept."""
        ...

    def page(self, which: GuestFilter, *, after: str | None = None, limit: int = 50) -> Page[Guest]:
        """Return guests in order of last name."""
        ...
