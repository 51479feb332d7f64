"""The hotels of the demo: what they are made of, and how they are set up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date

from attrs import frozen

from hotelcore.cli.demo.crew import Crew
from hotelcore.cli.shifts import Shift
from hotelcore.domain.cancellation import CancellationPolicy, Fee, FeeKind
from hotelcore.domain.hotels import HouseRules, UnresolvedArrival
from hotelcore.domain.money import Money
from hotelcore.domain.rooms import RoomType
from hotelcore.domain.stays import Stay
from hotelcore.operations import add_room_type, add_rooms, register_hotel

__all__ = ["BIG", "SMALL", "HotelPlan", "prices", "set_up"]

_ROOMS_A_FLOOR = 40
_FRIDAY_AND_SATURDAY = (4, 5)
_TERMS = CancellationPolicy(
    free_days=2,
    late_fee=Fee(kind=FeeKind.FIRST_NIGHT),
    no_show_fee=Fee(kind=FeeKind.FIRST_NIGHT),
)


@frozen
class TypePlan:
    """A room type to be: its share is so many rooms in ten."""

    code: str
    name: str
    base_rate: int
    share: int


@frozen
class HotelPlan:
    """A hotel to be; ``base_rate`` of a type is in major units of ``currency``."""

    name: str
    time_zone: str
    currency: str
    rules: HouseRules
    types: tuple[TypePlan, ...]

    def layout(self, rooms: int) -> list[tuple[str, str, list[str]]]:
        """Spread rooms over floors: type code, floor, and the numbers of the rooms."""
        pattern = [plan.code for plan in self.types for _ in range(plan.share)]
        places: dict[tuple[str, str], list[str]] = {}
        for n in range(rooms):
            floor, door = divmod(n, _ROOMS_A_FLOOR)
            code = pattern[n % len(pattern)]
            places.setdefault((code, str(floor + 1)), []).append(f"{floor + 1:02d}{door + 1:02d}")
        return [(code, floor, numbers) for (code, floor), numbers in places.items()]


BIG = HotelPlan(
    "Grand Hotel",
    "Europe/Lisbon",
    "EUR",
    HouseRules(cancellation=_TERMS),
    (
        TypePlan("SGL", "Single", 95, 2),
        TypePlan("DBL", "Double", 140, 5),
        TypePlan("TWN", "Twin", 150, 2),
        TypePlan("STE", "Suite", 290, 1),
    ),
)
"""The big hotel that the demonstration runs through its days."""
SMALL = HotelPlan(
    "Corner Inn",
    "Europe/Zurich",
    "CHF",
    # A small house keeps the room, and gives a guest up by hand the next morning.
    HouseRules(cancellation=_TERMS, unresolved_arrival=UnresolvedArrival.KEEP),
    (TypePlan("STD", "Standard", 120, 7), TypePlan("FAM", "Family", 180, 3)),
)
"""The small hotel beside it, which shares the database and sees nothing of the big one."""


@frozen
class HotelSetUp:
    """A hotel that is ready to open: its types by code, and how many rooms each has."""

    types: Mapping[str, RoomType]
    rooms: Mapping[str, int]


def set_up(crew: Crew, plan: HotelPlan, rooms: int, business_date: date) -> HotelSetUp:
    """Register the hotel with its room types and rooms, in one transaction."""
    counts: Counter[str] = Counter()
    with crew.shift(crew.owner) as shift:
        shift.do(
            register_hotel,
            name=plan.name,
            time_zone=plan.time_zone,
            currency=plan.currency,
            business_date=business_date,
            rules=plan.rules,
        )
        types = {kind.code: _add_type(shift, plan, kind) for kind in plan.types}
        for code, floor, numbers in plan.layout(rooms):
            shift.do(add_rooms, room_type_id=types[code].id, numbers=numbers, floor=floor)
            counts[code] += len(numbers)
    return HotelSetUp(types, counts)


def _add_type(shift: Shift, plan: HotelPlan, kind: TypePlan) -> RoomType:
    rate = Money.of(kind.base_rate, plan.currency)
    return shift.do(add_room_type, code=kind.code, name=kind.name, base_rate=rate)


def prices(kind: RoomType, stay: Stay) -> Sequence[Money]:
    """Return a price for each night: the base rate, a fifth more on Fridays and Saturdays."""
    weekend = kind.base_rate.percent(12_000)
    return [
        weekend if night.weekday() in _FRIDAY_AND_SATURDAY else kind.base_rate for night in stay
    ]
