"""What the machine believes of one hotel: plain records, dictionaries and sets.

It is written from the promises alone and shares nothing with the library, so that both would have
to be wrong in the same way for a fault to hide. Ids are hexadecimal text, amounts whole minor
units, and a booking has its nights in one dictionary, whatever tables the library keeps them in.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

from attrs import define, field, frozen

__all__ = [
    "DAY",
    "HOLDING",
    "Booking",
    "Counter",
    "Fee",
    "Folio",
    "House",
    "Key",
    "Line",
    "Night",
    "Period",
    "Policy",
    "Room",
    "RoomType",
    "Rules",
    "Task",
]

Key: TypeAlias = str
"""A record's id as 32 hexadecimal digits; one with a question mark is not known yet."""

DAY = timedelta(days=1)
"""From one date to the next."""
HOLDING = frozenset({"tentative", "confirmed", "in_house"})
"""The states of a booking that takes rooms off sale."""
_READY = {"clean": {"clean", "inspected"}, "inspected": {"inspected"}}


@frozen
class Fee:
    """What a fee is reckoned from, and how much of it in hundredths of a percent."""

    kind: str
    basis_points: int

    def of(self, prices: list[int]) -> int:
        """Return the fee on nights of these prices."""
        if self.kind == "none" or not prices:
            return 0
        whole = sum(prices)
        part = Fraction((prices[0] if self.kind == "first_night" else whole) * self.basis_points)
        return max(0, min(round(part / 10_000), whole))


@frozen
class Policy:
    """A booking's own terms."""

    free_days: int
    late: Fee
    no_show: Fee


@frozen
class Rules:
    """The house rules that the machine follows."""

    ready: str
    arrivals: str
    departures: str
    policy: Policy


@define
class RoomType:
    """A room type: its price and how many units may be sold beyond its rooms."""

    code: str
    rate: int
    limit: int


@define
class Room:
    """A room."""

    room_type: Key
    number: str
    condition: str


@define
class Night:
    """A night of a booking."""

    room_type: Key
    price: int
    room: Key | None = None
    released: bool = False
    posted: bool = False


@define
class Booking:
    """A booking with its nights and its valid keys."""

    key: Key
    number: str
    guest: Key
    room_type: Key
    arrival: date
    departure: date
    status: str
    total: int
    policy: Policy
    hold_until: datetime | None
    room: Key | None = None
    nights: dict[date, Night] = field(factory=dict)
    keys: int = 0
    arrived_on: date | None = None

    @property
    def is_day_use(self) -> bool:
        """Whether it has no night."""
        return self.arrival == self.departure

    def is_over(self, day: date) -> bool:
        """Tell whether its last night, or its one day, lies before ``day``."""
        return day > self.arrival if self.is_day_use else day >= self.departure

    def hold_is_over(self, now: datetime) -> bool:
        """Tell whether it is tentative, and its time has run out."""
        return self.status == "tentative" and self.hold_until is not None and self.hold_until <= now

    def standing(self) -> dict[date, Night]:
        """Return the nights that were not given back, in order."""
        return {
            day: self.nights[day] for day in sorted(self.nights) if not self.nights[day].released
        }

    def coming(self, day: date) -> dict[date, Night]:
        """Return the standing nights from ``day`` on."""
        return {night: it for night, it in self.standing().items() if night >= day}

    def prices(self) -> list[int]:
        """Return the prices of the standing nights, in order."""
        return [night.price for night in self.standing().values()]


@define
class Folio:
    """A bill."""

    booking: Key
    guest: Key
    is_open: bool = True
    balance: int = 0


@define
class Line:
    """A posted line; ``minor`` is its effect on the balance."""

    folio: Key
    kind: str
    minor: int
    day: date
    refers_to: Key | None = None
    night: date | None = None
    code: str = ""


@define
class Period:
    """A withdrawal of a room: the nights on which maintenance still has it."""

    room: Key
    kind: str
    begins: date
    ends: date
    released: bool = False
    nights: set[date] = field(factory=set)


@define
class Task:
    """A housekeeping task."""

    room: Key
    kind: str
    due: date
    is_open: bool = True
    booking: Key | None = None


@define
class Counter:
    """What is taken of a type on a night."""

    committed: int = 0
    held: int = 0
    out_of_order: int = 0
    out_of_inventory: int = 0


@define
class House:
    """One hotel, as the machine believes it to be."""

    place: int
    hotel: Key
    zone: str
    currency: str
    day: date
    now: datetime
    rules: Rules
    types: dict[Key, RoomType] = field(factory=dict)
    rooms: dict[Key, Room] = field(factory=dict)
    guests: dict[Key, bool] = field(factory=dict)  # whether anonymised
    bookings: dict[Key, Booking] = field(factory=dict)
    folios: dict[Key, Folio] = field(factory=dict)
    lines: dict[Key, Line] = field(factory=dict)
    periods: dict[Key, Period] = field(factory=dict)
    tasks: dict[Key, Task] = field(factory=dict)
    days: dict[date, tuple[int, int]] = field(factory=dict)  # rooms sold and revenue
    connected: bool = False
    synced: set[str] = field(factory=set)
    unknown: bool = False  # whether records were made that no result named
    commands: int = 0
    # By operation and idempotency key: the arguments, and the result or None where it may change.
    keyed: dict[tuple[str, str], tuple[Mapping[str, Any], Any]] = field(factory=dict)
    unnamed: int = 0

    # -- what is left to sell -----------------------------------------------------------------

    def counters(self) -> dict[tuple[Key, date], Counter]:
        """Count what is taken, by type and night."""
        found: dict[tuple[Key, date], Counter] = defaultdict(Counter)
        for booking in self.bookings.values():
            held = booking.status == "tentative"
            for day, night in booking.nights.items():
                if not night.released:
                    counter = found[night.room_type, day]
                    counter.held += held
                    counter.committed += not held
        for period in self.periods.values():
            for day in period.nights if period.kind != "out_of_service" else ():
                counter = found[self.rooms[period.room].room_type, day]
                counter.out_of_order += period.kind == "out_of_order"
                counter.out_of_inventory += period.kind == "out_of_inventory"
        return found

    def rooms_of(self, room_type: Key) -> int:
        """Count the rooms of a type."""
        return sum(room.room_type == room_type for room in self.rooms.values())

    def full(self, room_type: Key, nights: Iterable[date]) -> list[date]:
        """Return those of the nights on which no unit of the type may be sold."""
        counters, rooms = self.counters(), self.rooms_of(room_type)
        most = rooms + self.types[room_type].limit
        return [day for day in nights if most - _taken(counters.get((room_type, day))) < 1]

    # -- who is where -------------------------------------------------------------------------

    def room_nights(self) -> Iterator[tuple[Key, date, Key | None, Key | None]]:
        """Give room, night, booking and maintenance period of each room that is taken."""
        for key, booking in self.bookings.items():
            for day, night in booking.nights.items():
                if night.room is not None:
                    yield night.room, day, key, None
        for key, period in self.periods.items():
            if period.kind != "out_of_service":
                for day in period.nights:
                    yield period.room, day, None, key

    def taken(self, room: Key, nights: Iterable[date], *, but: Key | None = None) -> bool:
        """Tell whether anybody else than the booking ``but`` has the room on one of the nights."""
        wanted = set(nights)
        return any(
            where == room and day in wanted and (booking is None or booking != but)
            for where, day, booking, _ in self.room_nights()
        )

    def occupied(self, room: Key) -> bool:
        """Tell whether somebody in house is in the room."""
        return any(b.status == "in_house" and b.room == room for b in self.bookings.values())

    def off_sale(self, room: Key, day: date) -> bool:
        """Tell whether maintenance has the room on a night."""
        return any(
            where == room and night == day and period is not None
            for where, night, _, period in self.room_nights()
        )

    def is_ready(self, room: Key) -> bool:
        """Tell whether the room is clean enough for a guest."""
        return self.rooms[room].condition in _READY[self.rules.ready]

    def free_rooms(self, booking: Booking) -> list[Key]:
        """Return the rooms of the booked type that are free for the rest of the stay, by number."""
        first = min(max(booking.arrival, self.day), booking.departure)
        nights = {first + n * DAY for n in range((booking.departure - first).days)}
        found = [
            key
            for key, room in sorted(self.rooms.items(), key=lambda item: item[1].number)
            if room.room_type == booking.room_type
            and not (
                self.taken(key, nights)
                if nights
                else self.occupied(key) or self.off_sale(key, first)
            )
        ]
        if booking.arrival > self.day:
            return found
        return sorted(found, key=lambda key: not self.is_fit(key))

    def is_fit(self, room: Key) -> bool:
        """Tell whether a guest could enter the room now."""
        return self.is_ready(room) and not self.occupied(room)

    # -- bookings -----------------------------------------------------------------------------

    def release(self, booking: Booking, first: date) -> None:
        """Give back the nights from ``first`` on, with their rooms."""
        for night in booking.coming(first).values():
            night.released, night.room = True, None

    def local_date(self) -> date:
        """Return the calendar date in the hotel's own zone."""
        return self.now.astimezone(ZoneInfo(self.zone)).date()

    # -- bills --------------------------------------------------------------------------------

    def folios_of(self, booking: Key) -> list[Key]:
        """Return the booking's folios, the oldest first."""
        return [key for key, folio in self.folios.items() if folio.booking == booking]

    def open_folios(self, booking: Key) -> list[Key]:
        """Return the booking's open folios, the oldest first."""
        return [key for key in self.folios_of(booking) if self.folios[key].is_open]

    def open_folio(self, booking: Booking, key: Key | None = None, guest: Key | None = None) -> Key:
        """Open a folio; without ``key`` it is looked up later."""
        found = key or self._unnamed()
        self.folios[found] = Folio(booking.key, guest or booking.guest)
        return found

    def post(
        self,
        folio: Key,
        kind: str,
        minor: int,
        *,
        key: Key | None = None,
        refers_to: Key | None = None,
        night: date | None = None,
        code: str = "",
    ) -> None:
        """Post a line; without ``key`` it is looked up later."""
        self.lines[key or self._unnamed()] = Line(
            folio, kind, minor, self.day, refers_to, night, code
        )
        self.folios[folio].balance += minor

    def charge(self, booking: Booking, code: str, minor: int) -> None:
        """Charge a fee to the folio deepest in credit; nothing for a fee of nothing."""
        if minor:
            folios = self.open_folios(booking.key) or [self.open_folio(booking)]
            deepest = min(folios, key=lambda key: self.folios[key].balance)
            self.post(deepest, "charge", minor, code=code)

    def post_nights(self, booking: Booking, until: date) -> None:
        """Charge the standing nights before ``until`` that are not charged yet."""
        due = {d: n for d, n in booking.standing().items() if d < until and not n.posted}
        if due:
            folio = (self.open_folios(booking.key) or [self.open_folio(booking)])[0]
            for day, night in due.items():
                night.posted = True
                self.post(folio, "charge", night.price, night=day, code="room")

    def left_of(self, key: Key) -> int:
        """Return what is left of a charge or payment after the lines that lower it."""
        line = self.lines[key]
        direct = {k for k, it in self.lines.items() if it.refers_to == key and it.kind != "charge"}
        left = line.minor + sum(
            other.minor
            for k, other in self.lines.items()
            if k in direct or other.refers_to in direct
        )
        return abs(left) if line.kind == "payment" else left

    def is_voided(self, key: Key) -> bool:
        """Tell whether a line was reversed."""
        return any(line.kind == "void" and line.refers_to == key for line in self.lines.values())

    def refund_credit(self, booking: Booking) -> int:
        """Give back what the booking is in credit, the oldest payments first; return how much."""
        folios = self.open_folios(booking.key)
        credit = -sum(self.folios[key].balance for key in folios)
        given = 0
        for folio in folios:
            wanted = min(credit - given, -self.folios[folio].balance)
            for key in [
                k for k, it in self.lines.items() if it.folio == folio and it.kind == "payment"
            ]:
                part = min(wanted, self.left_of(key))
                if part > 0:
                    self.post(folio, "refund", part, refers_to=key, code=self.lines[key].code)
                    wanted, given = wanted - part, given + part
        return given

    def close_settled(self, booking: Booking) -> None:
        """Close the booking's folios that are at zero."""
        for key in self.open_folios(booking.key):
            self.folios[key].is_open = self.folios[key].balance != 0

    def _unnamed(self) -> Key:
        self.unnamed += 1
        return f"?{self.unnamed}"


def _taken(counter: Counter | None) -> int:
    if counter is None:
        return 0
    return counter.committed + counter.held + counter.out_of_order + counter.out_of_inventory
