"""Naughty text is stored as it is or refused by a typed error, in every field of every operation.

`HOTELCORE_STRINGS` says how many texts each field gets: 3 unless told, `all` for every one.
"""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path

import attrs
import pytest
from attrs import frozen
from sqlalchemy import Connection

from hotelcore import HotelCore, Stay
from hotelcore.core import Desk
from hotelcore.errors import HotelcoreError
from hotelcore.operations import OPERATIONS
from hotelcore.pms import RemoteBooking, RemoteBookingStatus
from tests.every_operation import NAMES, GoodCall, good_call
from tests.injection.naughty import OUR_OWN
from tests.injection.texts import TextField, text_fields, texts_in_hotel
from tests.records import RECORD
from tests.small_hotel import DAY, PRICE, TODAY, SmallHotel, open_hotel, shared_core

pytestmark = pytest.mark.long

STRINGS = os.environ.get("HOTELCORE_STRINGS", "3")

# What only names something that exists, so it is stored nowhere.
NEVER_STORED = {"subscription"}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def core(request: pytest.FixtureRequest) -> Generator[HotelCore]:
    """Return a core over each kind of database in turn."""
    with shared_core(request) as core:
        yield core


@pytest.fixture(scope="session")
def naughty(shared_data: Path) -> list[str]:
    """Return the big list of naughty strings, and ours."""
    big: list[str] = json.loads((shared_data / "data" / "blns" / "blns.json").read_text("utf-8"))
    assert len(big) == 515
    assert len(OUR_OWN) >= 50
    return [*big, *OUR_OWN]


def _sync_of_a_booking(hotel: SmallHotel) -> GoodCall:
    call = good_call("sync_pms_data", hotel)
    booking = RemoteBooking(
        external_id="b",
        confirmation_number="there",
        guest_external_id="g",
        room_type_external_id="t",
        status=RemoteBookingStatus.CONFIRMED,
        channel="there",
        stay=Stay(TODAY, TODAY + DAY),
        nightly_prices=(PRICE,),
    )
    snapshot = attrs.evolve(call.arguments["snapshot"], bookings=(booking,))
    return attrs.evolve(call, arguments={"snapshot": snapshot})


CASES: dict[str, Callable[[SmallHotel], GoodCall]] = {
    **{name: partial(good_call, name) for name in NAMES},
    "sync_pms_data of a booking": _sync_of_a_booking,
}
"""Every operation, and a call that has more places for text."""


@frozen
class Trial:
    """A call that is made again and again in one transaction, which keeps nothing of it."""

    call: GoodCall
    host: Connection

    @property
    def desk(self) -> Desk:
        """Who calls."""
        return self.call.desk

    def outcome(self, field: TextField, text: str) -> str:
        """Say whether a text was stored or refused; fail if it was neither."""
        undone = self.host.begin_nested()
        try:
            arguments = field.filled(self.call.arguments, text)
            with self.desk.joining(self.host) as uow:
                OPERATIONS[self.call.name](uow, **arguments)
            with self.desk.joining(self.host) as uow:
                found = texts_in_hotel(uow, text)
        except HotelcoreError as error:
            return _refused(error, field, text)
        finally:
            undone.rollback()
        assert text in found or field.path[0] in NEVER_STORED
        return "stored"


def _refused(error: HotelcoreError, field: TextField, text: str) -> str:
    """Check that an error is about the field and does not repeat its text."""
    assert _is_about(error, field), f"{type(error).__name__}: {error}"
    # A shorter one may be a part of any sentence.
    assert len(text) < 5 or text not in f"{error} {error!r}"
    return "refused"


def _is_about(error: HotelcoreError, field: TextField) -> bool:
    named = getattr(error, "field", None)
    return isinstance(named, str) and any(
        # A reason given for an override is the command's reason; of many numbers one is wrong.
        word.endswith(named) or word.startswith(named)
        for word in field.words
    )


@pytest.mark.parametrize("name", CASES)
def test_naughty_text_is_stored_as_it_is_or_refused_by_name(
    core: HotelCore, name: str, naughty: list[str], record_property: Callable[[str, object], None]
) -> None:
    """What is accepted is read back equal; what is not is refused by the field's name, unechoed."""
    call = CASES[name](open_hotel(core))
    outcomes: Counter[str] = Counter()
    with core.engine.connect() as host, host.begin() as transaction:
        for field in text_fields(call.arguments):
            chosen = naughty if STRINGS == "all" else random.sample(naughty, int(STRINGS))
            for text in chosen:
                try:
                    outcomes[Trial(call, host).outcome(field, text)] += 1
                except BaseException as error:
                    error.add_note(f"{name}, {field.name}: {text[:200]!a}")
                    raise
        transaction.rollback()
    if STRINGS == "all" and outcomes:
        record_property(RECORD, ", ".join(f"{n:,} {what}" for what, n in outcomes.items()))


def test_every_place_for_text_is_found(core: HotelCore) -> None:
    """Arguments, items, fields of values inside them, absent ones, and keys of attributes."""
    found = {
        f"{name}.{field.name}"
        for name in ("add_rooms", "register_guest", "sync_pms_data")
        for field in text_fields(good_call(name, open_hotel(core)).arguments)
    }
    assert found >= {
        "add_rooms.numbers.0",
        "add_rooms.floor",
        "register_guest.last_name",
        "register_guest.attributes.newsletter.a key",
        "sync_pms_data.snapshot.guests.0.email",
        "sync_pms_data.snapshot.rooms.0.number",
    }
