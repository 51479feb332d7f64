"""Records that are asked for by many ids at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container
from typing import Any, Protocol, TypeVar
from uuid import UUID

from sqlalchemy.sql.base import Executable

from hotelcore.errors import InvalidInput, NotFound
from hotelcore.sql.seam.statements import AnyRow, Statements

__all__ = ["each_once", "found_by_id", "found_of_each", "refuse_unknown"]

T = TypeVar("T")
K = TypeVar("K")
Id = TypeVar("Id", bound=UUID)


class _Identified(Protocol):
    @property
    def id(self) -> Any: ...  # each kind of record has its own type of ids


R = TypeVar("R", bound=_Identified)


def found_by_id(
    run: Statements,
    resource: str,
    statement: Executable,
    build: Callable[[AnyRow], R],
    wanted: Collection[Id],
) -> dict[Id, R]:
    """Return the records by their ids, in the order of the statement.

    It finds those whose id is among ``wanted``. Raises `NotFound` for the first unknown id, and
    `InvalidInput` for what is no collection of ids.
    """
    ids = each_once("ids", wanted)
    found = {record.id: record for record in run.all_of(statement, build, ids)}
    refuse_unknown(resource, ids, found)
    return found


def refuse_unknown(resource: str, wanted: Collection[UUID], known: Container[UUID]) -> None:
    """Raise `NotFound` for the first of the ids that is not known."""
    for key in wanted:
        if key not in known:
            raise NotFound(resource, key)


def found_of_each(
    run: Statements,
    statement: Executable,
    build: Callable[[AnyRow], T],
    wanted: Collection[Id],
    owner: Callable[[T], Id],
    **values: object,
) -> dict[Id, tuple[T, ...]]:
    """Return the records of each of the ``wanted`` owners, in the order of the statement.

    It finds those whose owner is among ``wanted``, and takes the other ``values``; who has none is
    there with none. Raises `InvalidInput` for what is no collection of ids.
    """
    ids = each_once("ids", wanted)
    found: dict[Id, list[T]] = {key: [] for key in ids}
    for record in run.all_of(statement, build, ids, **values):
        found[owner(record)].append(record)
    return {key: tuple(records) for key, records in found.items()}


def each_once(name: str, keys: Collection[K]) -> list[K]:
    """Return the keys that are asked for, each once; `InvalidInput` for what is no collection.

    Nobody who gives one text means its letters.
    """
    try:
        if not isinstance(keys, str | bytes):
            return list(dict.fromkeys(keys))
    except TypeError:  # one id alone, or what is not hashable
        pass
    raise InvalidInput(name, "must be a collection, of one if only one is asked for")
