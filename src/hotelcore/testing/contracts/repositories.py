"""The promises of a repository: it is of one hotel and one transaction, and keeps what it gets.

The checks work in two hotels of one database, which the fixtures ``hotelcore_hotel`` and
``hotelcore_second_hotel`` open; pytest finds both by itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar, Generic, TypeVar, cast
from uuid import UUID

import attrs

from hotelcore.access import Permission
from hotelcore.errors import (
    AlreadyExists,
    HotelcoreError,
    InvalidInput,
    NotFound,
    ReadOnly,
    StaleVersion,
)
from hotelcore.ids import new_id
from hotelcore.lists import Page
from hotelcore.sql.seam.translation import UniqueViolation
from hotelcore.testing.contracts.promises import promise, refusal
from hotelcore.testing.hotels import SampleHotel
from hotelcore.unit_of_work import UnitOfWork

__all__ = [
    "HOSTILE_TEXTS",
    "ManyContract",
    "PagedContract",
    "RepositoryContract",
    "VersionedContract",
]

R = TypeVar("R")
V = TypeVar("V")
T = TypeVar("T", bound=attrs.AttrsInstance)

# More than a repository may send one by one before it sends them together.
_MANY = 20
HOSTILE_TEXTS: Sequence[str] = (
    "O'Brien",
    'quote " and \\ backslash',
    "'; DROP TABLE hc_guest; --",
    "%s %(key)s :key ${key} {key} ?",
    "100 % _ wild*",
    " begins and ends with spaces ",
    "line\nbreak\r\nand\ttab",
    "bell \x07 escape \x1b[31m delete \x7f",
    "NUL \x00 inside",
    "lone \ud800 surrogate",
    "Zürich Ångström İstanbul ﬁ ß",
    "e\u0301 and \u00e9 are written in two ways",
    "\u202eright to left\u202c \u200b\ufeff",
    "部屋 \U0001f6cf\ufe0f \U0001f469\u200d\U0001f373",
    "\U0010ffff",
    "null",
    "0012",
    "x" * 10_000,
)
"""Texts that a careless hand changes, cuts or lets through; one is longer than most columns."""


class _Undone(Exception):  # a signal to this module alone, which no host sees
    """Ends a unit of work, or a part of it, on purpose."""


class RepositoryContract(ABC, Generic[R, T]):
    """Subclass it under a name that begins with ``Test``, and write `repository` and `new`.

    ``R`` is the repository, ``T`` its record: an attrs class with ``id`` and ``hotel_id``. The
    other methods say how a record is stored and read; write them anew where your repository calls
    that otherwise. Override the fixture ``hotelcore_core`` to create tables of your own.
    """

    permission: ClassVar[Permission] = Permission.BOOKINGS_VIEW
    """The permission under which the checks work as commands."""

    @abstractmethod
    def repository(self, uow: UnitOfWork) -> R:
        """Return the repository in a unit of work."""

    @abstractmethod
    def new(self, hotel: SampleHotel, text: str) -> T:
        """Return a new record of a hotel, with a new id, that bears ``text`` where it is free.

        Two calls give records that can both be stored. What the record refers to is there already:
        a sample hotel has rooms, guests and bookings.
        """

    def add(self, repository: R, record: T) -> None:
        """Store a new record."""
        open_(repository).add(record)

    def get(self, repository: R, key: UUID) -> T:
        """Read one record, while a command runs."""
        found: T = open_(repository).get(key)
        return found

    # -- what is stored -----------------------------------------------------------------------

    @promise("What was added is read equal, in its unit and in every later one.")
    def test_what_was_added_is_read_equal(
        self, hotelcore_hotel: SampleHotel, hotelcore_second_hotel: SampleHotel
    ) -> None:
        """Add a record in each hotel, read both at once and again."""
        for hotel in (hotelcore_hotel, hotelcore_second_hotel):
            record = self.new(hotel, "as it was")

            def add_and_get(repository: R, record: T = record) -> T:
                self.add(repository, record)
                return self.get(repository, id_of(record))

            _equal(record, self._doing(hotel, add_and_get), "in its own unit")
            _equal(record, self._stored(hotel, record), "in the next unit")

    @promise("A text is stored as it is, or refused by a typed error and nothing stored.")
    def test_hostile_text_is_kept_or_refused(self, hotelcore_hotel: SampleHotel) -> None:
        """Try to add records with `HOSTILE_TEXTS`."""
        for text in HOSTILE_TEXTS:
            try:
                record = self.new(hotelcore_hotel, text)
            except HotelcoreError:
                continue
            try:
                self._adding(hotelcore_hotel, record)
            except HotelcoreError:
                self._must_be_missing(
                    hotelcore_hotel, record, f"which was refused for {text!r:.40}"
                )
            else:
                _equal(record, self._stored(hotelcore_hotel, record), f"with {text!r:.40}")

    @promise("A taken id is AlreadyExists, and the stored record stays.")
    def test_a_taken_id_is_told(self, hotelcore_hotel: SampleHotel) -> None:
        """Add another record under the id of a stored one."""
        first = self._added(hotelcore_hotel, "first")
        second = with_id(self.new(hotelcore_hotel, "second"), id_of(first))
        work = partial(self._adding, hotelcore_hotel, second)
        refusal(AlreadyExists, work, "To add a record under a taken id")
        _equal(first, self._stored(hotelcore_hotel, first), "after another was added under its id")

    # -- whose it is --------------------------------------------------------------------------

    @promise("Another hotel's id is answered exactly like one that nobody has.")
    def test_a_foreign_id_looks_like_a_missing_one(
        self, hotelcore_hotel: SampleHotel, hotelcore_second_hotel: SampleHotel
    ) -> None:
        """Ask for the record of another hotel, and for one that does not exist."""
        foreign = id_of(self._added(hotelcore_second_hotel, "foreign"))
        answers = []
        for key in (foreign, new_id()):
            work = partial(self._doing, hotelcore_hotel, partial(self._get, key))
            error = refusal(NotFound, work, f"To ask for {_WHOSE[key == foreign]}")
            answers.append(_without_id(error, key))
        seen = f"It answered {answers[0]} for a foreign id and {answers[1]} for a missing one."
        assert answers[0] == answers[1], seen

    @promise("An id that another hotel has taken is free.")
    def test_an_id_is_taken_in_one_hotel_alone(
        self, hotelcore_hotel: SampleHotel, hotelcore_second_hotel: SampleHotel
    ) -> None:
        """Store a record in each of two hotels under the same id."""
        theirs = self._added(hotelcore_second_hotel, "theirs")
        ours = with_id(self.new(hotelcore_hotel, "ours"), id_of(theirs))
        try:
            self._adding(hotelcore_hotel, ours)
        except AlreadyExists as taken:
            seen = "Who adds a record learns that another hotel has its id."
            raise AssertionError(seen) from taken
        _equal(ours, self._stored(hotelcore_hotel, ours), "under an id that another hotel has too")
        _equal(
            theirs, self._stored(hotelcore_second_hotel, theirs), "after another hotel used its id"
        )

    @promise("A record is stored in the acting hotel or nowhere, whatever hotel it names.")
    def test_a_record_goes_into_the_acting_hotel(
        self, hotelcore_hotel: SampleHotel, hotelcore_second_hotel: SampleHotel
    ) -> None:
        """Try to add, in one hotel, a record that names another."""
        record = self.new(hotelcore_second_hotel, "smuggled")
        try:
            self._adding(hotelcore_hotel, record)
        except HotelcoreError:
            self._must_be_missing(hotelcore_hotel, record, "which was refused")
            return
        finally:
            self._must_be_missing(hotelcore_second_hotel, record, "which another hotel added")
        found: Any = self._stored(hotelcore_hotel, record)  # of a class of its own
        seen = "It is stored, and read as a record of the other hotel."
        assert found.hotel_id == hotelcore_hotel.hotel_id, seen

    # -- when it is stored --------------------------------------------------------------------

    @promise("What a unit wrote that was rolled back was never there.")
    def test_rolling_back_leaves_nothing(self, hotelcore_hotel: SampleHotel) -> None:
        """Add a record, and let the unit fail behind it."""
        record = self.new(hotelcore_hotel, "undone")

        def add_and_fail(repository: R) -> None:
            self.add(repository, record)
            raise _Undone

        _until_undone(partial(self._doing, hotelcore_hotel, add_and_fail))
        self._must_be_missing(hotelcore_hotel, record, "whose unit was rolled back")

    @promise("A savepoint that is undone undoes what was written in it, and that alone.")
    def test_an_undone_savepoint_undoes_its_part(self, hotelcore_hotel: SampleHotel) -> None:
        """Add one record before a savepoint and one in it, and undo the savepoint."""
        before, inside = (self.new(hotelcore_hotel, text) for text in ("before", "inside"))

        def work(uow: UnitOfWork) -> None:
            self.add(self.repository(uow), before)

            def part() -> None:
                with uow.savepoint():
                    self.add(self.repository(uow), inside)
                    raise _Undone

            _until_undone(part)

        hotelcore_hotel.desk.run(self._command, work)
        _equal(before, self._stored(hotelcore_hotel, before), "that was added before a savepoint")
        self._must_be_missing(hotelcore_hotel, inside, "whose savepoint was undone")

    @promise("A unit that reads writes nothing.")
    def test_a_reading_unit_writes_nothing(self, hotelcore_hotel: SampleHotel) -> None:
        """Try to add a record while reading."""
        record = self.new(hotelcore_hotel, "read")

        def work() -> None:
            with hotelcore_hotel.desk.reading() as uow:
                self.add(self.repository(uow), record)

        refusal(ReadOnly, work, "To add a record in a reading unit")
        self._must_be_missing(hotelcore_hotel, record, "which a reading unit was to add")

    @promise("Nothing is written outside an operation, where nobody permits and records it.")
    def test_only_an_operation_writes(self, hotelcore_hotel: SampleHotel) -> None:
        """Try to add a record by a plain function."""
        record = self.new(hotelcore_hotel, "plain")

        def work(uow: UnitOfWork) -> None:
            self.add(self.repository(uow), record)

        refusal(
            ReadOnly, partial(hotelcore_hotel.desk.run, work), "To add a record by no operation"
        )
        self._must_be_missing(hotelcore_hotel, record, "which no operation added")

    @promise("A repository ends with its unit of work.")
    def test_a_repository_ends_with_its_unit(self, hotelcore_hotel: SampleHotel) -> None:
        """Keep a repository, and ask it when its unit is over."""
        record = self._added(hotelcore_hotel, "kept")
        kept: list[R] = []
        self._doing(hotelcore_hotel, kept.append)
        work = partial(self.get, kept[0], id_of(record))
        refusal(InvalidInput, work, "To read through a repository whose unit is over")

    # -- how it is done -----------------------------------------------------------------------

    def _command(self, uow: UnitOfWork, work: Callable[[UnitOfWork], V]) -> V:
        with uow.command("contract", self.permission):
            return work(uow)

    def _doing(self, hotel: SampleHotel, work: Callable[[R], V]) -> V:
        return hotel.desk.run(self._command, lambda uow: work(self.repository(uow)))

    def _get(self, key: UUID, repository: R) -> T:
        return self.get(repository, key)

    def _adding(self, hotel: SampleHotel, record: T) -> None:
        try:
            self._doing(hotel, lambda repository: self.add(repository, record))
        except UniqueViolation as internal:
            seen = "A key was taken, and it did not say which: AlreadyExists is due."
            raise AssertionError(seen) from internal

    def _added(self, hotel: SampleHotel, text: str) -> T:
        record = self.new(hotel, text)
        self._adding(hotel, record)
        return record

    def _stored(self, hotel: SampleHotel, record: T) -> T:
        return self._doing(hotel, partial(self._get, id_of(record)))

    def _must_be_missing(self, hotel: SampleHotel, record: T, which: str) -> None:
        work = partial(self._stored, hotel, record)
        refusal(NotFound, work, f"To read a record {which},")


class VersionedContract(RepositoryContract[R, T]):
    """A `RepositoryContract` with an ``update`` that takes a record only in its stored version.

    Write `changed` too. The record counts its versions in ``version``, from 1.
    """

    @abstractmethod
    def changed(self, record: T) -> T:
        """Return the record with something changed that may change: another each time."""

    def update(self, repository: R, record: T) -> T:
        """Store a changed record and return it with its next version."""
        later: T = open_(repository).update(record)
        return later

    @promise("An update is read equal, with the next version.")
    def test_an_update_is_read_equal(self, hotelcore_hotel: SampleHotel) -> None:
        """Change a record twice."""
        record = self._added(hotelcore_hotel, "first")
        for version in (2, 3):
            told = self.changed(record)
            record = self._updating(hotelcore_hotel, told)
            seen = f"Version {version} was returned as {_version(record)}."
            assert _version(record) == version, seen
            _equal(evolved(told, version=version), record, "as update returned it")
            _equal(record, self._stored(hotelcore_hotel, record), f"in version {version}")

    @promise("A stale version is StaleVersion and changes nothing.")
    def test_a_stale_version_changes_nothing(self, hotelcore_hotel: SampleHotel) -> None:
        """Change a record, and then change what it was before."""
        known = self._added(hotelcore_hotel, "first")
        later = self._updating(hotelcore_hotel, self.changed(known))
        stale = self.changed(self.changed(known))
        work = partial(self._updating, hotelcore_hotel, stale)
        refusal(StaleVersion, work, "To update a record that changed meanwhile")
        _equal(later, self._stored(hotelcore_hotel, later), "after a stale update")

    @promise("Another hotel's record cannot be updated, and looks as if nobody had it.")
    def test_a_foreign_record_cannot_be_updated(
        self, hotelcore_hotel: SampleHotel, hotelcore_second_hotel: SampleHotel
    ) -> None:
        """Update another hotel's record, and one that does not exist."""
        theirs = self._added(hotelcore_second_hotel, "theirs")
        told = self.changed(theirs)
        answers = []
        for record in (told, with_id(told, new_id())):
            work = partial(self._updating, hotelcore_hotel, record)
            error = refusal(HotelcoreError, work, f"To update {_WHOSE[record is told]}")
            answers.append(_without_id(error, id_of(record)))
        _equal(theirs, self._stored(hotelcore_second_hotel, theirs), "after another hotel's update")
        seen = f"It answered {answers[0]} for a foreign record, {answers[1]} for a missing one."
        assert answers[0] == answers[1], seen

    def _updating(self, hotel: SampleHotel, record: T) -> T:
        return self._doing(hotel, lambda repository: self.update(repository, record))


class ManyContract(RepositoryContract[R, T]):
    """A `RepositoryContract` with a method that stores many new records at once."""

    def add_all(self, repository: R, records: Sequence[T]) -> None:
        """Store new records."""
        open_(repository).add_all(records)

    @promise("Of many that are added at once each is read equal.")
    def test_many_that_were_added_are_read_equal(self, hotelcore_hotel: SampleHotel) -> None:
        """Add many records at once, each with another text, and none at all."""
        records = [self.new(hotelcore_hotel, f"number {n} 'é\\\"") for n in range(_MANY)]
        self._adding_all(hotelcore_hotel, records)
        self._adding_all(hotelcore_hotel, [])
        for number, record in enumerate(records, start=1):
            _equal(record, self._stored(hotelcore_hotel, record), f"number {number} of {_MANY}")

    @promise("Of many that are added at once none is stored if one has a taken id.")
    def test_one_of_many_that_is_refused_keeps_all_out(self, hotelcore_hotel: SampleHotel) -> None:
        """Add many records at once, the last of them under the id of a stored one."""
        stored = self._added(hotelcore_hotel, "stored")
        records = [self.new(hotelcore_hotel, f"number {n}") for n in range(_MANY)]
        records[-1] = with_id(records[-1], id_of(stored))
        work = partial(self._adding_all, hotelcore_hotel, records)
        refusal(AlreadyExists, work, "To add many records, one of them under a taken id,")
        _equal(stored, self._stored(hotelcore_hotel, stored), "after others were refused")
        for record in records[:-1]:
            self._must_be_missing(hotelcore_hotel, record, "which came with one that was refused")

    def _adding_all(self, hotel: SampleHotel, records: Sequence[T]) -> None:
        self._doing(hotel, lambda repository: self.add_all(repository, records))


class PagedContract(RepositoryContract[R, T]):
    """A `RepositoryContract` with a list that comes in pages; write `page` too."""

    @abstractmethod
    def page(self, repository: R, *, after: str | None, limit: int) -> Page[T]:
        """Return one page of all the hotel's records."""

    @promise("Pages are complete, without repetition, in one order for every size.")
    def test_pages_are_complete(self, hotelcore_hotel: SampleHotel) -> None:
        """Read the whole list in pages of several sizes."""
        added = {id_of(self._added(hotelcore_hotel, f"number {n}")) for n in range(7)}
        whole = self._walked(hotelcore_hotel, 1_000)
        missing = added - set(whole)
        assert not missing, f"{len(missing)} of {len(added)} records are in no page."
        for limit in (1, 2, 3):
            found = self._walked(hotelcore_hotel, limit)
            twice = len(found) - len(set(found))
            assert not twice, f"{twice} records come twice in pages of {limit}."
            seen = f"In pages of {limit} come {len(found)} of {len(whole)} records."
            assert set(found) == set(whole), seen
            assert found == whole, f"In pages of {limit} they come in another order."

    @promise("A record that arrives between two pages moves no other.")
    def test_a_record_between_pages_moves_no_other(self, hotelcore_hotel: SampleHotel) -> None:
        """Add a record behind each page, and see what was there before come once each."""
        for number in range(5):
            self._added(hotelcore_hotel, f"number {number}")
        before = self._walked(hotelcore_hotel, 1_000)
        found = self._walked(
            hotelcore_hotel, 2, between=lambda n: self._added(hotelcore_hotel, f"arrival {n}")
        )
        old = [key for key in found if key in set(before)]
        assert old == before, f"Of {len(before)} records {len(set(old))} came, some of them late."

    @promise("A list holds nothing of another hotel, whosever cursor it is given.")
    def test_a_list_holds_nothing_of_others(
        self, hotelcore_hotel: SampleHotel, hotelcore_second_hotel: SampleHotel
    ) -> None:
        """Fill two hotels, read both lists, and take the cursor of one to the other."""
        ours = [id_of(self._added(hotelcore_hotel, "ours")) for _ in range(3)]
        theirs = [id_of(self._added(hotelcore_second_hotel, "theirs")) for _ in range(3)]
        for hotel, foreign in ((hotelcore_hotel, theirs), (hotelcore_second_hotel, ours)):
            found = set(foreign) & set(self._walked(hotel, 2))
            assert not found, f"{len(found)} records of another hotel are in the list."
        cursor = self._page(hotelcore_second_hotel, None, 1).next
        try:
            page = self._page(hotelcore_hotel, cursor, 1_000)
        except InvalidInput:
            return
        found = set(theirs) & {id_of(record) for record in page.items}
        assert not found, f"{len(found)} records of another hotel come by that hotel's cursor."

    @promise("A limit or a cursor that the list did not give is InvalidInput.")
    def test_bad_limits_and_cursors_are_refused(self, hotelcore_hotel: SampleHotel) -> None:
        """Ask for pages of no size and of any size, and behind cursors of no list."""
        self._added(hotelcore_hotel, "only")
        for limit in (0, -1, 10_000_000):
            work = partial(self._page, hotelcore_hotel, None, limit)
            refusal(InvalidInput, work, f"To ask for a page of {limit}")
        for cursor in ("", "no cursor", "W10=", "bnVsbA==", "\x00", "'--", "x" * 5_000):
            work = partial(self._page, hotelcore_hotel, cursor, 10)
            refusal(InvalidInput, work, f"To read behind {cursor!r:.20}")

    def _page(self, hotel: SampleHotel, after: str | None, limit: int) -> Page[T]:
        with hotel.desk.reading() as uow:
            return self.page(self.repository(uow), after=after, limit=limit)

    def _walked(
        self,
        hotel: SampleHotel,
        limit: int,
        *,
        between: Callable[[int], object] = id,
    ) -> list[UUID]:
        """Read a whole list, each page in a unit of its own; ``between`` is called behind each."""
        found: list[UUID] = []
        after, number = None, 0
        while number == 0 or after is not None:
            page = self._page(hotel, after, limit)
            seen = f"A page of {limit} has {len(page.items)} records."
            assert len(page.items) <= limit, seen
            assert page.items or not number, "A cursor led to an empty page."
            found += map(id_of, page.items)
            after, number = page.next, number + 1
            assert number <= _MOST_PAGES, f"The list has no end: {number} pages of {limit}."
            if after is not None and number <= _ARRIVALS:
                between(number)
        return found


_MOST_PAGES = 500
_ARRIVALS = 3
_WHOSE = {True: "another hotel's record", False: "a record that nobody has"}


def open_(repository: object) -> Any:  # Any: what the contract calls on it, a host may name anew
    """Return a repository as something of which any method may be called."""
    return repository


def id_of(record: object) -> UUID:
    """Return a record's id."""
    found: UUID = open_(record).id
    return found


def with_id(record: T, key: UUID) -> T:
    """Return a record under another id."""
    return evolved(record, id=key)


def evolved(record: T, **changes: object) -> T:
    """Return a record with some fields changed."""
    # Which fields there are, the host alone knows.
    return cast("Callable[..., T]", attrs.evolve)(record, **changes)


def _version(record: object) -> object:
    return open_(record).version


def _equal(due: object, found: object, which: str) -> None:
    if due == found:
        return
    names = [each.name for each in attrs.fields(type(open_(due)))]
    differing = [n for n in names if getattr(due, n) != getattr(found, n, None)]
    told = ", ".join(
        f"{n}: {getattr(due, n)!r:.60} became {getattr(found, n, None)!r:.60}" for n in differing
    )
    raise AssertionError(f"A record {which} is read as another ({told or type(found).__name__}).")


def _without_id(error: HotelcoreError, key: UUID) -> str:
    """Return all that an error says, for whatever id."""
    text = f"{type(error).__name__}({error} {vars(error)})"
    return text.replace(repr(key), "ID").replace(str(key), "ID").replace(key.hex, "ID")


def _until_undone(work: Callable[[], object]) -> None:
    try:
        work()
    except _Undone:
        return
    raise AssertionError("What was raised in it did not come out of it.")
