"""The people who work in a demo hotel: they perform commands, and every command is counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

from attrs import field, frozen

from hotelcore.access import Role
from hotelcore.cli.shifts import Shift, Tally
from hotelcore.core import Desk, HotelCore
from hotelcore.ids import HotelId
from hotelcore.tenancy import Actor

__all__ = ["Crew"]

R = TypeVar("R")
T = TypeVar("T")

# Enough steps to share the price of a commit, few enough that nobody waits long for the database.
_STEPS_A_TRANSACTION = 100


@frozen
class Crew:
    """The handles of one hotel's people, from the one who owns it to the night auditor."""

    core: HotelCore
    hotel_id: HotelId
    tally: Tally = field(factory=Tally)

    @property
    def owner(self) -> Desk:
        """Who sets the hotel up and may read its audit log."""
        return self._desk("owner", Role.ADMIN)

    @property
    def office(self) -> Desk:
        """Who amends, cancels, corrects, blocks and closes the day."""
        return self._desk("office", Role.MANAGER)

    @property
    def front_desk(self) -> Desk:
        """Who books, receives, charges and sees off the guests."""
        return self._desk("front-desk", Role.RECEPTION)

    def _desk(self, subject: str, role: Role) -> Desk:
        return self.core.acting_as(Actor(hotel_id=self.hotel_id, subject=subject, role=role))

    @contextmanager
    def shift(self, desk: Desk) -> Iterator[Shift]:
        """Open one transaction at ``desk``."""
        with desk.transaction() as uow:
            yield Shift(uow, self.tally)

    def each(self, desk: Desk, items: Sequence[T], step: Callable[[Shift, T], R]) -> list[R]:
        """Take ``step`` for every item, many steps a transaction, and return what they gave."""
        results: list[R] = []
        left = iter(items)
        while batch := tuple(islice(left, _STEPS_A_TRANSACTION)):
            with self.shift(desk) as shift:
                results += [step(shift, item) for item in batch]
        return results
