"""The promises of a PMS adapter: all of it, the same again, and no secret when something fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, time, timedelta, timezone
from functools import partial
from inspect import iscoroutinefunction
from typing import Protocol, TypeVar, cast

from attrs import frozen

from hotelcore.access import Role
from hotelcore.clock import FixedClock
from hotelcore.core import Desk, HotelCore
from hotelcore.errors import PmsFailure
from hotelcore.ids import HotelId, new_id
from hotelcore.operations import connect_pms, register_hotel, sync_pms_data
from hotelcore.operations.pms_sync import SyncReport
from hotelcore.pms.protocols import AsyncPmsAdapter, PmsAdapter, fetch
from hotelcore.pms.records import (
    PmsSnapshot,
    RemoteBooking,
    RemoteGuest,
    RemoteRoom,
    RemoteRooms,
    RemoteRoomType,
)
from hotelcore.tenancy import Actor
from hotelcore.testing.contracts.promises import promise, refusal, told

__all__ = ["PmsAdapterContract", "RemoteSystem"]

_ZONES = (timezone(timedelta(hours=13, minutes=45)), timezone(-timedelta(hours=9, minutes=30)))


class _Record(Protocol):
    @property
    def external_id(self) -> str: ...


R = TypeVar("R", bound=_Record)


@frozen(kw_only=True)
class RemoteSystem:
    """What an adapter is tried out on: a vendor's sandbox, or a server of yours that is like it.

    ``adapter`` is accepted there; ``refused`` is not, because its key is wrong or the system away.
    ``guest_ids`` and ``booking_ids`` are the external ids of all that the system holds: have more
    of each than one page of its interface takes. The ``changed`` ones among them changed since
    ``cutoff``, an instant before which others did. ``secrets`` are texts that nothing may show: the
    key, a guest's name. Nothing changes in the system meanwhile.
    """

    adapter: PmsAdapter | AsyncPmsAdapter
    refused: PmsAdapter | AsyncPmsAdapter
    guest_ids: Collection[str]
    booking_ids: Collection[str]
    cutoff: datetime
    changed_guest_ids: Collection[str]
    changed_booking_ids: Collection[str]
    secrets: Collection[str]


class PmsAdapterContract:
    """Subclass it under a name that begins with ``Test``, and give the fixture ``system``.

    ``system`` returns a `RemoteSystem`, whose adapters may be for asyncio or not.
    """

    @promise("An adapter that is accepted returns from test_connection and says nothing.")
    def test_an_accepted_adapter_connects(self, system: RemoteSystem) -> None:
        """Call it twice, since it may be called at any time."""
        with _calling(system.adapter) as adapter:
            for _ in range(2):
                answer = cast("Callable[[], object]", adapter.test_connection)()
                assert answer is None, f"It returned a {type(answer).__name__}."

    @promise("An adapter answers with the library's neutral records and nothing else.")
    def test_answers_are_neutral_records(self, system: RemoteSystem) -> None:
        """Look at the class of everything that is fetched."""
        with _calling(system.adapter) as adapter:
            rooms = adapter.sync_rooms()
            assert isinstance(rooms, RemoteRooms), f"sync_rooms gave a {type(rooms).__name__}."
            answers: Mapping[type, Iterable[object]] = {
                RemoteRoomType: rooms.room_types,
                RemoteRoom: rooms.rooms,
                RemoteGuest: adapter.sync_guests(changed_since=None),
                RemoteBooking: adapter.sync_bookings(changed_since=None),
            }
        for kind, records in answers.items():
            other = [type(each).__name__ for each in records if not isinstance(each, kind)]
            assert not other, f"Where a {kind.__name__} is due it gave {', '.join(other)}."

    @promise("An adapter that is asked for everything gives all pages of it, and nothing more.")
    def test_everything_comes(self, system: RemoteSystem) -> None:
        """Compare the ids that were fetched with those that the system holds."""
        snapshot = _fetched(system)
        _compare("guests", system.guest_ids, _by_id(snapshot.guests))
        _compare("bookings", system.booking_ids, _by_id(snapshot.bookings))

    @promise("An external id stands for one record of its kind.")
    def test_an_id_stands_for_one_record(self, system: RemoteSystem) -> None:
        """Look for two records of one kind that differ under one id."""
        for kind, records in _kinds(_fetched(system)).items():
            known = _by_id(records)
            differing = [each.external_id for each in records if known[each.external_id] != each]
            assert not differing, f"Two {kind} differ that are both called {differing[0]}."

    @promise("Fetching again gives the same records under the same ids.")
    def test_fetching_again_gives_the_same(self, system: RemoteSystem) -> None:
        """Fetch everything twice with one adapter."""
        with _calling(system.adapter) as adapter:
            first, second = _kinds(fetch(adapter)), _kinds(fetch(adapter))
        for kind, records in first.items():
            before, after = _by_id(records), _by_id(second[kind])
            _compare(f"{kind} of the first run", before, after)
            other = [key for key, record in before.items() if after[key] != record]
            assert not other, f"{len(other)} of {len(before)} {kind} were others the second time."

    @promise("Whatever a record names was sent too.")
    def test_what_a_record_names_was_sent(self, system: RemoteSystem) -> None:
        """Look up the guest and the room type of each booking, and the type of each room."""
        snapshot = _fetched(system)
        types, guests = _by_id(snapshot.room_types), _by_id(snapshot.guests)
        named: list[tuple[str, Collection[str], str]] = [
            (room.room_type_external_id, types, "room type") for room in snapshot.rooms
        ]
        for booking in snapshot.bookings:
            named.append((booking.guest_external_id, guests, "guest"))
            named.append((booking.room_type_external_id, types, "room type"))
        for external_id, known, kind in named:
            assert external_id in known, (
                f"A record names the {kind} {external_id}, which is missing."
            )

    @promise("What changed since an instant comes, whatever else comes.")
    def test_what_changed_comes(self, system: RemoteSystem) -> None:
        """Fetch what changed since the cutoff, and what changed since long ago."""
        with _calling(system.adapter) as adapter:
            for since, guest_ids, booking_ids in (
                (system.cutoff, system.changed_guest_ids, system.changed_booking_ids),
                (datetime(1970, 1, 2, tzinfo=UTC), system.guest_ids, system.booking_ids),
            ):
                guests = _by_id(adapter.sync_guests(changed_since=since))
                bookings = _by_id(adapter.sync_bookings(changed_since=since))
                _contain(f"guests since {since}", guest_ids, guests, system.guest_ids)
                _contain(f"bookings since {since}", booking_ids, bookings, system.booking_ids)

    @promise("An instant is the same in every time zone.")
    def test_an_instant_is_the_same_in_every_zone(self, system: RemoteSystem) -> None:
        """Ask for what changed since the cutoff, written in three time zones."""
        since = system.cutoff.astimezone(UTC)
        with _calling(system.adapter) as adapter:
            guests = _by_id(adapter.sync_guests(changed_since=since))
            bookings = _by_id(adapter.sync_bookings(changed_since=since))
            for zone in _ZONES:
                there = since.astimezone(zone)
                _compare(
                    f"guests since {since}",
                    guests,
                    _by_id(adapter.sync_guests(changed_since=there)),
                )
                _compare(
                    f"bookings since {since}",
                    bookings,
                    _by_id(adapter.sync_bookings(changed_since=there)),
                )

    @promise("Whatever goes wrong is a PmsFailure, and shows neither a secret nor a guest.")
    def test_what_goes_wrong_is_told(self, system: RemoteSystem) -> None:
        """Call every method of the refused adapter, and read each error to its last cause."""
        with _calling(system.refused) as adapter:
            calls: Mapping[str, Callable[[], object]] = {
                "test_connection": adapter.test_connection,
                "sync_rooms": adapter.sync_rooms,
                "sync_guests": partial(adapter.sync_guests, changed_since=None),
                "sync_bookings": partial(adapter.sync_bookings, changed_since=None),
            }
            for name, call in calls.items():
                error = refusal(PmsFailure, call, f"{name} of an adapter that is not accepted")
                text = told(error)
                assert not _shown(system, text), f"The error of {name} shows a secret."

    @promise("Nothing that shows an adapter shows a secret.")
    def test_nothing_shows_a_secret(self, system: RemoteSystem) -> None:
        """Print both adapters, and what one of them fetched."""
        for shown in (system.adapter, system.refused, _fetched(system).guests):
            for text in (repr(shown), str(shown), f"{shown}"):
                name = type(shown).__name__
                assert not _shown(system, text), f"The text of a {name} shows a secret."

    @promise("What an adapter fetches can be taken over, and a second time it changes nothing.")
    def test_a_second_sync_changes_nothing(self, system: RemoteSystem) -> None:
        """Fetch and take over everything twice, into a hotel of its own."""
        with _calling(system.adapter) as adapter:
            snapshot = fetch(adapter)
            with _new_hotel(snapshot) as desk:
                first = desk.run(sync_pms_data, snapshot=snapshot)
                second = desk.run(sync_pms_data, snapshot=fetch(adapter))
        # Those that ended there before they were known here are left.
        taken = first.bookings.created + first.bookings.unchanged
        assert taken == len(system.booking_ids), f"The first run: {first}."
        assert not _moved(second), f"The second run changed something: {second}."


# -- fetching ---------------------------------------------------------------------------------


@contextmanager
def _calling(adapter: PmsAdapter | AsyncPmsAdapter) -> Generator[PmsAdapter]:
    """Give an adapter that is called without awaits, in one event loop if it needs one."""
    if not iscoroutinefunction(adapter.sync_rooms):
        yield cast("PmsAdapter", adapter)
        return
    with asyncio.Runner() as runner:
        yield _Awaited(cast("AsyncPmsAdapter", adapter), runner)


@frozen
class _Awaited:
    """A `PmsAdapter` that waits for those of an `AsyncPmsAdapter`."""

    adapter: AsyncPmsAdapter
    runner: asyncio.Runner

    def test_connection(self) -> None:
        return self.runner.run(self.adapter.test_connection())

    def sync_rooms(self) -> RemoteRooms:
        return self.runner.run(self.adapter.sync_rooms())

    def sync_guests(self, *, changed_since: datetime | None) -> Sequence[RemoteGuest]:
        return self.runner.run(self.adapter.sync_guests(changed_since=changed_since))

    def sync_bookings(self, *, changed_since: datetime | None) -> Sequence[RemoteBooking]:
        return self.runner.run(self.adapter.sync_bookings(changed_since=changed_since))


def _fetched(system: RemoteSystem) -> PmsSnapshot:
    with _calling(system.adapter) as adapter:
        return fetch(adapter)


def _kinds(snapshot: PmsSnapshot) -> Mapping[str, Sequence[_Record]]:
    return {
        "room types": snapshot.room_types,
        "rooms": snapshot.rooms,
        "guests": snapshot.guests,
        "bookings": snapshot.bookings,
    }


def _by_id(records: Iterable[R]) -> Mapping[str, R]:
    return {record.external_id: record for record in records}


# -- comparing --------------------------------------------------------------------------------


def _compare(what: str, due: Collection[str], found: Collection[str]) -> None:
    missing, other = set(due) - set(found), set(found) - set(due)
    assert not missing, f"Of {len(due)} {what}, {len(missing)} are missing: {_some(missing)}."
    assert not other, f"Beside {len(due)} {what} it gave {len(other)} others: {_some(other)}."


def _contain(
    what: str, due: Collection[str], found: Collection[str], all_: Collection[str]
) -> None:
    missing, other = set(due) - set(found), set(found) - set(all_)
    assert not missing, f"Of {len(due)} changed {what}, these are missing: {_some(missing)}."
    assert not other, f"Among the {what} are some that nobody knows: {_some(other)}."


def _some(ids: Iterable[str]) -> str:
    return ", ".join(sorted(ids)[:5])


def _shown(system: RemoteSystem, text: str) -> bool:
    return any(secret in text for secret in system.secrets)


# -- taking over ------------------------------------------------------------------------------


@contextmanager
def _new_hotel(snapshot: PmsSnapshot) -> Generator[Desk]:
    """Open a hotel in which all that was fetched can still be sold, connected to a PMS."""
    begin = min(booking.stay.arrival for booking in snapshot.bookings)
    clock = FixedClock(datetime.combine(begin, time(12), tzinfo=UTC))
    core = HotelCore("sqlite://", clock=clock)
    try:
        core.create_schema()
        hotel_id = HotelId(new_id())
        desk = core.acting_as(Actor(hotel_id=hotel_id, subject="contract", role=Role.ADMIN))
        desk.run(
            register_hotel,
            name="Contract",
            time_zone="UTC",
            currency=snapshot.room_types[0].base_rate.currency,
            business_date=begin,
        )
        desk.run(connect_pms, vendor="contract", external_hotel_id="contract")
        yield desk
    finally:
        core.close()


def _moved(report: SyncReport) -> int:
    parts = (report.room_types, report.rooms, report.guests, report.bookings)
    return sum(part.created + part.updated for part in parts)
