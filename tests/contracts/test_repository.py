"""The contract of a repository: a host's own keeps it, and each promise can be seen broken."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from inspect import signature
from typing import Any
from uuid import UUID

import attrs
import pytest
from sqlalchemy import Connection, insert, select, update

from hotelcore.errors import AlreadyExists, InvalidInput, NotFound, ReadOnly, TenantMismatch
from hotelcore.ids import new_id
from hotelcore.lists import Page
from hotelcore.sql.changing import upsert_into
from hotelcore.testing.contracts import ManyContract, PagedContract, VersionedContract
from hotelcore.testing.hotels import SampleHotel
from hotelcore.unit_of_work import UnitOfWork
from tests.contracts.breaking import Case, broken_promise, cases_of
from tests.contracts.spa import (
    ALL,
    INSERT,
    VISIT,
    SpaVisit,
    SpaVisits,
    values_of,
    visit_of,
)


class TestSpaVisits(
    VersionedContract[SpaVisits, SpaVisit],
    PagedContract[SpaVisits, SpaVisit],
    ManyContract[SpaVisits, SpaVisit],
):
    """A repository of a host's, on SQLite and PostgreSQL."""

    kind: type[SpaVisits] = SpaVisits

    def repository(self, uow: UnitOfWork) -> SpaVisits:
        return self.kind(uow)

    def new(self, hotel: SampleHotel, text: str) -> SpaVisit:
        return SpaVisit(id=new_id(), hotel_id=hotel.hotel_id, note=text, minutes=45)

    def changed(self, record: SpaVisit) -> SpaVisit:
        return attrs.evolve(record, minutes=record.minutes + 15)

    def page(self, repository: SpaVisits, *, after: str | None, limit: int) -> Page[SpaVisit]:
        return repository.page(after=after, limit=limit)


# -- broken ones ----------------------------------------------------------------------------------


def past_the_seam(repository: SpaVisits) -> Connection:
    """Return the connection itself, as a host does who thinks little of the rules."""
    uow: Any = repository.uow  # what is looked for is private
    connection: Connection = uow._run._connection
    return connection


def anywhere(repository: SpaVisits, visit_id: UUID) -> SpaVisit | None:
    """Return a visit of whatever hotel."""
    row = past_the_seam(repository).execute(select(VISIT).where(VISIT.c.id == visit_id)).first()
    return None if row is None else visit_of(row)


class Rounding(SpaVisits):
    """Stores whole hours."""

    def add(self, visit: SpaVisit) -> None:
        super().add(attrs.evolve(visit, minutes=60))


class Trimming(SpaVisits):
    """Trims notes."""

    def add(self, visit: SpaVisit) -> None:
        super().add(attrs.evolve(visit, note=visit.note.strip()))


class Provincial(SpaVisits):
    """Knows no letter that is not its own."""

    def add(self, visit: SpaVisit) -> None:
        visit.note.encode("ascii")
        super().add(visit)


_kept: dict[tuple[UUID, UUID], SpaVisit] = {}


class Remembering(SpaVisits):
    """Keeps what it stored in a dictionary of the process."""

    def add(self, visit: SpaVisit) -> None:
        super().add(visit)
        _kept[self.uow.hotel_id, visit.id] = visit

    def get(self, visit_id: UUID) -> SpaVisit:
        return _kept.get((self.uow.hotel_id, visit_id)) or super().get(visit_id)


class Overwriting(SpaVisits):
    """Stores over what is there."""

    upsert = upsert_into(VISIT, changing=["note", "minutes"])

    def add(self, visit: SpaVisit) -> None:
        values = values_of(visit)
        self.run.write(self.upsert[self.run.dialect], id=visit.id, version=1, **values)


class Mute(SpaVisits):
    """Does not say which key was taken."""

    def add(self, visit: SpaVisit) -> None:
        self.run.write(INSERT, id=visit.id, version=visit.version, **values_of(visit))


class Open(SpaVisits):
    """Gives a visit to whoever knows its id."""

    def get(self, visit_id: UUID) -> SpaVisit:
        return anywhere(self, visit_id) or super().get(visit_id)


class Explaining(SpaVisits):
    """Says why there is no such visit."""

    def get(self, visit_id: UUID) -> SpaVisit:
        try:
            return super().get(visit_id)
        except NotFound:
            if anywhere(self, visit_id):
                raise TenantMismatch("visit") from None
            raise

    def update(self, visit: SpaVisit) -> SpaVisit:
        found = anywhere(self, visit.id)
        if found and found.hotel_id != self.uow.hotel_id:
            raise TenantMismatch("visit")
        return super().update(visit)


class Hinting(SpaVisits):
    """Says it in the name of the record."""

    def get(self, visit_id: UUID) -> SpaVisit:
        try:
            return super().get(visit_id)
        except NotFound:
            kind = "visit of ours" if anywhere(self, visit_id) else "visit"
            raise NotFound(kind, visit_id) from None


class Global(SpaVisits):
    """Takes an id for taken wherever it is."""

    def add(self, visit: SpaVisit) -> None:
        if anywhere(self, visit.id):
            raise AlreadyExists("spa visit", "id")
        super().add(visit)


class Trusting(SpaVisits):
    """Believes the record's hotel."""

    def add(self, visit: SpaVisit) -> None:
        past_the_seam(self).execute(insert(VISIT).values(attrs.asdict(visit)))


class Quiet(SpaVisits):
    """Swallows what it is refused."""

    def add(self, visit: SpaVisit) -> None:
        with suppress(ReadOnly):
            super().add(visit)


class Stuck(SpaVisits):
    """Does not count versions."""

    def update(self, visit: SpaVisit) -> SpaVisit:
        return attrs.evolve(super().update(visit), version=visit.version)


class Partial(SpaVisits):
    """Stores the visit as it was."""

    def update(self, visit: SpaVisit) -> SpaVisit:
        before = self.get(visit.id)
        super().update(attrs.evolve(before, version=visit.version))
        return attrs.evolve(visit, version=visit.version + 1)


class LastWins(SpaVisits):
    """Stores over whatever version is there."""

    def update(self, visit: SpaVisit) -> SpaVisit:
        return super().update(attrs.evolve(visit, version=self.get(visit.id).version))


class Reaching(SpaVisits):
    """Updates a visit wherever it is."""

    def update(self, visit: SpaVisit) -> SpaVisit:
        later = attrs.evolve(visit, version=visit.version + 1)
        ours = update(VISIT).where(VISIT.c.id == visit.id)
        past_the_seam(self).execute(ours.values(attrs.asdict(later)))
        return later


class Short(SpaVisits):
    """Loses the last record of a full page."""

    def page(self, *, after: str | None, limit: int) -> Page[SpaVisit]:
        page = super().page(after=after, limit=limit)
        return Page(page.items[:-1], page.next) if page.next and limit > 1 else page


class Double(SpaVisits):
    """Repeats the last record at the begin of the next page."""

    def page(self, *, after: str | None, limit: int) -> Page[SpaVisit]:
        page = super().page(after=after, limit=limit)
        if after is None or limit == 1:
            return page
        first = page.items[0]
        return Page((first, *page.items)[:limit], page.next)


class Endless(SpaVisits):
    """Always knows another page."""

    def page(self, *, after: str | None, limit: int) -> Page[SpaVisit]:
        page = super().page(after=after, limit=limit)
        return page if page.next is None else Page(page.items, after or page.next)


class Whimsical(SpaVisits):
    """Sorts small pages from their end."""

    def page(self, *, after: str | None, limit: int) -> Page[SpaVisit]:
        page = super().page(after=after, limit=limit)
        return Page(page.items[::-1], page.next) if limit == 3 else page


class Generous(SpaVisits):
    """Gives one more than was asked for."""

    def page(self, *, after: str | None, limit: int) -> Page[SpaVisit]:
        return super().page(after=after, limit=min(limit, 999) + 1)


class Counting(SpaVisits):
    """Counts rows, the newest first."""

    def page(self, *, after: str | None, limit: int) -> Page[SpaVisit]:
        begin = int(after or 0)
        newest = ALL.order_by(VISIT.c.id.desc())
        found = self.run.all(newest.limit(limit + 1).offset(begin), visit_of)
        more = len(found) > limit
        return Page(tuple(found[:limit]), str(begin + limit) if more else None)


class Common(SpaVisits):
    """Lists the visits of all, the newest first."""

    def page(self, *, after: str | None, limit: int) -> Page[SpaVisit]:
        newest = select(VISIT).order_by(VISIT.c.id.desc()).limit(limit)
        return Page(tuple(map(visit_of, past_the_seam(self).execute(newest))), None)


class Following(SpaVisits):
    """Goes on in the hotel in which a cursor was given."""

    def page(self, *, after: str | None, limit: int) -> Page[SpaVisit]:
        hotel, _, last = (after or f"{self.uow.hotel_id} {UUID(int=0)}").partition(" ")
        there = select(VISIT).where(VISIT.c.hotel_id == UUID(hotel), VISIT.c.id > UUID(last))
        rows = past_the_seam(self).execute(there.order_by(VISIT.c.id).limit(limit + 1))
        found = tuple(map(visit_of, rows))
        more = len(found) > limit
        return Page(found[:limit], f"{hotel} {found[limit - 1].id}" if more else None)


class Tolerant(SpaVisits):
    """Begins anew where it does not understand a cursor."""

    def page(self, *, after: str | None, limit: int) -> Page[SpaVisit]:
        try:
            return super().page(after=after, limit=limit)
        except InvalidInput:
            return super().page(after=None, limit=limit)


class Roomy(SpaVisits):
    """Takes any limit."""

    def page(self, *, after: str | None, limit: int) -> Page[SpaVisit]:
        return super().page(after=after, limit=min(max(limit, 1), 1_000))


class Tired(SpaVisits):
    """Stores ten visits, and no more."""

    def add_all(self, visits: Sequence[SpaVisit]) -> None:
        super().add_all(visits[:10])


class Skipping(SpaVisits):
    """Leaves out what it cannot store."""

    def add_all(self, visits: Sequence[SpaVisit]) -> None:
        for visit in visits:
            with suppress(AlreadyExists), self.uow.savepoint():
                self.add(visit)


CASES: list[Case[type[SpaVisits]]] = [
    ("test_what_was_added_is_read_equal", Rounding, r"as another \(minutes: 45 became 60\)"),
    ("test_hostile_text_is_kept_or_refused", Trimming, "note: ' begins .* became 'begins"),
    ("test_hostile_text_is_kept_or_refused", Provincial, "It raised UnicodeEncodeError"),
    ("test_a_taken_id_is_told", Overwriting, "under a taken id raised nothing"),
    ("test_a_taken_id_is_told", Mute, "did not say which: AlreadyExists is due"),
    ("test_a_foreign_id_looks_like_a_missing_one", Open, "another hotel's record raised nothing"),
    ("test_a_foreign_id_looks_like_a_missing_one", Explaining, "raised TenantMismatch and not"),
    ("test_a_foreign_id_looks_like_a_missing_one", Hinting, "visit of ours .* for a missing one"),
    ("test_an_id_is_taken_in_one_hotel_alone", Global, "learns that another hotel has its id"),
    ("test_a_record_goes_into_the_acting_hotel", Trusting, "which another hotel added, raised no"),
    ("test_a_record_goes_into_the_acting_hotel", Remembering, "as a record of the other hotel"),
    ("test_rolling_back_leaves_nothing", Remembering, "unit was rolled back, raised nothing"),
    ("test_an_undone_savepoint_undoes_its_part", Remembering, "savepoint was undone, raised noth"),
    ("test_a_reading_unit_writes_nothing", Quiet, "in a reading unit raised nothing"),
    ("test_only_an_operation_writes", Quiet, "by no operation raised nothing"),
    ("test_only_an_operation_writes", Trusting, "by no operation raised nothing"),
    ("test_a_repository_ends_with_its_unit", Remembering, "whose unit is over raised nothing"),
    ("test_an_update_is_read_equal", Stuck, "Version 2 was returned as 1"),
    ("test_an_update_is_read_equal", Partial, "in version 2 is .*minutes: 60 became 45"),
    ("test_a_stale_version_changes_nothing", LastWins, "changed meanwhile raised nothing"),
    ("test_a_foreign_record_cannot_be_updated", Explaining, "TenantMismatch.* StaleVersion"),
    ("test_a_foreign_record_cannot_be_updated", Reaching, "another hotel's record raised nothing"),
    ("test_many_that_were_added_are_read_equal", Tired, "NotFound"),
    ("test_one_of_many_that_is_refused_keeps_all_out", Skipping, "a taken id, raised nothing"),
    ("test_pages_are_complete", Short, "In pages of 2 come"),
    ("test_pages_are_complete", Double, "records come twice in pages of 2"),
    ("test_pages_are_complete", Endless, "The list has no end"),
    ("test_pages_are_complete", Whimsical, "In pages of 3 they come in another order"),
    ("test_pages_are_complete", Generous, "A page of 1 has 2 records"),
    ("test_a_record_between_pages_moves_no_other", Counting, "records"),
    ("test_a_list_holds_nothing_of_others", Common, "records of another hotel are in the list"),
    ("test_a_list_holds_nothing_of_others", Following, "come by that hotel's cursor"),
    ("test_bad_limits_and_cursors_are_refused", Tolerant, "To read behind '' raised nothing"),
    ("test_bad_limits_and_cursors_are_refused", Roomy, "To ask for a page of 0 raised nothing"),
]


@pytest.mark.parametrize("two_hotels", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("check", "broken", "seen"), CASES)
def test_a_broken_repository_is_told(
    check: str,
    broken: type[SpaVisits],
    seen: str,
    hotelcore_hotel: SampleHotel,
    hotelcore_second_hotel: SampleHotel,
) -> None:
    """Each promise is found broken, in its own words."""
    contract = TestSpaVisits()
    contract.kind = broken
    given = {"hotelcore_hotel": hotelcore_hotel}
    if "hotelcore_second_hotel" in signature(getattr(contract, check)).parameters:
        given["hotelcore_second_hotel"] = hotelcore_second_hotel
    broken_promise(contract, check, seen, **given)


def test_every_promise_can_break() -> None:
    """No check passes whatever it is given."""
    assert cases_of(CASES) == cases_of(TestSpaVisits)
