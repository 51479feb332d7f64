"""Hypothesis strategies for a hotel's values: named, small, and made to be put together.

Each is a strategy, or a function that returns one where the values depend on something. They favour
what breaks hotel software: month ends, leap days, clock changes, currencies without cents, text
that no form should take. Needs the ``testing`` extra.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from attrs import frozen

from hotelcore.access import Role
from hotelcore.domain.cancellation import CancellationPolicy, Fee, FeeKind
from hotelcore.domain.hotels import HouseRules, OverdueDeparture, UnresolvedArrival
from hotelcore.domain.housekeeping import TaskKind
from hotelcore.domain.money import Money
from hotelcore.domain.rooms import MaintenanceKind, RoomCondition
from hotelcore.domain.stays import Stay
from hotelcore.errors import MissingExtra

try:
    from hypothesis import strategies as st
except ModuleNotFoundError:
    raise MissingExtra("testing with Hypothesis", "testing") from None

__all__ = [
    "HotelPlan",
    "TypePlan",
    "amounts",
    "currencies",
    "hostile_texts",
    "hotel_plans",
    "house_rules",
    "maintenance_kinds",
    "moneys",
    "names",
    "notable_days",
    "notable_instants",
    "policies",
    "roles",
    "room_conditions",
    "stays",
    "task_kinds",
    "texts",
    "time_zones",
]

_DAY = timedelta(days=1)

# -- days and stays ---------------------------------------------------------------------------

notable_days = st.sampled_from(
    [
        date(2026, 12, 31),  # the year ends
        date(2027, 2, 28),  # the month ends
        date(2028, 2, 28),  # a leap day follows
        date(2026, 3, 28),  # clocks go forward in Europe
        date(2026, 10, 24),  # clocks go back in Europe
        date(2026, 11, 1),  # clocks go back in America, at midnight in Havana
        date(2011, 12, 29),  # Apia skips the next day
        date(2026, 6, 15),  # nothing happens
    ]
)
"""Days on which, or right before which, a calendar or a clock does something unusual."""

notable_instants = st.builds(
    lambda day, hour: datetime.combine(day, time(hour), tzinfo=UTC),
    notable_days,
    st.sampled_from([12, 0, 23]),
)
"""Instants on notable days: noon, and both sides of midnight, in UTC."""

time_zones = st.sampled_from(
    ["Etc/UTC", "Europe/Lisbon", "America/Havana", "Pacific/Apia", "Asia/Kathmandu"]
)
"""IANA zones: on both sides of the date line, with odd offsets and odd clock changes."""


def stays(
    day: date, *, before: int = 0, after: int = 12, longest: int = 6
) -> st.SearchStrategy[Stay]:
    """Return stays that begin around ``day``, day uses among them.

    The arrival lies at most ``before`` days before and ``after`` days behind it.
    """
    return st.builds(
        lambda begins, nights: Stay(day + begins * _DAY, day + (begins + nights) * _DAY),
        st.integers(-before, after),
        st.integers(0, longest),
    )


# -- money ------------------------------------------------------------------------------------

currencies = st.sampled_from(["EUR", "JPY", "KWD", "CLF", "USD", "HUF", "MGA"])
"""ISO 4217 codes with no, two, three and four decimals."""


def amounts(currency: str, *, least: int = 1, most: int = 1_000_000) -> st.SearchStrategy[Money]:
    """Return amounts of a currency, from ``least`` to ``most`` minor units."""
    return st.builds(Money, st.integers(least, most), st.just(currency))


moneys = currencies.flatmap(lambda currency: amounts(currency, least=-1_000_000))
"""Amounts in any of the currencies, below zero too."""

# -- text -------------------------------------------------------------------------------------

_HOSTILE = (
    "'; DROP TABLE hc_booking; --",
    "%_\\%",
    "Ω≈ç√∫µ≤≥÷",
    "\u202etxet desrever",
    "e\u0301 is not é",
    "😀" * 3,
    "a\r\nb\tc",
    '{"json": [1, null]}',
    "NULL",
    "İstanbul ﬁ ß",
    "\u200bzero width",
)

hostile_texts = st.sampled_from(_HOSTILE)
"""Texts that are storable and that careless software stores or finds wrongly."""


def texts(most: int, *, least: int = 1) -> st.SearchStrategy[str]:
    """Return any storable text of ``least`` to ``most`` characters."""
    letters = st.characters(exclude_categories=["Cs"], exclude_characters="\x00")
    found = st.text(letters, min_size=least, max_size=most)
    return found.filter(lambda text: bool(text.strip())) if least else found


names = (
    st.sampled_from(["Lovelace", "O'Brien", "Nuñez", "李", "van der Berg", "Ng"]) | hostile_texts
)
"""Last names, among them ones that break forms."""

# -- the house --------------------------------------------------------------------------------

roles = st.sampled_from(list(Role))
"""Every role."""
room_conditions = st.sampled_from(list(RoomCondition))
"""Every condition of a room."""
task_kinds = st.sampled_from(list(TaskKind))
"""Every kind of housekeeping task."""
maintenance_kinds = st.sampled_from(list(MaintenanceKind))
"""Every kind of maintenance."""

_fees = st.builds(
    Fee, kind=st.sampled_from(list(FeeKind)), basis_points=st.sampled_from([10_000, 5_000, 3_333])
)
policies = st.builds(
    CancellationPolicy, free_days=st.integers(0, 3), late_fee=_fees, no_show_fee=_fees
)
"""Cancellation policies: free ones, whole nights, and shares that leave a remainder."""

house_rules = st.builds(
    HouseRules,
    ready_condition=st.sampled_from([RoomCondition.CLEAN, RoomCondition.INSPECTED]),
    unresolved_arrival=st.sampled_from(list(UnresolvedArrival)),
    overdue_departure=st.sampled_from(list(OverdueDeparture)),
    cancellation=policies,
)
"""Every way in which hotels differ."""


@frozen(kw_only=True)
class TypePlan:
    """A room type that a hotel is to have: its price, its overbooking limit, its rooms."""

    code: str
    rate: int
    limit: int
    rooms: int


@frozen(kw_only=True)
class HotelPlan:
    """A hotel that is to be opened, with its room types."""

    name: str
    time_zone: str
    currency: str
    rules: HouseRules
    types: tuple[TypePlan, ...]


def _types(rooms: tuple[int, ...], rate: int, limit: int) -> tuple[TypePlan, ...]:
    return tuple(
        TypePlan(code=f"T{n}", rate=rate * (n + 1), limit=limit if n == 0 else 0, rooms=number)
        for n, number in enumerate(rooms)
    )


hotel_plans = st.builds(
    HotelPlan,
    name=hostile_texts,
    time_zone=time_zones,
    currency=currencies,
    rules=house_rules,
    types=st.builds(
        _types,
        st.sampled_from([(1,), (2,), (1, 1), (1, 0), (2, 1), (3,)]),
        st.sampled_from([10_001, 1, 7_777]),
        st.sampled_from([0, 0, 0, 1]),
    ),
)
"""Hotels of several sizes, from one room to five, some with an overbooking limit."""
