"""The contract of a PMS adapter: our stand-ins keep it, and each promise can be seen broken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, cast

import attrs
import pytest

from hotelcore.domain.money import Money
from hotelcore.errors import PmsFailure
from hotelcore.pms import RemoteBooking, RemoteGuest, RemoteRooms
from hotelcore.pms.protocols import AsyncPmsAdapter, PmsAdapter
from hotelcore.testing import AsyncScriptedPms, ScriptedPms
from hotelcore.testing.contracts import PmsAdapterContract, RemoteSystem
from tests.contracts.breaking import Case, broken_promise, cases_of
from tests.contracts.hill import KEY, HillAdapter, HillFailure, HillServer, system_of


def scripted(*, asynchronous: bool) -> RemoteSystem:
    """Return what the server holds, as a script that is played with or without asyncio."""
    server, accepted, refused = HillServer(), ScriptedPms(), ScriptedPms()
    rooms = HillAdapter(server, KEY).sync_rooms()
    accepted.put(*rooms.room_types)
    accepted.put(*rooms.rooms)
    accepted.put(*server.guests.values(), *server.bookings.values())
    refused.fail_next(*["the key is refused"] * 4)

    def played(script: ScriptedPms) -> PmsAdapter | AsyncPmsAdapter:
        return AsyncScriptedPms(script) if asynchronous else script

    system = system_of(HillAdapter)
    return attrs.evolve(system, adapter=played(accepted), refused=played(refused))


class TestAnAdapterOfAHost(PmsAdapterContract):
    """An adapter for a server with pages, times of change and a key."""

    @pytest.fixture
    def system(self) -> RemoteSystem:
        """Return the server's system."""
        return system_of(HillAdapter)


class TestOurStandIns(PmsAdapterContract):
    """The scripts that ship for tests."""

    @pytest.fixture(params=[False, True], ids=["sync", "async"])
    def system(self, request: pytest.FixtureRequest) -> RemoteSystem:
        """Return what a script plays, with and without asyncio."""
        return scripted(asynchronous=request.param)


# -- broken ones ----------------------------------------------------------------------------------


class Chatty(HillAdapter):
    """Answers the question whether it is connected."""

    def test_connection(self) -> None:
        """Answer where the promise is to return nothing."""
        super().test_connection()
        return cast("None", True)


class Raw(HillAdapter):
    """Hands on what the server sent."""

    def sync_guests(self, *, changed_since: datetime | None) -> Sequence[RemoteGuest]:
        guests = super().sync_guests(changed_since=changed_since)
        return cast("Sequence[RemoteGuest]", [attrs.asdict(guest) for guest in guests])


class RawRooms(HillAdapter):
    """Gives the rooms alone."""

    def sync_rooms(self) -> RemoteRooms:
        return cast("RemoteRooms", list(super().sync_rooms().rooms))


class FirstPage(HillAdapter):
    """Reads one page."""

    def pages(self, kind: str, since: datetime | None) -> Iterator[Any]:
        return iter(self.page(kind, since, 0))


class Inventive(HillAdapter):
    """Adds a guest of its own."""

    def sync_guests(self, *, changed_since: datetime | None) -> Sequence[RemoteGuest]:
        more = RemoteGuest(external_id="walk-in", last_name="Walk-in", first_name="")
        return [*super().sync_guests(changed_since=changed_since), more]


class Ambiguous(HillAdapter):
    """Gives two guests one id."""

    def sync_guests(self, *, changed_since: datetime | None) -> Sequence[RemoteGuest]:
        first, *others = super().sync_guests(changed_since=changed_since)
        return [first, attrs.evolve(first, first_name="Twin"), *others]


_numbers = count()


class Unsteady(HillAdapter):
    """Numbers bookings as they come."""

    def sync_bookings(self, *, changed_since: datetime | None) -> Sequence[RemoteBooking]:
        found = super().sync_bookings(changed_since=changed_since)
        return [attrs.evolve(each, external_id=f"b-{next(_numbers)}") for each in found]


class Drifting(HillAdapter):
    """Puts the number of the call into what it fetched."""

    def sync_bookings(self, *, changed_since: datetime | None) -> Sequence[RemoteBooking]:
        found = super().sync_bookings(changed_since=changed_since)
        return [attrs.evolve(each, channel=f"hill {next(_numbers)}") for each in found]


class Dangling(HillAdapter):
    """Leaves out the guests without bookings in its own view, which are all with an odd number."""

    def sync_guests(self, *, changed_since: datetime | None) -> Sequence[RemoteGuest]:
        return super().sync_guests(changed_since=changed_since)[1::2]


class Late(HillAdapter):
    """Misses what changed at the very instant."""

    def pages(self, kind: str, since: datetime | None) -> Iterator[Any]:
        return super().pages(kind, since and since + timedelta(microseconds=1))


class Naive(HillAdapter):
    """Takes the clock's time as it is written for UTC."""

    def pages(self, kind: str, since: datetime | None) -> Iterator[Any]:
        return super().pages(kind, since and since.replace(tzinfo=UTC))


class Bare(HillAdapter):
    """Lets the error of the server's client out."""

    def page(self, kind: str, since: datetime | None, number: int) -> Sequence[Any]:
        return self.server.ask(self.key, kind, since, number)


class Calm(HillAdapter):
    """Takes a refusal for an empty house."""

    def page(self, kind: str, since: datetime | None, number: int) -> Sequence[Any]:
        try:
            return super().page(kind, since, number)
        except PmsFailure:
            return []


class Frank(HillAdapter):
    """Raises its own error from the client's."""

    def page(self, kind: str, since: datetime | None, number: int) -> Sequence[Any]:
        try:
            return self.server.ask(self.key, kind, since, number)
        except HillFailure as failure:
            raise PmsFailure("hill", "refused the request") from failure


class Shown(HillAdapter):
    """Prints its key."""

    def __repr__(self) -> str:
        return f"Shown({self.key!r})"


class Foreign(HillAdapter):
    """Prices some nights in another currency than the rooms."""

    def sync_bookings(self, *, changed_since: datetime | None) -> Sequence[RemoteBooking]:
        found = super().sync_bookings(changed_since=changed_since)
        prices = (Money(9_000, "CHF"), Money(9_500, "CHF"))
        return [attrs.evolve(each, nightly_prices=prices) for each in found]


CASES: list[Case[type[HillAdapter]]] = [
    ("test_an_accepted_adapter_connects", Chatty, "It returned a bool"),
    ("test_answers_are_neutral_records", Raw, "Where a RemoteGuest is due it gave dict"),
    ("test_answers_are_neutral_records", RawRooms, "sync_rooms gave a list"),
    ("test_everything_comes", FirstPage, "Of 5 guests, 3 are missing: g3, g4, g5"),
    ("test_everything_comes", Inventive, "1 others: walk-in"),
    ("test_an_id_stands_for_one_record", Ambiguous, "Two guests differ that are both called g1"),
    ("test_fetching_again_gives_the_same", Unsteady, "bookings of the first run, 5 are missing"),
    ("test_fetching_again_gives_the_same", Drifting, "5 of 5 bookings were others"),
    ("test_what_a_record_names_was_sent", Dangling, "names the guest g1, which is missing"),
    ("test_what_changed_comes", Late, "missing: g3"),
    ("test_an_instant_is_the_same_in_every_zone", Naive, "guests since .* missing|others"),
    ("test_what_goes_wrong_is_told", Bare, "raised HillFailure and not PmsFailure"),
    ("test_what_goes_wrong_is_told", Calm, "not accepted raised nothing"),
    ("test_what_goes_wrong_is_told", Frank, "The error of test_connection shows a secret"),
    ("test_nothing_shows_a_secret", Shown, "text of a Shown shows a secret"),
    ("test_a_second_sync_changes_nothing", Drifting, "The second run changed something"),
    ("test_a_second_sync_changes_nothing", Foreign, "raised PmsFailure"),
]


@pytest.mark.parametrize(("check", "broken", "seen"), CASES)
def test_a_broken_adapter_is_told(check: str, broken: type[HillAdapter], seen: str) -> None:
    """Each promise is found broken, in its own words."""
    broken_promise(PmsAdapterContract(), check, seen, system=system_of(broken))


def test_every_promise_can_break() -> None:
    """No check passes whatever it is given."""
    assert cases_of(CASES) == cases_of(PmsAdapterContract)
