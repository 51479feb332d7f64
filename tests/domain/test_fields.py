"""Every field of an entity or a filter refuses what is of another type, and names itself."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable
from datetime import date
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotelcore import clock
from hotelcore.domain import (
    audit,
    availability,
    bookings,
    business_day,
    cancellation,
    fields,
    folios,
    guests,
    hotels,
    housekeeping,
    pms,
    rooms,
    stays,
)
from hotelcore.domain.bookings import BookingStatus, Reason
from hotelcore.domain.cancellation import CancellationPolicy, Fee
from hotelcore.domain.hotels import HouseRules
from hotelcore.domain.money import Money, currency, sum_money
from hotelcore.domain.rooms import RoomCondition
from hotelcore.errors import (
    ActionRefused,
    AlreadyExists,
    BusinessDayBlocked,
    InvalidInput,
    NotFound,
    RoomTaken,
    SoldOut,
)
from hotelcore.events.bus import EventBus
from hotelcore.events.catalogue import BookingCreated
from hotelcore.ids import new_id
from hotelcore.lists import (
    AuditFilter,
    BookingFilter,
    FolioFilter,
    GuestFilter,
    RoomFilter,
    TaskFilter,
)
from hotelcore.text import clean_text

# Free-form: any JSON may stand in these.
_OPEN = {(audit.Change, "before"), (audit.Change, "after")}
# Facts that one module hands to another of the library, and that nobody stores or sends.
_INNER = {audit.AuditProblem, audit.AuditReport, bookings.Surroundings}
_MODULES = (
    audit,
    availability,
    bookings,
    business_day,
    cancellation,
    folios,
    guests,
    hotels,
    housekeeping,
    pms,
    rooms,
    stays,
)
_FILTERS = (AuditFilter, BookingFilter, FolioFilter, GuestFilter, RoomFilter, TaskFilter)
CLASSES: list[type[Any]] = [  # Any: attrs classes of every kind
    found
    for module in _MODULES
    for found in vars(module).values()
    if isinstance(found, type) and attrs.has(found) and found.__module__ == module.__name__
]
FIELDS = [
    (kind, field)
    for kind in (*CLASSES, *_FILTERS)
    for field in attrs.fields(kind)
    if kind not in _INNER and (kind, field.name) not in _OPEN
]


def _give(field: attrs.Attribute[Any], value: object) -> None:  # Any: of any type
    """Give a field a value, as the class itself would."""
    converter: Any = field.converter  # Any: attrs declares no attribute of a Converter
    if isinstance(converter, attrs.Converter):
        value = getattr(converter, "converter")(value, field)  # noqa: B009  # as above
    elif converter is not None:
        value = converter(value)
    assert field.validator is not None, f"{field.name} takes anything"
    field.validator(None, field, value)


@pytest.mark.parametrize(
    ("kind", "field"), FIELDS, ids=[f"{kind.__name__}.{field.name}" for kind, field in FIELDS]
)
def test_every_field_refuses_what_is_of_another_type(
    kind: type[object],
    field: attrs.Attribute[Any],  # Any: of any type
) -> None:
    """No field of the domain or of a filter takes an object or a byte string, and each says so."""
    for value in (object(), b"bytes"):
        with pytest.raises(InvalidInput, match=rf"^{field.name}:"):
            _give(field, value)


POISON: list[tuple[str, Callable[..., object], object]] = [
    ("late_fee", CancellationPolicy, "all"),
    ("no_show_fee", CancellationPolicy, None),
    ("kind", Fee, "rubbish"),
    ("unresolved_arrival", HouseRules, "ignore"),
    ("cancellation", HouseRules, "flexible"),
    ("statuses", BookingFilter, "confirmed"),
    ("statuses", BookingFilter, {"conf"}),
    ("statuses", BookingFilter, BookingStatus.CONFIRMED),
    ("statuses", BookingFilter, {BookingStatus.CONFIRMED: 1}),
    ("arriving_from", BookingFilter, "2026-12-01"),
    ("staying", BookingFilter, (date(2026, 12, 1), date(2026, 12, 2))),
    ("guest_id", BookingFilter, "01890a5d-ac96-774b-bcce-b302099a8057"),
    ("vip", GuestFilter, "no"),
    ("unsettled", FolioFilter, 1),
]


@pytest.mark.parametrize(("name", "kind", "value"), POISON)
def test_a_value_that_reads_well_and_is_wrong_is_refused(
    name: str, kind: Callable[..., object], value: object
) -> None:
    """Words that look like a fee, a rule or a filter are refused where they are given."""
    with pytest.raises(InvalidInput, match=f"^{name}:"):
        kind(**{name: value})


@given(st.sets(st.sampled_from(RoomCondition)))
def test_a_filter_takes_members_or_their_values(conditions: set[RoomCondition]) -> None:
    """A set, a list and the plain values of the members mean the same filter."""
    wanted = RoomFilter(conditions=frozenset(conditions))
    taken: list[Any] = [conditions, list(conditions), [str(c) for c in conditions]]  # Any: lenient
    assert all(RoomFilter(conditions=given) == wanted for given in taken)


# -- functions -------------------------------------------------------------------------------


async def _later(event: object) -> None:
    await asyncio.sleep(0)


def _step_by_step(event: object) -> object:
    yield event


class _Later:
    async def __call__(self, event: object) -> None:
        await asyncio.sleep(0)


@pytest.mark.parametrize("listener", [_later, _step_by_step, _Later(), "listener", None])
def test_a_listener_that_would_never_run_is_refused(listener: Any) -> None:  # Any: refused here
    """A coroutine function, a generator and what is no function cannot subscribe."""
    with pytest.raises(InvalidInput, match=r"^listener:"):
        EventBus().subscribe(BookingCreated, listener)


@pytest.mark.parametrize("function", [print, len, EventBus, EventBus().emit, lambda event: 1])
def test_a_plain_function_is_taken(function: object) -> None:
    """Functions, methods, classes and built-ins run when they are called."""
    fields.check_plain("listener", function)


# -- words -----------------------------------------------------------------------------------


def test_every_reason_says_what_to_do() -> None:
    """Each reason of the table is explained, with the booking's status, and codes stay codes."""
    refused = ActionRefused("check_out", tuple(Reason), BookingStatus.CONFIRMED)
    assert refused.reasons == tuple(Reason)
    assert "for a booking that is confirmed" in refused.message()
    assert all(f"{reason} (" in refused.message() for reason in Reason)
    assert str(pickle.loads(pickle.dumps(refused))) == str(refused)


def test_a_reason_of_a_host_stands_alone() -> None:
    """A code that the library does not know is shown as it is."""
    assert str(ActionRefused("sing", ("hoarse",))) == "sing is not possible: hoarse"


def test_a_blocked_day_names_each_matter_once() -> None:
    """Bookings with the same matter stand together, and the local date is told."""
    day = date(2026, 12, 1)
    blocked = BusinessDayBlocked(day, ("departure_overdue A1", "departure_overdue B2"))
    assert blocked.message().count("departure_overdue") == 1
    assert blocked.message().endswith("A1, B2")
    waiting = BusinessDayBlocked(day, ("local_date_not_reached",), date(2026, 11, 30))
    assert "while it is 2026-11-30" in waiting.message()


def test_a_full_night_and_a_taken_room_say_what_else_to_ask_for() -> None:
    """The nights are named with the way out, and a room that somebody is in names no night."""
    nights = (date(2026, 12, 1), date(2026, 12, 2))
    full = str(SoldOut(new_id(), nights))
    assert full.startswith("no room of this type is left on 2026-12-01, 2026-12-02: ")
    assert full.endswith("name other nights or another type, or give a force_reason")
    taken = str(RoomTaken(new_id(), nights))
    assert taken.startswith("the room is not free on 2026-12-01, 2026-12-02: ")
    assert taken.endswith("name another room, or other nights")
    entered = str(RoomTaken(new_id(), ()))
    assert entered == "somebody is in the room: check that guest out, or name another room"


def test_a_hotel_is_spoken_of_as_the_actors_own() -> None:
    """What is missing or there twice is the acting hotel itself."""
    assert "not registered" in str(NotFound("hotel", new_id()))
    assert str(AlreadyExists("hotel", "id")) == "this hotel is registered already"


def test_blank_text_is_called_so() -> None:
    """Empty text, white space and text that is too short are told apart."""
    for blank in ("", " \t"):
        with pytest.raises(InvalidInput, match="must not be empty or blank"):
            clean_text("name", blank, most=5)
    with pytest.raises(InvalidInput, match="at least 3 characters"):
        clean_text("name", "ab", most=5, least=3)


def test_the_sum_of_money_is_pointed_to() -> None:
    """The built-in sum begins with a number, so it is refused in words; so is what is no money."""
    add_up: Any = sum  # Any: the type checker refuses it too
    with pytest.raises(InvalidInput, match="sum_money"):
        add_up([Money(1, "EUR")])
    numbers: Any = [1]  # Any: likewise
    with pytest.raises(InvalidInput, match="values"):
        sum_money(numbers, "EUR")


@pytest.mark.parametrize("look_up", [currency, clock.time_zone])
def test_an_unknown_name_shows_no_inner_error(look_up: Callable[[str], object]) -> None:
    """An unknown currency or zone is refused without the look-up's own error behind it."""
    with pytest.raises(InvalidInput) as refused:
        look_up("Nowhere")
    assert refused.value.__suppress_context__
