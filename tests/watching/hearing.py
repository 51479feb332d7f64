"""Who hears all that a core tells of its database."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from attrs import define, field

from hotelcore.core import AsyncHotelCore, HotelCore
from hotelcore.watching import StatementRan, UnitEnded, Watch


@define
class Told:
    """What a core told while somebody watched."""

    statements: list[StatementRan] = field(factory=list)
    units: list[UnitEnded] = field(factory=list)

    def statement_ran(self, _: Watch, statement: StatementRan) -> None:
        """Keep a statement."""
        self.statements.append(statement)

    def unit_ended(self, _: Watch, unit: UnitEnded) -> None:
        """Keep a unit of work."""
        self.units.append(unit)

    def rows(self, name: str) -> list[int]:
        """Return the rows of each statement of a name."""
        return [each.rows for each in self.statements if each.name == name]


@contextmanager
def watched(core: HotelCore | AsyncHotelCore) -> Generator[Told]:
    """Watch a core for the time of the body."""
    told, watch = Told(), core.watch
    watch.statement_ran.connect(told.statement_ran)
    watch.unit_ended.connect(told.unit_ended)
    try:
        yield told
    finally:
        watch.statement_ran.disconnect(told.statement_ran)
        watch.unit_ended.disconnect(told.unit_ended)
