"""What commands print: lines and tables for people, or one JSON document for programs.

Results go to stdout, progress and complaints to stderr. Colour and a moving progress bar appear
only on a terminal where rich is installed; ``NO_COLOR`` (https://no-color.org) takes the colour
away. Everywhere else the output is plain lines.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, TextIO

from hotelcore.sql.upkeep.proofs import Proofs

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Output"]

_GOOD, _BAD, _STRONG = "green", "bold red", "bold"


class Output:
    """Prints what a command has to say.

    ``as_json`` leaves stdout to the one document: everything for people is then kept silent.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json

    def line(self, text: str = "") -> None:
        """Print one line."""
        self._print(text)

    def heading(self, text: str) -> None:
        """Print a title, with an empty line before it."""
        self._print("")
        self._print(text, _STRONG)

    def table(self, headers: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print aligned columns: texts to the left, everything else to the right."""
        cells = [[_shown(cell) for cell in row] for row in rows]
        widths = [max(map(len, column)) for column in zip(headers, *cells, strict=True)]
        right = [any(not isinstance(row[n], str) for row in rows) for n in range(len(headers))]
        for number, texts in enumerate([headers, *cells]):
            placed = (
                text.rjust(width) if to_right else text.ljust(width)
                for text, width, to_right in zip(texts, widths, right, strict=True)
            )
            self._print("  ".join(placed).rstrip(), _STRONG if number == 0 else None)

    def spans(self, *spans: tuple[str, str]) -> None:
        """Print one line of texts, each with its style, such as ``bold`` or ``black on green``."""
        if self._as_json:
            return
        if self._coloured is None:
            print("".join(text for text, _ in spans).rstrip())
            return
        from rich.text import Text  # an extra, and here it is installed

        self._coloured.print(Text.assemble(*spans), soft_wrap=True)

    def proofs(self, proofs: Proofs) -> None:
        """Print each check with its outcome."""
        for check in proofs.checks:
            mark, style = ("ok", _GOOD) if check.ok else ("FAILED", _BAD)
            self._print(f"{mark:6}  {check.name}: {check.detail}", style)

    def document(self, document: Mapping[str, object]) -> None:
        """Print the document that programs read, if it was asked for."""
        if self._as_json:
            print(json.dumps(document, indent=2))

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Callable[[], None]]:
        """Show how far a piece of work is; call what it gives once for each of ``total`` steps."""
        console = _console(sys.stderr)
        if console is None:
            yield _plain_progress(what, total)
            return
        from rich.progress import Progress  # an extra, and here it is installed

        with Progress(console=console, transient=True) as bar:
            task = bar.add_task(what, total=total)
            yield lambda: bar.advance(task)

    @cached_property
    def _coloured(self) -> Console | None:
        return None if os.environ.get("NO_COLOR") else _console(sys.stdout)

    def _print(self, text: str, style: str | None = None) -> None:
        if self._as_json:
            return
        if self._coloured is None or style is None:
            print(text)
        else:
            self._coloured.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def _shown(cell: object) -> str:
    """Write a number with its thousands apart, anything else as it is."""
    return f"{cell:,}" if isinstance(cell, int | Decimal) else str(cell)


def _console(stream: TextIO) -> Console | None:
    """Return rich's console on a terminal, None where there is none or rich is not installed."""
    if not stream.isatty() or os.environ.get("TERM") == "dumb":
        return None
    try:
        from rich.console import Console  # an extra
    except ModuleNotFoundError:
        return None
    return Console(file=stream)


def _plain_progress(what: str, total: int) -> Callable[[], None]:
    """Give what prints a line for every tenth of the work."""
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        if done * 10 // total > (done - 1) * 10 // total:
            print(f"{what}: {done * 100 // total} %", file=sys.stderr, flush=True)

    return step
