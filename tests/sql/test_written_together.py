"""What is written together is refused as if each write had been sent by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from typing import TypeAlias

import attrs
import pytest
from attrs import define, field
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import bindparam, select, update

from hotelcore import HotelCore
from hotelcore.access import Permission, Role
from hotelcore.clock import FixedClock
from hotelcore.domain.audit import Outcome
from hotelcore.domain.bookings import Booking
from hotelcore.domain.guests import Guest
from hotelcore.domain.housekeeping import HousekeepingTask, TaskKind
from hotelcore.domain.money import Money
from hotelcore.domain.stays import Stay
from hotelcore.errors import (
    AlreadyExists,
    AmountRefused,
    DatabaseFailure,
    HotelcoreError,
    PermissionDenied,
    StaleVersion,
    UnitAborted,
)
from hotelcore.events.catalogue import BookingCreated
from hotelcore.ids import GuestId, TaskId, new_id
from hotelcore.lists import AuditFilter, BookingFilter
from hotelcore.operations import (
    create_booking_with_folio,
    operation,
    post_charge_to_folio,
    register_guest,
)
from hotelcore.sql.repositories.guests import GUEST, SqlGuests
from hotelcore.sql.sealing.sealed import Sealing
from hotelcore.sql.sealing.subject_keys import SqlSubjectKeys
from hotelcore.sql.seam import calls
from hotelcore.sql.seam.statements import Statements, acting_hotel
from hotelcore.sql.seam.translation import UniqueViolation
from hotelcore.subscriptions import Subscriptions
from hotelcore.testing.hotels import NOON, TODAY, SampleHotel, open_sample_hotel
from hotelcore.unit_of_work import UnitOfWork
from tests.sql.house import DAY, House

_g = GUEST.c
_MOVE = (
    update(GUEST)
    .where(_g.hotel_id == acting_hotel(), _g.id == bindparam("key"))
    .values(id=bindparam("new_key"))
)
_RENAME = update(GUEST).where(_g.hotel_id == acting_hotel()).values(last_name=bindparam("name"))
_ALL = select(_g.id).where(_g.hotel_id == acting_hotel()).order_by(_g.id)
_NAMES = select(_g.id, _g.last_name).where(_g.hotel_id == acting_hotel())

PLACES = 5
"""How many ids the moves are between; there is a guest at each of the first two."""

Move: TypeAlias = tuple[int, int]
Step: TypeAlias = Move | list[Move] | str
"""A guest who moves to another id, several who do in one write, or what else happens."""

places = st.integers(0, PLACES - 1)
moves = st.tuples(places, places)
steps = st.lists(
    moves | st.lists(moves, min_size=2, max_size=3) | st.sampled_from(["look", "waits", "ahead"]),
    max_size=8,
)


class Refused(HotelcoreError):
    """One of the moves was refused."""


class Undone(Exception):
    """Ends the savepoint, so that the next example finds the guest where it was."""


@define
class Places:
    """Which of the places somebody is at, and how moves between them end."""

    taken: set[int] = field(factory=lambda: {0, 1})

    def refusal_of(self, step: Step) -> str | None:
        """Follow a step, and return why it is refused."""
        refusals = [self._moved(*each) for each in moves_of(step)]
        return "taken" if "taken" in refusals else next(filter(None, refusals), None)

    def _moved(self, old: int, new: int) -> str | None:
        if old not in self.taken:
            return "missed"
        if new in self.taken and new != old:
            return "taken"
        self.taken = (self.taken - {old}) | {new}
        return None


def moves_of(step: Step) -> list[Move]:
    """Return the moves of a step."""
    if isinstance(step, str):
        return []
    return step if isinstance(step, list) else [step]


@define
class Moving:
    """Moves guests between ids."""

    run: Statements
    ids: Sequence[GuestId]

    def do(self, number: int, step: Step) -> None:
        """Do one step; what refuses it carries its number."""
        if step == "look":
            self.run.all(_ALL, tuple)
        elif step == "ahead":
            self.run.ahead(lambda: self.run.all(_ALL, tuple))
        elif step == "waits":
            self.run.write_with_next(_RENAME, [{"name": "Moved"}])
        else:
            rows = [{"key": self.ids[old], "new_key": self.ids[new]} for old, new in moves_of(step)]
            self.run.must_write(
                _MOVE,
                rows,
                taken=lambda: Refused(number, "taken"),
                missed=lambda: Refused(number, "missed"),
            )


def possible(steps: Sequence[Step], *, at_once: bool) -> tuple[set[tuple[int, str]], set[int]]:
    """Return which refusals may be raised, and at which places somebody is without any.

    If several of one exchange are refused, a taken key is found before a row that is missed.
    """
    places = Places()
    refusals = set[tuple[int, str]]()
    for number, step in enumerate(steps):
        reason = places.refusal_of(step)
        if reason is not None:
            refusals.add((number, reason))
        if refusals and (at_once or reason == "taken" or step == "look"):
            break
    return refusals, places.taken


@pytest.fixture
def ids(house: House) -> list[GuestId]:
    """Return the ids of all places, with two guests there."""
    second = Guest(
        id=GuestId(new_id()), hotel_id=house.hotel_id, last_name="B", first_name="", created_at=NOON
    )
    with house.writing() as run:
        keyless = Sealing(house.hotel_id, None, lambda *_: None)
        SqlGuests(run, SqlSubjectKeys(run, keyless)).add_all([second])
    return [house.guest_id, second.id, *(GuestId(new_id()) for _ in range(PLACES - 2))]


@given(steps=steps, later=st.booleans(), many=st.sampled_from([1, 2, 100]))
@example(steps=[(0, 2), (1, 2)], later=False, many=100)
@example(steps=["look", (0, 1)], later=False, many=100)
@example(steps=["look", (2, 3)], later=False, many=100)
@example(steps=[(0, 2), (1, 2), (2, 3)], later=False, many=1)
@example(steps=[(0, 2), (0, 3), (2, 3)], later=True, many=1)
def test_the_first_refusal_is_raised(
    house: House, ids: list[GuestId], steps: list[Step], later: bool, many: int
) -> None:
    """Whatever goes together, a refusal is raised as its write says, and all is done without.

    That is so too for what the server has begun with, for which ``many`` rows are enough.
    """
    sqlite = house.engine.dialect.name == "sqlite"
    refusals, taken = possible(steps, at_once=sqlite)

    def work(run: Statements) -> None:
        moving = Moving(run, ids)
        with run.savepoint():
            with run.together(later=later):
                for number, step in enumerate(steps):
                    moving.do(number, step)
            assert later or not refusals
            found = {ids.index(row[0]) for row in run.all(_ALL, tuple)}
            assert found == taken
            raise Undone

    with pytest.MonkeyPatch.context() as patch, house.writing() as run:
        patch.setattr(calls, "_MANY", many)
        with pytest.raises((Refused, Undone)) as raised:
            work(run)
        assert raised.value.args in refusals or (isinstance(raised.value, Undone) and not refusals)
        assert {row[0] for row in run.all(_ALL, tuple)} == set(ids[:2])


def test_nothing_is_wanted_of_no_rows(house: House) -> None:
    """What is not written is not missed, however many rows it should have changed."""
    with house.writing() as run:
        run.must_write(_MOVE, [], missed=lambda: Refused(0, "missed"), wanted=1)


def test_the_first_exchange_of_a_unit_knows_whose_it_was(house: House, ids: list[GuestId]) -> None:
    """What a unit tells PostgreSQL at its beginning is not taken for a write."""

    def work() -> None:
        with house.writing() as run, run.together():
            for number, move in enumerate([(0, 2), (1, 2), (2, 0)]):
                Moving(run, ids).do(number, move)

    with pytest.raises(Refused) as raised:
        work()
    assert raised.value.args == (1, "taken")


@pytest.mark.parametrize("move", [(0, 1), (2, 1)])
def test_nothing_refused_is_committed(house: House, ids: list[GuestId], move: Move) -> None:
    """The last write of a unit, which commits, finds out first what was refused."""

    def work() -> None:
        with house.writing() as run:
            with run.together(later=True):
                Moving(run, ids).do(0, move)
            run.write_last(_RENAME, [{"name": "Committed"}])

    with pytest.raises(Refused):
        work()
    with house.reading() as run:
        assert set(run.all(_NAMES, tuple)) == {(ids[0], "A"), (ids[1], "B")}


def test_a_key_that_nobody_answers_for_is_nobodys(house: House, ids: list[GuestId]) -> None:
    """Who sends another's write along cannot take its violation for one of his own."""

    def work() -> None:
        with house.writing() as run, run.together():
            run.must_write(_MOVE, [{"key": ids[0], "new_key": ids[1]}])
            Moving(run, ids).do(1, (1, 1))

    nobodys = UniqueViolation if house.engine.dialect.name == "sqlite" else DatabaseFailure
    with pytest.raises(nobodys):
        work()


# -- in operations ------------------------------------------------------------------------------


@pytest.fixture
def hotel(schema_url: str) -> Iterator[SampleHotel]:
    """Return a hotel in a database of its own, SQLite and PostgreSQL in turn."""
    subscriptions = Subscriptions()
    with closing(
        HotelCore(schema_url, clock=FixedClock(NOON), subscriptions=subscriptions)
    ) as core:
        core.create_schema()
        yield open_sample_hotel(core)


def book_again(uow: UnitOfWork, hotel: SampleHotel) -> Booking:
    """Book under a number that is taken."""
    booking, _ = create_booking_with_folio(
        uow,
        guest_id=hotel.guests[0].id,
        room_type_id=hotel.room_type.id,
        stay=Stay(TODAY + 9 * DAY, TODAY + 10 * DAY),
        confirmation_number=hotel.expected.confirmation_number,
    )
    return booking


def kept_of(hotel: SampleHotel) -> list[object]:
    """Return the bookings and what the audit log says."""
    with hotel.desk.reading() as uow:
        return [*uow.bookings.page(BookingFilter()).items, *uow.audit.page(AuditFilter()).items]


@pytest.mark.parametrize("key", [None, "once"])
def test_who_runs_an_operation_is_told(hotel: SampleHotel, key: str | None) -> None:
    """An operation that is all of a unit raises its own error, and nothing of it is kept."""
    before = kept_of(hotel)
    desk = hotel.desk if key is None else hotel.desk.once(key)
    with pytest.raises(AlreadyExists, match="confirmation number"):
        desk.run(
            create_booking_with_folio,
            guest_id=hotel.guests[0].id,
            room_type_id=hotel.room_type.id,
            stay=Stay(TODAY + 9 * DAY, TODAY + 10 * DAY),
            confirmation_number=hotel.expected.confirmation_number,
        )
    assert kept_of(hotel) == before


@operation(Permission.BOOKINGS_CREATE)
def book_or_not(uow: UnitOfWork, *, hotel: SampleHotel) -> str:
    """Book in a savepoint, and go on without."""
    try:
        with uow.savepoint():
            return book_again(uow, hotel).confirmation_number
    except AlreadyExists:
        register_guest(uow, last_name="Without")
        return "none"


@operation(Permission.BOOKINGS_CREATE)
def book_and_say(uow: UnitOfWork, *, hotel: SampleHotel, heard: list[str]) -> None:
    """Book, and say of an error that it came from there."""
    try:
        book_again(uow, hotel)
    except AlreadyExists:
        heard.append("there")
        raise


def test_who_calls_an_operation_may_catch_its_error(hotel: SampleHotel) -> None:
    """In a longer unit, and in another operation, it is raised where the operation is called."""
    assert hotel.desk.run(book_or_not, hotel=hotel) == "none"
    with hotel.desk.transaction() as uow:
        assert book_or_not(uow, hotel=hotel) == "none"
    heard: list[str] = []
    with pytest.raises(AlreadyExists):
        hotel.desk.run(book_and_say, hotel=hotel, heard=heard)
    assert heard == ["there"]


def test_in_a_longer_unit_it_is_told_at_once(hotel: SampleHotel) -> None:
    """A block over several operations hears of a refusal before it goes on."""

    def work() -> None:
        with hotel.desk.transaction() as uow, pytest.raises(AlreadyExists):
            book_again(uow, hotel)

    with pytest.raises(UnitAborted):
        work()


def test_a_part_of_an_operation_is_told_at_its_end(hotel: SampleHotel) -> None:
    """What is not the last of an operation may be caught there."""
    heard: list[str] = []

    @operation(Permission.BOOKINGS_AMEND)
    def store_twice(uow: UnitOfWork) -> None:
        try:
            with uow.together():
                for _ in range(2):
                    uow.bookings.update(hotel.expected)
        except StaleVersion:
            heard.append("there")
            raise

    with pytest.raises(StaleVersion):
        hotel.desk.run(store_twice)
    assert heard == ["there"]


@operation(Permission.FRONT_DESK)
def try_and_write(uow: UnitOfWork, *, hotel: SampleHotel) -> None:
    """Try what one may not do, and go on to write what is refused."""
    with suppress(PermissionDenied):
        uow.require(Permission.ADMIN_VIEW, "the log")
    with uow.together(later=True):
        for _ in range(2):
            uow.bookings.update(hotel.expected)


def test_a_denial_is_told_though_the_last_writes_are_refused(hotel: SampleHotel) -> None:
    """What somebody may not do stands in the log, whatever becomes of the rest."""
    with pytest.raises(StaleVersion):
        hotel.acting_as(Role.RECEPTION).run(try_and_write, hotel=hotel)
    with hotel.desk.reading() as uow:
        [entry] = uow.audit.page(AuditFilter(outcome=Outcome.DENIED)).items
    assert entry.operation == "the log"


@pytest.mark.parametrize("behind", [False, True])
def test_a_taken_key_is_not_taken_for_anothers(hotel: SampleHotel, behind: bool) -> None:
    """A room that gets a taken number is told as that, also if a task goes along or comes next."""
    first, second = hotel.rooms[:2]
    task = HousekeepingTask(
        id=TaskId(new_id()),
        hotel_id=hotel.hotel_id,
        room_id=first.id,
        kind=TaskKind.STAY_OVER,
        due=TODAY,
        created_at=NOON,
    )

    @operation(Permission.HOTEL_MANAGE)
    def renumber(uow: UnitOfWork) -> None:
        with uow.together(later=True):
            uow.rooms.update(attrs.evolve(second, number=first.number, version=1))
            if not behind:
                uow.housekeeping.add(task)
        if behind:
            uow.housekeeping.add(task)

    with pytest.raises((AlreadyExists, StaleVersion), match="number"):
        hotel.desk.run(renumber)


def test_a_balance_that_is_too_large_is_refused_alike(hotel: SampleHotel) -> None:
    """Both databases call it by the same name, whether or not anything waits."""

    def charge(uow: UnitOfWork, minor: int) -> None:
        amount = Money(minor, "EUR")
        post_charge_to_folio(uow, folio_id=hotel.folio.id, code="palace", amount=amount)

    hotel.desk.run(charge, 2**63 - 10_000_000)
    with pytest.raises(AmountRefused):
        hotel.desk.run(charge, 2**62)
    amount = Money(2**62, "EUR")
    with pytest.raises(AmountRefused):
        hotel.desk.run(post_charge_to_folio, folio_id=hotel.folio.id, code="x", amount=amount)


class Script:
    """A callable that cannot be hashed."""

    __hash__ = None  # type: ignore[assignment]  # as a class with == and without a hash has it

    def __call__(self, uow: UnitOfWork) -> str:
        """Return the name of the hotel."""
        return uow.hotel.name


def test_what_cannot_be_hashed_may_be_run(hotel: SampleHotel) -> None:
    """Any plain callable of a unit of work is run."""
    assert hotel.desk.run(Script()) == "Harbour Hotel"


def test_inline_handlers_are_told_of_what_was_not_refused(hotel: SampleHotel) -> None:
    """A handler does not hear of a booking that is refused, and catches what it does itself."""
    heard: list[object] = []

    @hotel.core.subscriptions.inline(BookingCreated)
    def note(uow: UnitOfWork, event: BookingCreated) -> None:
        heard.append(event.booking_id)
        with pytest.raises(AlreadyExists):
            book_again(uow, hotel)

    with pytest.raises(AlreadyExists):
        hotel.desk.run(
            create_booking_with_folio,
            guest_id=hotel.guests[0].id,
            room_type_id=hotel.room_type.id,
            stay=Stay(TODAY + 9 * DAY, TODAY + 10 * DAY),
            confirmation_number=hotel.expected.confirmation_number,
        )
    assert heard == []
    with pytest.raises(UnitAborted):
        hotel.desk.run(
            create_booking_with_folio,
            guest_id=hotel.guests[0].id,
            room_type_id=hotel.room_type.id,
            stay=Stay(TODAY + 9 * DAY, TODAY + 10 * DAY),
        )
    assert len(heard) == 1


def test_outside_of_it_a_repository_raises_at_once(hotel: SampleHotel) -> None:
    """A host's operation that does not ask for it catches an error where it writes."""

    @operation(Permission.BOOKINGS_AMEND)
    def store_twice(uow: UnitOfWork) -> bool:
        uow.bookings.update(hotel.expected)
        try:
            uow.bookings.update(hotel.expected)
        except StaleVersion:
            uow.changed("booking", hotel.expected.id, hotel.expected, hotel.expected)
            return True
        return False

    assert hotel.desk.run(store_twice)
