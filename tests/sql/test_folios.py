"""Folios: balances are sums of lines, lines are for good, and what is closed stays settled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from threading import Barrier

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, update
from sqlalchemy.exc import DBAPIError

from hotelcore.domain.bookings import Booking, BookingStatus
from hotelcore.domain.folios import ROOM_CHARGE, Folio, FolioLine, FolioStatus, LineKind
from hotelcore.domain.money import MINOR_LIMIT, Money
from hotelcore.errors import (
    AlreadyExists,
    AmountRefused,
    CurrencyMismatch,
    DatabaseFailure,
    FolioClosed,
    HotelcoreError,
    NotFound,
    StaleVersion,
)
from hotelcore.ids import BookingId, FolioId, FolioLineId, new_id
from hotelcore.lists import FolioFilter, JournalFilter, every
from hotelcore.sql.repositories.folios import FOLIO_LINE, SqlFolios
from tests.sql.house import (
    NOON,
    TODAY,
    House,
    attributes,
    days,
    instants,
    monies,
    new_house,
    texts,
)

LARGEST = MINOR_LIMIT - 1
SIGN = {LineKind.PAYMENT: -1, LineKind.ALLOWANCE: -1}


def a_folio(house: House, booking: Booking, **changes: object) -> Folio:
    """Build an open folio of balance zero in euros, or another one."""
    values: dict[str, object] = {
        "id": FolioId(new_id()),
        "hotel_id": house.hotel_id,
        "booking_id": booking.id,
        "guest_id": house.guest_id,
        "balance": Money.zero("EUR"),
        "opened_at": NOON,
    }
    return Folio(**{**values, **changes})  # type: ignore[arg-type]  # checked when built


def a_line(folio: Folio, minor: int, **changes: object) -> FolioLine:
    """Build a charge or payment over cents, whichever the sign makes it, or another line."""
    values: dict[str, object] = {
        "id": FolioLineId(new_id()),
        "hotel_id": folio.hotel_id,
        "folio_id": folio.id,
        "booking_id": folio.booking_id,
        "kind": LineKind.PAYMENT if minor < 0 else LineKind.CHARGE,
        "code": "bar",
        "description": "",
        "amount": Money(minor, folio.balance.currency),
        "business_date": TODAY,
        "service_date": TODAY,
        "posted_at": NOON,
        "posted_by": "ana",
    }
    return FolioLine(**{**values, **changes})  # type: ignore[arg-type]  # checked when built


def void_of(line: FolioLine) -> FolioLine:
    """Build the line that reverses another."""
    return attrs.evolve(
        line,
        id=FolioLineId(new_id()),
        kind=LineKind.VOID,
        amount=-line.amount,
        night=None,
        refers_to=line.id,
    )


def new_folio(house: House, **changes: object) -> Folio:
    """Store a folio of a booking of its own."""
    booking = house.booking()
    house.add(booking)
    folio = a_folio(house, booking, **changes)
    with house.writing() as run:
        SqlFolios(run).open_all([folio])
    return folio


def post(house: House, *lines: FolioLine) -> None:
    """Post lines in a transaction of their own."""
    with house.writing() as run:
        SqlFolios(run).post(lines)


def balance_of(house: House, folio: Folio) -> Money:
    """Read the stored balance."""
    with house.reading() as run:
        return SqlFolios(run).get(folio.id).balance


def stored_lines(house: House, folio: Folio) -> tuple[FolioLine, ...]:
    """Read a folio's lines."""
    with house.reading() as run:
        return SqlFolios(run).lines(folio.id)


# -- what is stored ---------------------------------------------------------------------------


@given(data=st.data())
def test_a_folio_comes_back_as_stored(house: House, data: st.DataObject) -> None:
    """Whatever a folio holds is read back equal, with or without a lock."""
    folio = new_folio(
        house,
        balance=data.draw(monies),
        opened_at=data.draw(instants),
        attributes=data.draw(attributes),
        version=data.draw(st.integers(1, 1_000)),
    )
    with house.writing() as run:
        assert SqlFolios(run).get(folio.id) == folio
        assert SqlFolios(run).lock(folio.id) == folio
        assert SqlFolios(run).of_booking(folio.booking_id) == (folio,)


@st.composite
def lines_for(draw: st.DrawFn, folio: Folio) -> list[FolioLine]:
    """Give lines of every kind for a folio, each with whatever a line may hold."""
    lines: list[FolioLine] = []
    nobody: list[FolioLineId | None] = [None]
    for kind in draw(st.lists(st.sampled_from(LineKind), max_size=6)):
        refers_to = draw(st.sampled_from([line.id for line in lines] or nobody))
        voided = {line.refers_to for line in lines if line.kind is LineKind.VOID}
        if kind in (LineKind.VOID, LineKind.REFUND) and refers_to in voided | {None}:
            continue
        lines.append(
            a_line(
                folio,
                SIGN.get(kind, 1) * draw(st.integers(0, 10**12)),
                kind=kind,
                code=draw(texts(50)),
                description=draw(st.just("") | texts(500)),
                business_date=draw(days),
                service_date=draw(days),
                refers_to=refers_to,
                posted_at=draw(instants),
                posted_by=draw(texts(200)),
            )
        )
    return lines


@given(data=st.data())
def test_lines_come_back_in_the_order_of_posting(house: House, data: st.DataObject) -> None:
    """Whatever lines hold is read back equal and in order, together and one by one."""
    folio = new_folio(house)
    lines = data.draw(lines_for(folio))
    post(house, *lines)
    with house.reading() as run:
        assert SqlFolios(run).lines(folio.id) == tuple(lines)
        assert [SqlFolios(run).line(line.id) for line in lines] == lines


@given(data=st.data())
def test_a_balance_is_the_sum_of_its_lines(house: House, data: st.DataObject) -> None:
    """After any batches of postings to any folios each balance is the sum of its lines."""
    folios = [new_folio(house) for _ in range(3)]
    posting = st.tuples(st.sampled_from(folios), st.integers(-(10**15), 10**15))
    for batch in data.draw(st.lists(st.lists(posting, max_size=5), max_size=4)):
        post(house, *(a_line(folio, minor) for folio, minor in batch))
    for folio in folios:
        total = sum(line.amount.minor for line in stored_lines(house, folio))
        assert balance_of(house, folio) == Money(total, "EUR")


def test_no_posting_of_many_threads_is_lost(house: House) -> None:
    """Threads that post to the same folios, in opposite orders, lose nothing and do not hang."""
    folios = [new_folio(house), new_folio(house)]

    def work(n: int) -> None:
        for _ in range(5):
            post(house, *(a_line(folio, n + 1) for folio in folios[:: 1 if n % 2 else -1]))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    for folio in folios:
        assert balance_of(house, folio) == Money(5 * (1 + 2 + 3 + 4 + 5 + 6), "EUR")
        assert len(stored_lines(house, folio)) == 30


def test_a_posting_leaves_the_version(house: House) -> None:
    """Postings commute, so a folio read before one can still be closed after one."""
    folio = new_folio(house)
    post(house, a_line(folio, 500), a_line(folio, -500))
    with house.writing() as run:
        assert SqlFolios(run).get(folio.id).version == folio.version
        SqlFolios(run).close(folio, at=NOON)


# -- what is refused --------------------------------------------------------------------------


def refused(house: House, kind: type[HotelcoreError], *lines: FolioLine) -> HotelcoreError:
    """Post lines, expect the refusal, and return it."""
    with pytest.raises(kind) as refusal:
        post(house, *lines)
    return refusal.value


def test_a_closed_folio_takes_no_line(house: House) -> None:
    """A line for a closed folio refuses its whole batch, and nothing of it is kept."""
    opened, closed = new_folio(house), new_folio(house)
    with house.writing() as run:
        SqlFolios(run).close(closed, at=NOON)
    refusal = refused(house, FolioClosed, a_line(opened, 700), a_line(closed, 700))
    assert isinstance(refusal, FolioClosed)
    assert refusal.folio_id == closed.id
    for folio in (opened, closed):
        assert balance_of(house, folio) == Money.zero("EUR")
        assert stored_lines(house, folio) == ()


def test_an_unknown_folio_takes_no_line(house: House) -> None:
    """A line for a folio that the hotel lacks, or that another hotel has, is refused alike."""
    foreign, own = new_folio(new_house(house.engine)), new_folio(house)
    for unknown in (attrs.evolve(own, id=FolioId(new_id())), foreign):
        line = attrs.evolve(a_line(own, 700), folio_id=unknown.id)
        refusal = refused(house, NotFound, line)
        assert isinstance(refusal, NotFound)
        assert (refusal.kind, refusal.id) == ("folio", unknown.id)


def test_a_folio_keeps_one_currency(house: House) -> None:
    """A line in another currency is refused, alone or beside lines in the folio's own."""
    folio = new_folio(house)
    dollars = a_line(folio, 700, amount=Money(700, "USD"))
    refused(house, CurrencyMismatch, dollars)
    refused(house, CurrencyMismatch, a_line(folio, 700), dollars)
    assert balance_of(house, folio) == Money.zero("EUR")


@pytest.mark.parametrize("sign", [1, -1])
def test_a_balance_stays_within_64_bits(house: House, sign: int) -> None:
    """The last amount that fits is posted, one cent more is refused and not rounded."""
    folio = new_folio(house)
    post(house, a_line(folio, sign * (LARGEST - 1)))
    refused(house, AmountRefused, a_line(folio, sign * 2))
    post(house, a_line(folio, sign))
    refused(house, AmountRefused, a_line(folio, sign))
    assert balance_of(house, folio) == Money(sign * LARGEST, "EUR")


def test_a_night_is_charged_once(house: House) -> None:
    """A second charge for a booking's night is refused on any folio; other nights are free."""
    folio = new_folio(house)
    second = attrs.evolve(folio, id=FolioId(new_id()))
    with house.writing() as run:
        SqlFolios(run).open_all([second])
    post(house, a_line(folio, 9_000, code=ROOM_CHARGE, night=TODAY))
    refused(house, AlreadyExists, a_line(second, 9_000, code=ROOM_CHARGE, night=TODAY))
    post(house, a_line(second, 9_000, code=ROOM_CHARGE, night=date(2026, 12, 2)))
    post(house, a_line(second, 50), a_line(second, 50))
    assert balance_of(house, second) == Money(9_100, "EUR")


def test_a_line_is_voided_once(house: House) -> None:
    """A second void of a line is refused, in the same batch too; the balance shows one."""
    folio = new_folio(house)
    charge = a_line(folio, 900)
    post(house, charge)
    refused(house, AmountRefused, void_of(charge), void_of(charge))
    post(house, void_of(charge))
    refused(house, AmountRefused, void_of(charge))
    assert balance_of(house, folio) == Money.zero("EUR")
    assert len(stored_lines(house, folio)) == 2


@pytest.mark.race
def test_of_two_voids_at_once_one_is_kept(house: House) -> None:
    """Two threads that void the same line: one succeeds, the other is refused, every time."""
    folio = new_folio(house)
    start = Barrier(2)

    def void(line: FolioLine) -> str:
        start.wait()
        try:
            post(house, void_of(line))
        except AmountRefused:
            return "refused"
        return "voided"

    for _ in range(10):
        charge = a_line(folio, 900)
        post(house, charge)
        with ThreadPoolExecutor(2) as pool:
            outcome = Counter(pool.map(void, [charge, charge]))
        assert outcome == {"voided": 1, "refused": 1}
    assert balance_of(house, folio) == Money.zero("EUR")


def test_a_line_refers_to_a_line_of_its_hotel(house: House) -> None:
    """The database refuses a line that refers to another hotel's line."""
    other = new_house(house.engine)
    foreign = a_line(new_folio(other), 900)
    post(other, foreign)
    line = a_line(new_folio(house), -900, refers_to=foreign.id)
    refused(house, DatabaseFailure, line)


def test_posted_lines_are_never_changed_or_deleted(house: House) -> None:
    """The database itself refuses to update or delete a line."""
    folio = new_folio(house)
    line = a_line(folio, 900)
    post(house, line)
    for statement in (update(FOLIO_LINE).values(amount_minor=1), delete(FOLIO_LINE)):
        with house.engine.connect() as connection, pytest.raises(DBAPIError), connection.begin():
            connection.execute(statement)
    assert stored_lines(house, folio) == (line,)


# -- closing and opening ----------------------------------------------------------------------


def test_a_folio_closes_once_at_zero(house: House) -> None:
    """Closing needs balance zero, an open folio and the latest version."""
    folio = new_folio(house)
    with house.writing() as run:
        folios = SqlFolios(run)
        folios.post([a_line(folio, 100)])
        with pytest.raises(StaleVersion):
            folios.close(folio, at=NOON)
        folios.post([a_line(folio, -100)])
        with pytest.raises(StaleVersion):
            folios.close(attrs.evolve(folio, version=9), at=NOON)
        closed = folios.close(folio, at=NOON)
        assert folios.get(folio.id) == closed
        assert (closed.status, closed.closed_at) == (FolioStatus.CLOSED, NOON)
        for version in (folio.version, closed.version):
            with pytest.raises(StaleVersion):
                folios.close(attrs.evolve(folio, version=version), at=NOON)


def test_a_closed_folio_opens_again(house: House) -> None:
    """Only a closed folio is reopened, at its latest version, and then takes lines."""
    folio = new_folio(house)
    with house.writing() as run:
        folios = SqlFolios(run)
        with pytest.raises(StaleVersion):
            folios.reopen(folio)
        closed = folios.close(folio, at=NOON)
        with pytest.raises(StaleVersion):
            folios.reopen(folio)
        opened = folios.reopen(closed)
        assert folios.get(folio.id) == opened == attrs.evolve(folio, version=3)
        folios.post([a_line(folio, 100)])


# -- lists ------------------------------------------------------------------------------------


def test_lines_that_refer_are_found_two_levels_deep(house: House) -> None:
    """A charge's allowances and the voids of those are found; other lines and hotels' are not."""
    folio = new_folio(house)
    charge, other = a_line(folio, 900), a_line(folio, 900)
    allowance = a_line(folio, -200, kind=LineKind.ALLOWANCE, refers_to=charge.id)
    void, elsewhere = void_of(allowance), void_of(other)
    post(house, charge, other, allowance, elsewhere, void)
    with house.reading() as run:
        assert SqlFolios(run).referring_to(charge.id) == (allowance, void)
        assert SqlFolios(run).referring_to(void.id) == ()
    with new_house(house.engine).reading() as run:
        assert SqlFolios(run).referring_to(charge.id) == ()


Matches = Callable[[Folio], bool]


def draw_ledger(data: st.DataObject, house: House) -> list[Folio]:
    """Store folios of two bookings, some with a balance, some closed; return them in order."""
    bookings = [house.booking(), house.booking()]
    house.add(*bookings)
    fates = data.draw(st.lists(st.sampled_from(["owes", "even", "closed"]), max_size=9))
    folios = [a_folio(house, data.draw(st.sampled_from(bookings))) for _ in fates]
    with house.writing() as run:
        store = SqlFolios(run)
        for folio, fate in zip(folios, fates, strict=True):
            store.open_all([folio])
            if fate == "owes":
                store.post([a_line(folio, data.draw(st.sampled_from([-5, 5])))])
            elif fate == "closed":
                store.close(folio, at=NOON)
        return [store.get(folio.id) for folio in folios]


def walked(house: House, which: FolioFilter, limit: int) -> list[Folio]:
    """Read page after page to the end."""
    with house.reading() as run:
        page = SqlFolios(run).page(which, limit=limit)
        items = list(page.items)
        while page.next is not None:
            page = SqlFolios(run).page(which, after=page.next, limit=limit)
            assert page.items, "a page that was promised is not empty"
            items += page.items
    return items


@given(data=st.data())
def test_pages_walk_every_matching_folio_once(database: Engine, data: st.DataObject) -> None:
    """Pages of any size give exactly the folios of the filter, in the order of opening."""
    house = new_house(database)
    stored = draw_ledger(data, house)
    booking_ids: Sequence[BookingId | None] = [folio.booking_id for folio in stored] or [None]
    which = FolioFilter(
        status=data.draw(st.sampled_from([None, *FolioStatus])),
        guest_id=data.draw(st.sampled_from([None, house.guest_id])),
        booking_id=data.draw(st.none() | st.sampled_from(booking_ids)),
        unsettled=data.draw(st.booleans()),
    )
    expected = [
        folio
        for folio in stored
        if which.status in (None, folio.status)
        and which.booking_id in (None, folio.booking_id)
        and (not which.unsettled or folio.balance.minor != 0)
    ]
    assert walked(house, which, data.draw(st.integers(1, 10))) == expected


def test_the_house_gives_each_bookings_oldest_open_folio(house: House) -> None:
    """Closed folios and bookings that are not in house are left out; the oldest open one stays."""
    guests = [
        house.booking(status=BookingStatus.IN_HOUSE, room_id=room) for room in house.room_ids[:2]
    ]
    gone = house.booking()
    house.add(*guests, gone)
    with house.writing() as run:
        store = SqlFolios(run)
        closed, oldest, newer, only, elsewhere = (
            a_folio(house, booking) for booking in (guests[0], *guests[:1] * 2, guests[1], gone)
        )
        for folio in (newer, closed, oldest, only, elsewhere):
            store.open_all([folio])
        store.close(closed, at=NOON)
        assert store.of_house() == {guests[0].id: oldest, guests[1].id: only}
        assert [folio.id for folio in store.of_booking(guests[0].id)] == [
            closed.id,
            oldest.id,
            newer.id,
        ]


_DAYS = st.sampled_from([TODAY - timedelta(days=1), TODAY, TODAY + timedelta(days=2)])


@given(
    posted=st.lists(
        st.tuples(
            st.integers(0, 1),
            _DAYS,
            st.sampled_from([-500, 500]),
            st.sampled_from(["bar", "spa"]),
            st.sampled_from(["ana", "ben"]),
        ),
        max_size=9,
    ),
    which=st.builds(
        JournalFilter,
        posted_from=st.none() | _DAYS,
        posted_until=st.none() | _DAYS,
        kinds=st.none() | st.frozensets(st.sampled_from([LineKind.CHARGE, LineKind.PAYMENT])),
        code=st.none() | st.sampled_from(["bar", "spa", "gym"]),
        posted_by=st.none() | st.sampled_from(["ana", "ben"]),
    ),
    limit=st.integers(1, 10),
)
def test_a_journal_has_the_lines_of_its_days(
    database: Engine,
    posted: list[tuple[int, date, int, str, str]],
    which: JournalFilter,
    limit: int,
) -> None:
    """They come by business date and posting, page by page, those of all folios and no others."""
    house = new_house(database)
    folios = new_folio(house), new_folio(house)
    lines = [
        a_line(folios[folio], minor, business_date=day, code=code, posted_by=by)
        for folio, day, minor, code, by in posted
    ]
    for line in lines:
        post(house, line)
    with house.reading() as run:
        found = every(lambda after: SqlFolios(run).journal(which, after=after, limit=limit))
        listed = list(found)
    asked = [line for line in lines if is_asked(line, which)]
    assert listed == sorted(asked, key=lambda line: (line.business_date, line.id))


def is_asked(line: FolioLine, which: JournalFilter) -> bool:
    """Tell whether a filter wants a line."""
    return (
        (which.posted_from is None or line.business_date >= which.posted_from)
        and (which.posted_until is None or line.business_date <= which.posted_until)
        and (which.kinds is None or line.kind in which.kinds)
        and (which.code is None or line.code == which.code)
        and (which.posted_by is None or line.posted_by == which.posted_by)
    )


def test_reading_folios_waits_for_nobody(house: House) -> None:
    """A reading unit sees a booking's folios while a writing one has them locked."""
    folio = new_folio(house)
    with house.writing() as locking, house.reading() as run:
        assert SqlFolios(locking).of_booking(folio.booking_id) == (folio,)
        assert SqlFolios(run).of_booking(folio.booking_id) == (folio,)
        assert SqlFolios(run).of_house() == {}
