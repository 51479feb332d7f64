"""Shows that all contestants do the same work, before any of it is timed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import Engine, func, select

from benchmarks.contestants import READS, Contestant
from benchmarks.plain import TABLES
from benchmarks.rounds import Work
from hotelcore.sql.seam.engine import READING

__all__ = ["same_answers", "same_rows"]


def same_answers(contestants: Sequence[Contestant]) -> Mapping[str, int]:
    """Assert that all find the same records in the same order; return how many, by question."""
    numbers = {}
    for question, ask in READS.items():
        answers = [[who.id_of(found) for found in ask(who)] for who in contestants]
        assert all(answer == answers[0] for answer in answers), question
        numbers[question] = len(answers[0])
    return numbers


def _rows_written(engine: Engine, work: Work) -> Mapping[str, int]:
    """Do a work, and return by how many rows it made each table longer."""
    before = _counts(engine)
    work()
    after = _counts(engine)
    return {table: after[table] - before[table] for table in after if after[table] != before[table]}


def same_rows(engine: Engine, works: Mapping[str, Callable[[], Work]]) -> Mapping[str, int]:
    """Assert that the works make the same tables longer by as many rows; return how many."""
    written = {name: _rows_written(engine, prepare()) for name, prepare in works.items()}
    first, *others = written.values()
    assert all(other == first for other in others), written
    return first


def _counts(engine: Engine) -> dict[str, int]:
    with engine.connect().execution_options(**{READING: True}) as connection:
        return {
            name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for name, table in TABLES.items()
        }
