"""Commands performed in one transaction, each of them counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from attrs import field, frozen

from hotelcore.errors import Refused
from hotelcore.unit_of_work import UnitOfWork

__all__ = ["Shift", "Tally"]

P = ParamSpec("P")
R = TypeVar("R")


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
