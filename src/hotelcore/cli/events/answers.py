"""What an action of ``hotelcore events`` has to say of one hotel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import frozen

from hotelcore.cli.output import Output
from hotelcore.wire import Json

__all__ = ["Answer", "counted"]


@frozen(kw_only=True)
class Answer:
    """For people a table, if there is one, and a line below it; for programs ``document``.

    ``found`` is how many things it is about.
    """

    line: str
    found: int
    document: Mapping[str, Json]
    headers: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()

    def print(self, output: Output) -> None:
        """Print what people read."""
        if self.rows:
            output.table(self.headers, self.rows)
        output.line(self.line)


def counted(number: int, thing: str) -> str:
    """Return a number with its thing, such as ``1 event`` or ``1,200 events``."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"
