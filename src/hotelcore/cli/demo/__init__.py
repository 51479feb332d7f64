"""``hotelcore demo``: two hotels at work, their figures, and the proofs that their books hold."""

from __future__ import annotations

import argparse
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from random import Random

from attrs import field, frozen

from hotelcore.cli.database import database_at
from hotelcore.cli.demo import report
from hotelcore.cli.demo.crew import Crew
from hotelcore.cli.demo.day import LivingHotel
from hotelcore.cli.demo.demand import requests_by_day
from hotelcore.cli.demo.figures import DayFigures, day_figures, tape_chart
from hotelcore.cli.demo.houses import BIG, SMALL, HotelPlan, set_up
from hotelcore.cli.demo.refusals import refusals
from hotelcore.cli.demo.report import HotelStory, Story
from hotelcore.cli.output import Output
from hotelcore.clock import FixedClock
from hotelcore.core import HotelCore
from hotelcore.ids import HotelId, new_id
from hotelcore.sql.seam.limits import Limits

__all__ = ["add_arguments", "run"]

# A Monday, so that the week's rhythm shows.
_FIRST_DAY = date(2026, 6, 1)
_SMALL_ROOMS = 12
# A whole part of a day is one transaction here, on whatever machine.
_A_DAY = Limits(time_limit=timedelta(hours=1))
_CHART_ROOMS = 12


def add_arguments(parser: ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.add_argument(
        "--database",
        metavar="URL",
        help="keep the hotels there (default: a SQLite file that is deleted at the end)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument(
        "--rooms", type=_from_one_to(5_000), default=1_000, metavar="N", help="rooms (default 1000)"
    )
    parser.add_argument(
        "--days", type=_from_one_to(366), default=14, metavar="N", help="days (default 14)"
    )
    parser.add_argument(
        "--seed", type=int, default=1, metavar="N", help="another number, other guests (default 1)"
    )


def _from_one_to(most: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or not 1 <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {most:,}")
        return int(text)

    return number


def run(arguments: Namespace) -> int:
    """Let both hotels work, print what happened, and prove it; 0 if every proof holds."""
    output = Output(as_json=arguments.json)
    with database_at(arguments.database) as url:
        story = _live(output, url, arguments.rooms, arguments.days, arguments.seed)
    report.show(output, story)
    output.document(report.as_json(story))
    return 0 if story.ok else 1


def _live(output: Output, url: str, rooms: int, days: int, seed: int) -> Story:
    began = time.perf_counter()
    clock = FixedClock(datetime.combine(_FIRST_DAY, datetime.min.time(), UTC))
    with closing(HotelCore(url, clock=clock, limits=_A_DAY)) as core:
        core.create_schema()
        hotels = [
            _Hotel.opened(core, clock, BIG, rooms, days, seed),
            _Hotel.opened(core, clock, SMALL, _SMALL_ROOMS, days, seed),
        ]
        with output.progress("business days", days * len(hotels)) as step:
            for offset in range(days):
                for hotel in hotels:
                    hotel.live(_FIRST_DAY + timedelta(days=offset))
                    step()
        seconds = time.perf_counter() - began
        big, small = hotels
        # Before the books are examined, which then show that a refusal leaves nothing behind.
        heard = refusals(big.crew.owner, small.crew.owner, new_id)
        return Story(
            database=core.engine.dialect.name,
            seed=seed,
            hotels=[hotel.story() for hotel in hotels],
            refusals=heard,
            seconds=seconds,
        )


@frozen
class _Hotel:
    """A hotel of the demo with the figures of the days that it has lived."""

    plan: HotelPlan
    rooms: int
    crew: Crew
    living: LivingHotel
    days: list[DayFigures] = field(factory=list)

    @classmethod
    def opened(
        cls, core: HotelCore, clock: FixedClock, plan: HotelPlan, rooms: int, days: int, seed: int
    ) -> _Hotel:
        """Set up a hotel, and make up who will want its rooms."""
        crew = Crew(core, HotelId(new_id()))
        made_of = set_up(crew, plan, rooms, _FIRST_DAY)
        # Chance is to be the same again for the same seed; nothing here is a secret.
        rng = Random(f"{seed} {plan.name}")  # noqa: S311  # the reason stands above
        requests = requests_by_day(rng, _FIRST_DAY, days, made_of.rooms)
        return cls(plan, rooms, crew, LivingHotel(crew, clock, rng, made_of, requests))

    def live(self, day: date) -> None:
        """Live through a day and take down its figures."""
        before = self.crew.tally.copy()
        closed = self.living.live(day)
        with self.crew.office.reading() as uow:
            self.days.append(day_figures(uow, closed, self.crew.tally.since(before)))

    def story(self) -> HotelStory:
        """Tell what happened, and examine the books."""
        with self.crew.office.reading() as uow:
            chart = tape_chart(uow, _CHART_ROOMS)
        proofs = self.crew.core.prove(self.crew.hotel_id, commands=self.crew.tally.commands)
        return HotelStory(
            name=self.plan.name,
            currency=self.plan.currency,
            rooms=self.rooms,
            days=self.days,
            chart=chart,
            tally=self.crew.tally,
            proofs=proofs,
        )
