"""What the demo found, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from attrs import frozen

from hotelcore.cli.demo.figures import Cell, ChartRow, DayFigures, TapeChart
from hotelcore.cli.demo.refusals import Refusal
from hotelcore.cli.output import Output
from hotelcore.cli.shifts import Tally
from hotelcore.sql.upkeep.proofs import Check, Proofs

__all__ = ["HotelStory", "Story", "as_json", "show"]

_WIDTH = 8
_BARS = {
    "in_house": "black on green",
    "checked_out": "white on bright_black",
    "no_show": "black on yellow",
    "out_of_order": "white on red",
    "out_of_inventory": "white on red",
}
_HEADERS = (
    "day",
    "arrivals",
    "departures",
    "no-shows",
    "in house",
    "occ. %",
    "ADR",
    "RevPAR",
    "owed",
    "paid ahead",
    "booked",
    "cancelled",
    "turned away",
)


@frozen(kw_only=True)
class HotelStory:
    """What one hotel did, day by day, and whether its books hold."""

    name: str
    currency: str
    rooms: int
    days: Sequence[DayFigures]
    chart: TapeChart
    tally: Tally
    proofs: Proofs


@frozen(kw_only=True)
class Story:
    """Both hotels, what one hears of the other, and how long it all took."""

    database: str
    seed: int
    hotels: Sequence[HotelStory]
    refusals: Sequence[Refusal]
    seconds: float

    @property
    def isolation(self) -> Check:
        """The check that a foreign id is answered like an unknown one."""
        strange = [refusal.kind for refusal in self.refusals if not refusal.same]
        said = f"different for: {', '.join(strange)}" if strange else "same error, same text"
        return Check(
            name="another hotel's id is answered like an unknown one",
            ok=bool(self.refusals) and not strange,
            detail=f"{len(self.refusals)} kinds of record, {said}",
        )

    @property
    def ok(self) -> bool:
        """Whether every proof holds."""
        return self.isolation.ok and all(hotel.proofs.ok for hotel in self.hotels)

    @property
    def commands(self) -> int:
        """How many commands both hotels performed."""
        return sum(hotel.tally.commands for hotel in self.hotels)

    @property
    def commands_per_second(self) -> int:
        """How many of them in a second, on average."""
        return round(self.commands / self.seconds)


# -- for people -------------------------------------------------------------------------------


def show(output: Output, story: Story) -> None:
    """Print the figures, the tape charts, the proofs, and how fast it went."""
    days = story.hotels[0].days
    output.line(
        f"Two hotels at work from {days[0].day.date} to {days[-1].day.date},"
        f" with the guests of seed {story.seed}."
    )
    for hotel in story.hotels:
        output.heading(f"{hotel.name}: {hotel.rooms:,} rooms, amounts in {hotel.currency}")
        output.table(_HEADERS, [_figures_row(figures) for figures in hotel.days])
        _show_chart(output, hotel)
    _show_proofs(output, story)
    output.line()
    output.line(
        f"{story.commands:,} commands in {story.seconds:.1f} s on {story.database}:"
        f" {story.commands_per_second:,} a second"
    )


def _show_proofs(output: Output, story: Story) -> None:
    for hotel in story.hotels:
        output.heading(f"Proofs for the {hotel.name}")
        output.proofs(hotel.proofs)
    theirs, ours = story.hotels[0].name, story.hotels[-1].name
    output.heading(f"What the {ours} hears when it asks for what the {theirs} has")
    output.table(
        ("record", f"an id of the {theirs}", "an id that nobody has"),
        [(refusal.kind, refusal.foreign, refusal.unknown) for refusal in story.refusals],
    )
    output.proofs(Proofs((story.isolation,)))


def _figures_row(figures: DayFigures) -> tuple[object, ...]:
    day = figures.day
    return (
        f"{day.date:%a %d %b}",
        day.arrivals,
        day.departures,
        day.no_shows,
        figures.in_house,
        _percent(day.occupancy),
        day.adr.amount,
        day.rev_par.amount,
        figures.owed.amount,
        figures.in_credit.amount,
        figures.booked,
        figures.cancelled,
        figures.turned_away,
    )


def _percent(share: Decimal) -> Decimal:
    return (share * 100).quantize(Decimal("0.1"))


def _show_chart(output: Output, hotel: HotelStory) -> None:
    output.heading(f"{hotel.name}: who has which room")
    nights = "".join(f"{night:%a %d}".ljust(_WIDTH) for night in hotel.chart.nights)
    output.line(f"room   type  {nights}".rstrip())
    for row in hotel.chart.rows:
        output.spans((f"{row.room.number:5}  {row.type_code:4}  ", ""), *_bars(row))
    output.line(
        "A guest's number begins a stay, the line goes on while it lasts; . is a free night."
    )


def _bars(row: ChartRow) -> Iterator[tuple[str, str]]:
    for cell in row.cells:
        yield (
            (".".ljust(_WIDTH), "dim") if cell is None else (_bar(cell), _BARS.get(cell.status, ""))
        )


def _bar(cell: Cell) -> str:
    """Draw one night: the guest's number where the stay begins, and a line as long as it lasts."""
    return f"|{cell.label[: _WIDTH - 2]} ".ljust(_WIDTH, "-") if cell.begins else "-" * _WIDTH


# -- for programs -----------------------------------------------------------------------------


def as_json(story: Story) -> dict[str, object]:
    """Return everything that `show` prints, and the number of each command and refusal."""
    return {
        "database": story.database,
        "seed": story.seed,
        "hotels": [_hotel_json(hotel) for hotel in story.hotels],
        "refusals": [
            {
                "kind": refusal.kind,
                "foreign": refusal.foreign,
                "unknown": refusal.unknown,
                "same": refusal.same,
            }
            for refusal in story.refusals
        ],
        "ok": story.ok,
        "commands": story.commands,
        "seconds": round(story.seconds, 1),
        "commands_per_second": story.commands_per_second,
    }


def _hotel_json(hotel: HotelStory) -> dict[str, object]:
    return {
        "name": hotel.name,
        "currency": hotel.currency,
        "rooms": hotel.rooms,
        "days": [_day_json(figures) for figures in hotel.days],
        "chart": _chart_json(hotel.chart),
        "commands": dict(sorted(hotel.tally.performed.items())),
        "refused": dict(sorted(hotel.tally.refused.items())),
        "proofs": [
            {"name": check.name, "ok": check.ok, "detail": check.detail}
            for check in hotel.proofs.checks
        ],
    }


def _day_json(figures: DayFigures) -> dict[str, object]:
    day = figures.day
    return {
        "date": day.date.isoformat(),
        "rooms_available": day.rooms_available,
        "rooms_sold": day.rooms_sold,
        "room_revenue": str(day.room_revenue.amount),
        "arrivals": day.arrivals,
        "departures": day.departures,
        "no_shows": day.no_shows,
        "in_house": figures.in_house,
        "occupancy_percent": str(_percent(day.occupancy)),
        "adr": str(day.adr.amount),
        "rev_par": str(day.rev_par.amount),
        "owed": str(figures.owed.amount),
        "paid_ahead": str(figures.in_credit.amount),
        "booked": figures.booked,
        "cancelled": figures.cancelled,
        "turned_away": figures.turned_away,
    }


def _chart_json(chart: TapeChart) -> dict[str, object]:
    return {
        "nights": [night.isoformat() for night in chart.nights],
        "rooms": [
            {
                "number": row.room.number,
                "type": row.type_code,
                "nights": [
                    None if cell is None else {"label": cell.label, "status": cell.status}
                    for cell in row.cells
                ],
            }
            for row in chart.rows
        ],
    }
