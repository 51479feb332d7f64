"""What goes on in a hotel, by chance: commands that succeed, fail, are denied, or are undone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from random import Random
from types import MappingProxyType
from typing import TypeAlias

from hotelcore import Money, Role, new_id
from hotelcore import operations as op
from hotelcore.domain.audit import Outcome
from hotelcore.errors import HotelcoreError, PermissionDenied, StaleVersion
from hotelcore.ids import BookingId
from hotelcore.lists import AuditFilter, GuestFilter
from tests.small_hotel import DAY, TODAY, SmallHotel

Deed: TypeAlias = Callable[[SmallHotel], tuple[int, int]]
"""Does something, and returns how many entries it leaves: of what was done, of what was denied."""


def _register(hotel: SmallHotel) -> tuple[int, int]:
    hotel.desk.run(op.register_guest, last_name="Núñez", email="a@example.org")
    return 1, 0


def _amend(hotel: SmallHotel) -> tuple[int, int]:
    try:
        hotel.desk.run(op.amend_guest, guest_id=hotel.guest_id, last_name=f"Guest {new_id()}")
    except StaleVersion:  # somebody else does it at the same time
        return 0, 0
    return 1, 0


def _charge(hotel: SmallHotel) -> tuple[int, int]:
    day = TODAY + (new_id().int % 3_000) * DAY  # so that the rooms do not run out
    _, folio = hotel.booked(arrival=day)
    hotel.desk.run(
        op.post_charge_to_folio,
        folio_id=folio.id,
        code="BAR",
        description="tea",
        amount=Money(100, "EUR"),
    )
    return 2, 0


def _several(hotel: SmallHotel) -> tuple[int, int]:
    with hotel.desk.transaction() as uow:
        for name in ("A", "B", "C"):
            op.register_guest(uow, last_name=name)
    return 3, 0


def _fail(hotel: SmallHotel) -> tuple[int, int]:
    with suppress(HotelcoreError):
        hotel.desk.run(op.confirm_booking, booking_id=BookingId(new_id()))
    return 0, 0


def _denied(hotel: SmallHotel) -> tuple[int, int]:
    with suppress(PermissionDenied):
        hotel.acting(Role.STAFF).run(op.register_guest, last_name="Never")
    return 0, 1


def _denied_reading(hotel: SmallHotel) -> tuple[int, int]:
    with suppress(PermissionDenied), hotel.acting(Role.STAFF).reading() as uow:
        uow.audit.page(AuditFilter())
    return 0, 1


def _undone(hotel: SmallHotel) -> tuple[int, int]:
    with hotel.acting(Role.RECEPTION).transaction() as uow:
        op.register_guest(uow, last_name="Kept")
        with suppress(PermissionDenied), uow.savepoint():
            op.register_guest(uow, last_name="Undone")
            op.add_room_type(uow, code="X", name="X", base_rate=Money(1, "EUR"))
    return 1, 1


def _forget(hotel: SmallHotel) -> tuple[int, int]:
    guest = hotel.desk.run(op.register_guest, last_name="Soon forgotten")
    hotel.desk.run(op.anonymise_guest, guest_id=guest.id)
    return 2, 0


def _read(hotel: SmallHotel) -> tuple[int, int]:
    with hotel.desk.reading() as uow:
        uow.guests.page(GuestFilter())
    return 0, 0


DEEDS: Mapping[str, Deed] = MappingProxyType(
    {
        "register": _register,
        "amend": _amend,
        "charge": _charge,
        "several": _several,
        "fail": _fail,
        "denied": _denied,
        "denied reading": _denied_reading,
        "undone": _undone,
        "forget": _forget,
        "read": _read,
    }
)


def live(hotel: SmallHotel, deeds: int, chance: Random) -> None:
    """Do some of it at random."""
    for name in chance.choices(list(DEEDS), k=deeds):
        DEEDS[name](hotel)


def entries_of(hotel: SmallHotel) -> dict[Outcome, int]:
    """Count the entries of each outcome, and see that each has its turn."""
    counts = dict.fromkeys(Outcome, 0)
    with hotel.desk.reading() as uow:
        page = uow.audit.page(AuditFilter(), limit=1_000)
    assert page.next is None
    assert [entry.sequence for entry in page.items] == list(range(len(page.items), 0, -1))
    for entry in page.items:
        counts[entry.outcome] += 1
    return counts
