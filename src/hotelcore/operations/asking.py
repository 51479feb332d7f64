"""The same question about many records, with the answers in few round trips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar
from uuid import UUID

from hotelcore.unit_of_work import UnitOfWork

__all__ = ["ask_each"]

Id = TypeVar("Id", bound=UUID)
T = TypeVar("T")

# Fewer than the questions that a unit keeps track of, as others may wait beside these.
_ASKED_AT_ONCE = 25


def ask_each(uow: UnitOfWork, question: Callable[[Id], T], ids: Sequence[Id]) -> dict[Id, T]:
    """Return what ``question``, a method of one of the unit's repositories, answers for each id."""
    answers: dict[Id, T] = {}
    for begin in range(0, len(ids), _ASKED_AT_ONCE):
        some = ids[begin : begin + _ASKED_AT_ONCE]
        for each in some:
            uow.ahead(question, each)
        answers.update((each, question(each)) for each in some)
    return answers
