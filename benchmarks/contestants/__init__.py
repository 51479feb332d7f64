"""The contestants: the bare driver, the library, and two ORMs, each doing the same work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias
from uuid import UUID

from benchmarks.orders import Arrival, Cleaning, Order, Takeover
from benchmarks.rounds import Work

__all__ = ["READS", "Contestant", "Found"]

Found: TypeAlias = Sequence[Any]  # Any: tuples, entities or mapped objects


class Contestant(Protocol):
    """Answers six questions, and writes four kinds of things.

    A reading method returns what it found. A writing one makes ready what costs it nothing in an
    application, and returns the work itself. All keep a connection, open or in a pool, as in a
    server that has run for a while.
    """

    name: str

    def rooms_free(self) -> Found:
        """Find the rooms of a type that are free for a stay."""
        ...

    def bookings_in_range(self) -> Found:
        """Find the bookings that arrive within some days."""
        ...

    def page_of_bookings(self) -> Found:
        """Find the next 50 arrivals."""
        ...

    def guest_by_email(self) -> Found:
        """Find a guest by e-mail."""
        ...

    def tasks(self) -> Found:
        """Find the open housekeeping tasks of the day."""
        ...

    def folio_balance(self) -> Found:
        """Find a folio, which has its balance."""
        ...

    def id_of(self, found: Any) -> UUID:  # Any: see `Found`
        """Return the id of what a method found."""
        ...

    def create_booking(self, order: Order) -> Work:
        """Store a booking with its nights and its folio, and sell its nights."""
        ...

    def check_in(self, arrival: Arrival) -> Work:
        """Store that a guest has come, with room and key."""
        ...

    def set_condition(self, cleaning: Cleaning) -> Work:
        """Give all rooms another condition."""
        ...

    def take_over(self, takeover: Takeover) -> Work:
        """Store the bookings that are not here yet; the work returns how many those were."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


READS: Mapping[str, Callable[[Contestant], Found]] = {
    "rooms free": lambda who: who.rooms_free(),
    "bookings in range": lambda who: who.bookings_in_range(),
    "page of 50": lambda who: who.page_of_bookings(),
    "guest by e-mail": lambda who: who.guest_by_email(),
    "tasks": lambda who: who.tasks(),
    "folio balance": lambda who: who.folio_balance(),
}
"""The questions by name."""
