"""The rule that every statement is bound to the acting hotel, and what it costs to keep it.

`hotelcore.sql.seam.judge` judges a statement when it is first run, and one that is built anew from
the same parts not again. Record 14 in ``docs/decisions`` says why.
"""

from __future__ import annotations

from typing import TypeVar

from sqlalchemy.sql.base import Executable

from hotelcore.errors import UnboundStatement
from hotelcore.sql.seam.judge import JUDGEABLE, Judge

__all__ = ["for_every_hotel", "is_for_every_hotel", "must_be_bound"]

S = TypeVar("S", bound=Executable)

_EVERY_HOTEL = "hotelcore_for_every_hotel"
_MOST_STRUCTURES = 2_000


def for_every_hotel(statement: S) -> S:
    """Declare that a statement serves every hotel: the relay's alone, over its own tables.

    It is refused where there is an acting hotel, and if it touches any other table.
    """
    return statement.execution_options(**{_EVERY_HOTEL: True})


def is_for_every_hotel(statement: Executable) -> bool:
    """Tell whether a statement, or the one it was built from, was so declared."""
    return _EVERY_HOTEL in statement.get_execution_options()


def must_be_bound(statement: Executable, *, acting: bool) -> None:
    """Raise `UnboundStatement` unless a statement may run; ``acting`` says for one hotel or all."""
    if not isinstance(statement, Executable):
        raise UnboundStatement("the statement", _WHY_NOT_TEXT)
    declared = is_for_every_hotel(statement)
    if declared is acting:
        raise UnboundStatement("the statement", _WHY_SERVING if declared else _WHY_NOT_SERVING)
    # To compile it asks for this key too, and SQLAlchemy keeps it with the statement.
    key = statement._generate_cache_key() if isinstance(statement, JUDGEABLE) else None
    structure = None if key is None else (declared, key.key)
    if structure is None or structure not in _structures:
        Judge(every_hotel=declared).statement(statement)
        if len(_structures) >= _MOST_STRUCTURES:
            _structures.clear()
        if structure is not None:
            _structures.add(structure)


_structures: set[tuple[bool, object]] = set()

_WHY_NOT_TEXT = "it is none of SQLAlchemy's: build it with select() and the like"
_WHY_SERVING = "it serves every hotel, and here one hotel acts: build one that is bound to it"
_WHY_NOT_SERVING = "no hotel acts here, and it is not declared to serve all: run it for a hotel"
