"""Writes what was measured into the documentation: tables between marks, and bars as SVG."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from attrs import frozen

__all__ = ["BASIS", "Ratios", "Report", "ratios_to"]

Ratios: TypeAlias = Mapping[str, Mapping[str, float]]
"""How many times as long as the raw driver each contestant took, by work."""

BASIS = "raw driver"
_FOLDER = Path(__file__).parent.parent / "docs" / "explanation"


def ratios_to(basis: str, medians: Mapping[str, float]) -> Mapping[str, float]:
    """Divide all by one of them."""
    return {name: seconds / medians[basis] for name, seconds in medians.items()}


@frozen
class Report:
    """Puts the figures of one kind of database into the page."""

    database: str
    folder: Path = _FOLDER
    page: str = "speed.md"

    def table(self, section: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print a table, and put it in place of the one that a run before this one left."""
        lines = [_line(head), _line(["---"] * len(head)), *(_line(row) for row in rows)]
        table = "\n".join(lines)
        print(f"\n{section}, {self.database}\n{table}", flush=True)
        page = self.folder / self.page
        page.write_text(_replaced(page.read_text(), f"{section}, {self.database}", table))

    def ratios(self, section: str, ratios: Ratios, seconds: Mapping[str, float]) -> None:
        """Put ratios into the page as a table, and beside it as bars."""
        names = list(next(iter(ratios.values())))
        rows = [
            [work, f"{seconds[work] * 1e3:,.2f} ms", *(f"{of[name]:,.2f}" for name in names[1:])]
            for work, of in ratios.items()
        ]
        self.table(section, ["", names[0], *names[1:]], rows)
        path = self.folder / f"speed-{section}-{self.database}.svg"
        path.write_text(_bars(f"{section}, {self.database}: times the raw driver", ratios))


def _line(cells: Sequence[object]) -> str:
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def _replaced(page: str, mark: str, table: str) -> str:
    begin, end = f"<!-- {mark} -->", f"<!-- end of {mark} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(page):
        raise LookupError(f"docs/explanation/speed.md has no place for: {mark}")
    return pattern.sub(lambda _: f"{begin}\n{table}\n{end}", page)


# -- bars -----------------------------------------------------------------------------------------

_COLOURS = ("#1b7837", "#5aae61", "#9970ab", "#d6604d")
_BAR, _GAP, _LEFT, _WIDTH, _TOP = 14, 12, 150, 480, 46
_TEXT = 'font-family="sans-serif" font-size="11"'


def _bars(title: str, ratios: Ratios) -> str:
    """Draw a group of bars for each work, one bar a contestant, all on one scale."""
    most = max(ratio for of in ratios.values() for ratio in of.values())
    parts, y = [f'<text x="8" y="18" {_TEXT} font-weight="bold">{title}</text>'], _TOP
    for number, name in enumerate(next(iter(ratios.values()))):
        x = 8 + number * 150
        parts.append(f'<rect x="{x}" y="26" width="10" height="10" fill="{_COLOURS[number]}"/>')
        parts.append(f'<text x="{x + 15}" y="35" {_TEXT}>{name}</text>')
    for work, of in ratios.items():
        parts.append(f'<text x="8" y="{y + 2 * _BAR}" {_TEXT}>{work}</text>')
        for number, ratio in enumerate(of.values()):
            width, top = max(1, round(ratio / most * _WIDTH)), y + number * _BAR
            bar = f'x="{_LEFT}" y="{top}" width="{width}" height="{_BAR - 2}"'
            parts.append(f'<rect {bar} fill="{_COLOURS[number]}"/>')
            parts.append(f'<text x="{_LEFT + width + 4}" y="{top + 10}" {_TEXT}>{ratio:.2f}</text>')
        y += len(of) * _BAR + _GAP
    size = f'width="{_LEFT + _WIDTH + 60}" height="{y}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n' + "\n".join(parts) + "\n</svg>\n"
