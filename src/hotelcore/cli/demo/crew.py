"""The people who work in a demo hotel: they perform commands, and every command is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Concatenate, ParamSpec, TypeVar

from attrs import field, frozen

from hotelcore.access import Role
from hotelcore.core import Desk, HotelCore
from hotelcore.errors import Refused
from hotelcore.ids import HotelId
from hotelcore.tenancy import Actor
from hotelcore.unit_of_work import UnitOfWork

__all__ = ["Crew", "Shift", "Tally"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

# Enough steps to share the price of a commit, few enough that nobody waits long for the database.
_STEPS_A_TRANSACTION = 100


@frozen
class Tally:
    """How often each operation was performed, and how often each met which refusal."""

    performed: Counter[str] = field(factory=Counter)
    refused: Counter[str] = field(factory=Counter)

    @property
    def commands(self) -> int:
        """All commands that were performed."""
        return self.performed.total()

    def copy(self) -> Tally:
        """Return the count as it stands now."""
        return Tally(self.performed.copy(), self.refused.copy())

    def since(self, before: Tally) -> Tally:
        """Return what was counted after ``before``."""
        return Tally(self.performed - before.performed, self.refused - before.refused)


@frozen
class Shift:
    """Somebody at work in one transaction."""

    uow: UnitOfWork
    tally: Tally

    def do(
        self,
        operation: Callable[Concatenate[UnitOfWork, P], R],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Perform one command and count it."""
        result = operation(self.uow, *args, **kwargs)
        self.tally.performed[operation.__name__] += 1
        return result

    def attempt(
        self,
        operation: Callable[Concatenate[UnitOfWork, P], R],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R | None:
        """Perform a command that the hotel may refuse: its result, or None if it was refused."""
        try:
            with self.uow.savepoint():
                return self.do(operation, *args, **kwargs)
        except Refused as refusal:
            self.tally.refused[f"{operation.__name__}: {type(refusal).__name__}"] += 1
            return None


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
