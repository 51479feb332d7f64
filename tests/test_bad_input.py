"""What can never be right is refused by name, before anything is written, alike everywhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, get_type_hints
from urllib.parse import quote as escaped
from uuid import uuid4

import attrs
import pytest
from sqlalchemy import Engine

from hotelcore import (
    Actor,
    AsyncHotelCore,
    HotelCore,
    HotelcoreError,
    Limits,
    Money,
    Role,
    Stay,
    TableNames,
)
from hotelcore.domain.cancellation import CancellationPolicy, Fee
from hotelcore.domain.guests import Guest
from hotelcore.domain.hotels import HouseRules
from hotelcore.errors import InvalidInput, NotFound
from hotelcore.ids import HotelId
from hotelcore.lists import (
    AuditFilter,
    BookingFilter,
    FolioFilter,
    GuestFilter,
    JournalFilter,
    RoomFilter,
    TaskFilter,
)
from hotelcore.operations import (
    OPERATIONS,
    possible_actions,
    quote,
    register_guest,
    search_availability,
)
from hotelcore.unit_of_work import UnitOfWork
from tests.bad_values import MEBIBYTE, STAYS, UNKNOWN, bad_values
from tests.every_operation import ARGUMENTS, NAMES, good_call
from tests.postgres_server import fresh_database
from tests.small_hotel import (
    DAY,
    KEYS,
    PRICE,
    TODAY,
    SmallHotel,
    nothing_kept,
    open_hotel,
    written_statements,
)

Both = tuple[HotelCore, HotelCore]


@pytest.fixture(scope="module")
def both(postgresql_server: Engine, tmp_path_factory: pytest.TempPathFactory) -> Generator[Both]:
    """Return a core on SQLite and one on PostgreSQL."""
    file = tmp_path_factory.mktemp("bad") / "hotel.db"
    with fresh_database(postgresql_server) as url, ExitStack() as kept:
        cores = (HotelCore(f"sqlite:///{file}", keys=KEYS), HotelCore(url, keys=KEYS))
        for core in cores:
            kept.callback(core.close)
            core.create_schema()
        yield cores


def refusal(call: Callable[[], object]) -> str:
    """Return the class and the text of the error of ours that the call raises."""
    try:
        call()
    except HotelcoreError as error:
        return f"{type(error).__name__}: {error}"
    return "accepted"


# -- operations ---------------------------------------------------------------------------------


# What most arguments of that type must refuse and these may well be given.
FINE: Mapping[str, tuple[str, object]] = {
    "purge_events": ("before", datetime(1970, 1, 1, tzinfo=UTC)),
    "replay_events": ("after", 10**6),
}


def refusals(hotel: SmallHotel, name: str) -> dict[tuple[str, int], str]:
    """Call an operation with one bad value after the other, and at last with good ones only."""
    call, hints = good_call(name, hotel), get_type_hints(OPERATIONS[name])
    engine = hotel.core.engine
    with nothing_kept(engine), written_statements(engine) as written:
        found = {
            (argument, number): refusal(partial(call.run, **{argument: value}))
            for argument in call.arguments
            for number, value in enumerate(bad_values(argument, hints[argument]))
            if (argument, value) != FINE.get(name)
        }
    assert written == []
    # Whatever was refused was refused for the bad value alone.
    call.run()
    return found


def test_every_operation_is_covered() -> None:
    """There is a good call, with every argument, of every operation of the library."""
    assert sorted(ARGUMENTS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_bad_arguments_are_refused(both: Both, name: str) -> None:
    """Each bad value of each argument gets a typed error that names it, and nothing is written."""
    on_sqlite, on_postgresql = (refusals(open_hotel(core), name) for core in both)
    assert on_sqlite == on_postgresql
    for (argument, number), found in on_sqlite.items():
        kind, _, text = found.partition(": ")
        assert kind in ("InvalidInput", "CurrencyMismatch", "NotFound"), (argument, number, found)
        field = text.partition(":")[0]
        # A reason given for an override is the command's reason; of many numbers one is wrong.
        named = argument.endswith(field) or argument.startswith(field)
        assert named or kind != "InvalidInput", (argument, number, found)
        assert "\x00" not in text
        assert len(text) < 200


@pytest.mark.parametrize("name", NAMES)
def test_missing_and_unknown_arguments_are_errors_of_the_caller(both: Both, name: str) -> None:
    """As for any Python function, an argument too many is a TypeError; nothing is written."""
    for core in both:
        call = good_call(name, open_hotel(core))
        with nothing_kept(core.engine), pytest.raises(TypeError, match="no_such_argument"):
            call.run(no_such_argument=1)


NOT_TOGETHER: dict[str, tuple[str, dict[str, object], str]] = {
    "a price too few": (
        "create_booking_with_folio",
        {"nightly_prices": [PRICE]},
        "InvalidInput: nightly_prices: must be one price a new night: 2",
    ),
    "a stay in the past": (
        "create_booking_with_folio",
        {"stay": Stay(TODAY - DAY, TODAY + DAY), "force_reason": None},
        "InvalidInput: stay: must not begin before the business date, 2020-01-01",
    ),
    "a hold that is over": (
        "create_booking_with_folio",
        {"hold_until": datetime(2020, 1, 1, tzinfo=UTC)},
        "InvalidInput: hold_until: must lie ahead",
    ),
    "a stay that would change the past": (
        "amend_stay",
        {"stay": Stay(TODAY - DAY, TODAY + DAY)},
        "InvalidInput: stay: must not add or drop nights before the business date, 2020-01-01",
    ),
    "one room twice": (
        "add_rooms",
        {"numbers": ["A", "A"]},
        "InvalidInput: numbers: must name each room once",
    ),
    "a base rate in another currency": (
        "add_room_type",
        {"base_rate": Money(1, "JPY")},
        "CurrencyMismatch: EUR and JPY do not mix: convert before you compare or add",
    ),
    "a block of no night": (
        "block_room",
        {"period": Stay(TODAY, TODAY)},
        "InvalidInput: period: must cover at least one night",
    ),
    "an unknown time zone": (
        "register_hotel",
        {"time_zone": "Mars/Olympus"},
        "InvalidInput: time_zone: is not in the IANA database of this machine",
    ),
    "a path as a time zone": (
        "register_hotel",
        {"time_zone": "../../etc/passwd"},
        "InvalidInput: time_zone: is not in the IANA database of this machine",
    ),
    "the server's own time zone": (
        "register_hotel",
        {"time_zone": "localtime"},
        "InvalidInput: time_zone: must be an IANA name such as Europe/Lisbon",
    ),
    "gold as a currency": (
        "register_hotel",
        {"currency": "XAU"},
        "InvalidInput: currency: XAU has no minor unit, so nothing is priced in it",
    ),
    "a day that is not open": (
        "close_business_day",
        {"business_date": TODAY + 9 * DAY},
        "InvalidInput: business_date: must be the open day, 2020-01-01",
    ),
    "a task in the past": (
        "create_housekeeping_task",
        {"due": TODAY - DAY},
        "InvalidInput: due: must not be before the business date, 2020-01-01",
    ),
    "more refunded than paid": (
        "refund_payment",
        {"amount": PRICE + Money(1, "EUR")},
        "AmountRefused: ",
    ),
    "more allowed than charged": (
        "grant_allowance",
        {"amount": PRICE + Money(1, "EUR")},
        "AmountRefused: ",
    ),
}


@pytest.mark.parametrize("case", NOT_TOGETHER)
def test_what_does_not_go_together_is_refused(both: Both, case: str) -> None:
    """What is wrong only here and now, or beside another value, is refused in the same words."""
    name, arguments, expected = NOT_TOGETHER[case]
    found = []
    for core in both:
        call = good_call(name, open_hotel(core))
        with nothing_kept(core.engine), written_statements(core.engine) as written:
            found.append(refusal(partial(call.run, **arguments)))
        assert written == []
    assert found[0] == found[1]
    assert found[0].startswith(expected)


# -- values -------------------------------------------------------------------------------------

LONG_AGO = date(1000, 1, 1)
EPOCH = datetime(1970, 1, 1)

VALUES: dict[str, tuple[Callable[[], object], str]] = {
    "a stay of a thousand years": (lambda: Stay(TODAY, date(3020, 1, 1)), "departure"),
    "a stay of a thousand nights": (lambda: Stay(TODAY, TODAY + 1000 * DAY), "departure"),
    "a stay long ago": (lambda: Stay(LONG_AGO, LONG_AGO + DAY), "arrival"),
    "a departure before the arrival": (lambda: Stay(TODAY, TODAY - DAY), "departure"),
    "a stay with times": (lambda: Stay(EPOCH, EPOCH), "arrival"),
    "a stay of texts": (lambda: any_value(Stay)("2020-01-01", "2020-01-02"), "arrival"),
    "money as a float": (lambda: any_value(Money)(10.0, "EUR"), "minor"),
    "money of a float": (lambda: any_value(Money.of)(10.0, "EUR"), "amount"),
    "money of true": (lambda: Money(True, "EUR"), "minor"),
    "money of nothing that is a number": (lambda: Money.of("NaN", "EUR"), "amount"),
    "money in parts of a cent": (lambda: Money.of("0.001", "EUR"), "amount"),
    "more money than 64 bits": (lambda: Money(2**63, "EUR"), "minor"),
    "an unknown currency": (lambda: Money(1, "EUX"), "currency"),
    "a currency in lower case": (lambda: Money(1, "eur"), "currency"),
    "a currency that is a list": (lambda: any_value(Money)(1, []), "currency"),
    "money times a float": (lambda: any_value(PRICE) * 1.5, "factor"),
    "an unknown role": (lambda: actor(role="The boss"), "role"),
    "no role": (lambda: actor(role=None), "role"),
    "a hotel by name": (lambda: actor(hotel_id="Harbour"), "hotel_id"),
    "nobody's name": (lambda: actor(subject=" "), "subject"),
    "a name with NUL": (lambda: actor(subject="a\x00"), "subject"),
    "a name of a mebibyte": (lambda: actor(subject="x" * MEBIBYTE), "subject"),
    "an unknown condition": (lambda: rules(ready_condition="shiny"), "ready_condition"),
    "too low a condition": (lambda: rules(ready_condition="dirty"), "ready_condition"),
    "an unknown rule for arrivals": (lambda: rules(unresolved_arrival=7), "unresolved_arrival"),
    "an unknown rule for departures": (lambda: rules(overdue_departure=""), "overdue_departure"),
    "terms that are none": (lambda: rules(cancellation={}), "cancellation"),
    "negative free days": (lambda: CancellationPolicy(free_days=-1), "free_days"),
    "a fee that is none": (lambda: any_value(CancellationPolicy)(late_fee=50), "late_fee"),
    "an unknown fee": (lambda: any_value(Fee)(kind="fine"), "kind"),
    "more than the whole": (lambda: Fee(basis_points=10_001), "basis_points"),
    "a fee of true": (lambda: Fee(basis_points=True), "basis_points"),
    "a prefix with spaces": (lambda: TableNames(prefix="x; --_"), "prefix"),
    "a prefix in upper case": (lambda: TableNames(prefix="HC_"), "prefix"),
    "no prefix": (lambda: TableNames(prefix=""), "prefix"),
    "a prefix that is a number": (lambda: any_value(TableNames)(prefix=5), "prefix"),
    "a schema with a dot": (lambda: TableNames(schema="a.b"), "schema"),
    "a schema on SQLite": (
        lambda: HotelCore("sqlite://", names=TableNames(schema="hotel")),
        "schema",
    ),
    "seconds as a limit": (lambda: any_value(Limits)(wait_limit=5), "wait_limit"),
    "no time at all": (lambda: Limits(time_limit=timedelta(0)), "time_limit"),
    "another database": (lambda: HotelCore("mysql://localhost/hotel"), "database"),
    "no URL": (lambda: HotelCore("hotel.db"), "database"),
    "an empty URL": (lambda: HotelCore(""), "database"),
    "a port that is none": (lambda: HotelCore("postgresql://host:port/hotel"), "database"),
    "an unknown driver": (lambda: HotelCore("postgresql+nosuch://host/hotel"), "database"),
    "a number as a URL": (lambda: any_value(HotelCore)(5), "database"),
    "another database, async": (lambda: AsyncHotelCore("mysql://localhost/hotel"), "database"),
    "no URL, async": (lambda: AsyncHotelCore("hotel.db"), "database"),
}


def any_value(value: Any) -> Any:  # what it is used for is wrong on purpose
    """Return the value, for calls that no type checker would let pass."""
    return value


def actor(**wrong: object) -> object:
    """Build an actor with something wrong."""
    good = {"hotel_id": UNKNOWN, "subject": "ana", "role": "staff"}
    return any_value(Actor)(**{**good, **wrong})


def rules(**wrong: object) -> object:
    """Build house rules with something wrong."""
    return any_value(HouseRules)(**wrong)


@pytest.mark.parametrize("case", VALUES)
def test_bad_values_cannot_be_made(case: str) -> None:
    """A value that can never be right is refused where it is made, by the field's name."""
    make, field = VALUES[case]
    with pytest.raises(InvalidInput) as refused:
        make()
    assert refused.value.field == field


# -- handles and reading ------------------------------------------------------------------------


# How a page of each list is asked for, and by which filter.
LISTS: dict[str, tuple[Callable[[UnitOfWork], Callable[..., object]], type]] = {
    "guests": (lambda uow: uow.guests.page, GuestFilter),
    "bookings": (lambda uow: uow.bookings.page, BookingFilter),
    "rooms": (lambda uow: uow.rooms.page, RoomFilter),
    "folios": (lambda uow: uow.folios.page, FolioFilter),
    "journal": (lambda uow: uow.folios.journal, JournalFilter),
    "tasks": (lambda uow: uow.housekeeping.page, TaskFilter),
    "audit": (lambda uow: uow.audit.page, AuditFilter),
}
BAD_LIMITS = (0, -1, 1_001, 10_000, True, 1.0, "5", None)
# Base 64 of: null, [], two nulls, {}, two numbers; and what is no base 64 at all.
BAD_CURSORS = (
    *("bnVsbA==", "W10=", "W251bGwsbnVsbF0=", "e30=", "WzEsMl0="),
    *("", "x", "AAAA", "\x00", "\u00e9", "\ud800", "x" * MEBIBYTE, "W1tb" * 30_000, 5, b"W10="),
)


@pytest.mark.parametrize("name", LISTS)
def test_bad_pages_are_refused(both: Both, name: str) -> None:
    """A page has 1 to 1,000 records and a cursor that its own list gave."""
    page, kind = LISTS[name]
    for core in both:
        with open_hotel(core).desk.reading() as uow:
            for limit in BAD_LIMITS:
                with pytest.raises(InvalidInput, match="limit: "):
                    page(uow)(kind(), limit=limit)
            for cursor in BAD_CURSORS:
                with pytest.raises(InvalidInput, match="after: "):
                    page(uow)(kind(), after=cursor)


@pytest.mark.parametrize("name", LISTS)
def test_a_filter_is_its_own_lists(both: Both, name: str) -> None:
    """A list is asked by its own filter alone, and names it where another is given."""
    page, kind = LISTS[name]
    others = [other() for _, other in LISTS.values() if other is not kind]
    for core in both:
        with open_hotel(core).desk.reading() as uow:
            for which in (*others, kind, None, {}, "all"):
                with pytest.raises(InvalidInput, match=f"which: must be a {kind.__name__}"):
                    page(uow)(which)


def test_a_cursor_is_its_own_lists(both: Both) -> None:
    """The cursor of another list is refused, whatever its sort keys are; it is safe in a URL."""
    for core in both:
        hotel = open_hotel(core)
        hotel.desk.run(register_guest, last_name="Second")
        with hotel.desk.reading() as uow:
            cursor = uow.guests.page(GuestFilter(), limit=1).next
            assert cursor is not None
            assert cursor == escaped(cursor)
            assert uow.guests.page(GuestFilter(), after=cursor).items
            for page, which in (
                (uow.bookings.page, BookingFilter()),
                (uow.rooms.page, RoomFilter()),
                (uow.folios.page, FolioFilter()),
            ):
                with pytest.raises(InvalidInput, match="after: "):
                    page(which, after=cursor)  # type: ignore[arg-type]  # each takes its own filter


FILTERS: dict[str, tuple[Callable[..., object], str, tuple[object, ...]]] = {
    f"{kind.__name__}.{field}": (kind, field, values)
    for kind, fields, values in (
        (GuestFilter, ("last_name", "email", "phone"), ("\x00", "\ud800", "x" * 400, 5)),
        (BookingFilter, ("channel",), ("\x00", "\ud800", "x" * 51, 5)),
        (RoomFilter, ("floor",), ("\x00", "\ud800", "x" * 21, 5)),
        (TaskFilter, ("assignee",), ("\x00", "\ud800", "x" * 201, 5)),
        (AuditFilter, ("subject", "operation", "resource"), ("\x00", "\ud800", "x" * 201, 5)),
        (
            BookingFilter,
            ("arriving_from", "arriving_until", "departing_from", "departing_until"),
            (datetime(2020, 1, 1), "2020-01-01", date.min, date.max),
        ),
        (TaskFilter, ("due",), (datetime(2020, 1, 1), "2020-01-01", date.min, date.max)),
        (JournalFilter, ("code",), ("\x00", "\ud800", "x" * 51, 5)),
        (JournalFilter, ("posted_by",), ("\x00", "\ud800", "x" * 201, 5)),
        (JournalFilter, ("kinds",), ("charge", {"gift"}, 5)),
        (
            JournalFilter,
            ("posted_from", "posted_until"),
            (datetime(2020, 1, 1), "2020-01-01", date.min, date.max),
        ),
    )
    for field in fields
}


@pytest.mark.parametrize("case", FILTERS)
def test_bad_filters_cannot_be_made(case: str) -> None:
    """A filter holds only what a record could hold."""
    kind, field, values = FILTERS[case]
    for value in values:
        with pytest.raises(InvalidInput) as refused:
            kind(**{field: value})
        assert refused.value.field == field


A_NIGHT = Stay(TODAY, TODAY + DAY)
IDS_OF_NOTHING = ("1' OR '1'='1", 7, 12.5, b"bytes", True)

QUESTIONS: dict[str, Callable[[UnitOfWork, object], object]] = {
    "booking": lambda uow, value: uow.bookings.get(any_value(value)),
    "folio": lambda uow, value: uow.folios.get(any_value(value)),
    "guest": lambda uow, value: uow.guests.get(any_value(value)),
    "room": lambda uow, value: uow.rooms.get(any_value(value)),
    "actions": lambda uow, value: possible_actions(uow, booking_id=any_value(value)),
    "quote": lambda uow, value: quote(uow, room_type_id=any_value(value), stay=A_NIGHT),
    "search": lambda uow, value: search_availability(
        uow, stay=A_NIGHT, room_type_id=any_value(value)
    ),
}


@pytest.mark.parametrize("case", QUESTIONS)
def test_ids_of_nothing_are_not_found(both: Both, case: str) -> None:
    """An unknown id is not found, and what is no id is refused; both read nothing else."""
    ask = QUESTIONS[case]
    for core in both:
        desk = open_hotel(core).desk
        with desk.reading() as uow, pytest.raises(NotFound):
            ask(uow, UNKNOWN)
        for value in IDS_OF_NOTHING:
            with desk.reading() as uow, pytest.raises(InvalidInput):
                ask(uow, value)


def test_questions_about_no_stay_are_refused(both: Both) -> None:
    """Searching and quoting take a stay."""
    for core in both:
        hotel = open_hotel(core)
        with hotel.desk.reading() as uow:
            for value in map(any_value, (*STAYS, None)):
                with pytest.raises(InvalidInput, match="stay: must be Stay"):
                    search_availability(uow, stay=value)
                with pytest.raises(InvalidInput, match="stay: must be Stay"):
                    quote(uow, room_type_id=hotel.room_type_id, stay=value)


BAD_KEYS = ("", " ", "x" * 201, "\x00", "\ud800", 5, None)


def test_bad_handles_cannot_be_made(both: Both) -> None:
    """Keys and correlation ids are short, storable texts, and an actor is an `Actor`."""
    for core in both:
        desk = open_hotel(core).desk
        for value in map(any_value, BAD_KEYS):
            with pytest.raises(InvalidInput, match="idempotency_key: "):
                desk.once(value)
        for value in map(any_value, (*BAD_KEYS[:-1], "a\nb", "a\x7f", "\x85")):
            with pytest.raises(InvalidInput, match="correlation_id: "):
                core.acting_as(desk.actor, correlation_id=value)
        for value in map(any_value, (None, "ana", desk, 7)):
            with pytest.raises(InvalidInput, match="actor: "):
                core.acting_as(value)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"register_hotel"}))
def test_an_unknown_hotel_has_nothing(both: Both, name: str) -> None:
    """No operation works in a hotel that was never registered."""
    found = set()
    for core in both:
        stranger = Actor(hotel_id=HotelId(uuid4()), subject="ana", role=Role.ADMIN)
        call = attrs.evolve(good_call(name, open_hotel(core)), desk=core.acting_as(stranger))
        with nothing_kept(core.engine):
            found.add(refusal(call.run).partition(":")[0])
    assert found == {"NotFound"}


# -- the big list of naughty strings ------------------------------------------------------------


def test_naughty_strings_are_kept_or_refused(both: Both, shared_data: Path) -> None:
    """Each of 515 strings that broke other programs comes back as given, or is refused alike."""
    strings = json.loads((shared_data / "data" / "blns" / "blns.json").read_text(encoding="utf-8"))
    assert len(strings) == 515
    verdicts = [[verdict(hotel, text) for text in strings] for hotel in map(open_hotel, both)]
    assert verdicts[0] == verdicts[1]
    # Names of nothing but white space are no names.
    assert set(verdicts[0]) == {"kept", "InvalidInput"}


def verdict(hotel: SmallHotel, text: str) -> str:
    """Register a guest of that name, and see what was kept."""
    try:
        guest = hotel.desk.run(register_guest, last_name=text, first_name=text)
    except InvalidInput:
        return "InvalidInput"
    with hotel.desk.reading() as uow:
        assert uow.guests.get(guest.id) == guest
        assert guest.last_name == guest.first_name == text
        assert guest.id in {one.id for one in guests_called(uow, text)}
    return "kept"


def guests_called(uow: UnitOfWork, name: str) -> list[Guest]:
    """Return every guest that a search for the name finds."""
    found: list[Guest] = []
    after: str | None = None
    while True:
        page = uow.guests.page(GuestFilter(last_name=name), after=after, limit=1_000)
        found += page.items
        if (after := page.next) is None:
            return found
