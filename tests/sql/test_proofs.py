"""Each proof fails when what it proves is broken, and only then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta

import pytest
from attrs import frozen
from sqlalchemy import Connection, Engine, text

from hotelcore import HotelCore, Money, Stay, TableNames
from hotelcore.core import Desk
from hotelcore.domain.folios import FolioLine
from hotelcore.domain.rooms import MaintenanceKind, RoomCondition
from hotelcore.ids import FolioId
from hotelcore.operations import (
    block_room,
    bulk_update_room_status,
    cancel_booking_with_refund,
    check_in_guest,
    check_out_guest,
    close_business_day,
    create_booking_with_folio,
    grant_allowance,
    post_charge_to_folio,
    record_payment,
    refund_payment,
    void_charge,
)
from hotelcore.sql.schema import METADATA
from hotelcore.sql.upkeep.proofs import Proofs, prove, snapshot
from tests.small_hotel import DAY, TODAY, SmallHotel, open_hotel

pytestmark = pytest.mark.long

TEN = Money(1_000, "EUR")
NIGHTS = 2


@frozen
class Worked:
    """A hotel that has lived through a little of everything, and what it took."""

    core: HotelCore
    hotel: SmallHotel
    commands: int

    def proofs(self) -> Proofs:
        """Prove the hotel's books."""
        return self.core.prove(self.hotel.hotel_id, commands=self.commands)


def worked(core: HotelCore) -> Worked:
    """Open a hotel and work in it, until every proof has something to look at."""
    hotel = open_hotel(core)
    desk = hotel.desk
    booking, folio = hotel.booked(NIGHTS)
    desk.run(check_in_guest, booking_id=booking.id, room_id=hotel.rooms[0].id)
    bar = charged(desk, folio.id)
    desk.run(grant_allowance, line_id=bar.id, amount=Money(300, "EUR"), reason="cold coffee")
    desk.run(void_charge, line_id=charged(desk, folio.id).id, reason="another table")
    for n in range(NIGHTS):
        desk.run(close_business_day, business_date=TODAY + n * DAY)
    paid = desk.run(record_payment, folio_id=folio.id, amount=Money(50_000, "EUR"), method="cash")
    with desk.reading() as uow:
        over = abs(uow.folios.get(folio.id).balance)
    desk.run(refund_payment, line_id=paid.id, amount=over, reason="change")
    desk.run(check_out_guest, booking_id=booking.id)
    later = TODAY + 10 * DAY
    cancelled, _ = hotel.booked(3, arrival=later)
    desk.run(cancel_booking_with_refund, booking_id=cancelled.id, reason="ill")
    hotel.booked(3, arrival=later)
    with desk.reading() as uow:
        hold_until = uow.now() + timedelta(days=1)
    desk.run(
        create_booking_with_folio,
        guest_id=hotel.guest_id,
        room_type_id=hotel.room_type_id,
        stay=Stay(later, later + DAY),
        hold_until=hold_until,
    )
    for room, kind in zip(hotel.rooms[1:], list(MaintenanceKind)[1:], strict=False):
        desk.run(
            block_room,
            room_id=room.id,
            kind=kind,
            period=Stay(later, later + DAY),
            reason="water damage",
        )
    # Four open the hotel, and those above.
    return Worked(core, hotel, commands=4 + 17)


def charged(desk: Desk, folio_id: FolioId) -> FolioLine:
    """Post a charge of ten euros."""
    return desk.run(post_charge_to_folio, folio_id=folio_id, code="bar", amount=TEN)


@pytest.fixture
def house(schema_url: str) -> Iterator[Worked]:
    """Return a hotel that has something to prove, in each kind of database."""
    core = HotelCore(schema_url)
    core.create_schema()
    yield worked(core)
    core.close()


def failures(proofs: Proofs) -> set[str]:
    """Return the names of the checks that failed."""
    return {check.name for check in proofs.checks if not check.ok}


def unguarded(connection: Connection) -> None:
    """Take away, in the open transaction, what keeps the database itself from being wrong."""
    if connection.dialect.name == "sqlite":
        connection.execute(text("PRAGMA ignore_check_constraints = ON"))
        connection.execute(text("PRAGMA defer_foreign_keys = ON"))
        triggers = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'"))
        for (name,) in triggers.all():
            connection.execute(text(f"DROP TRIGGER {name}"))
        return
    for table in METADATA.tables:
        connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
    rules = connection.execute(
        text(
            "SELECT conrelid::regclass, conname FROM pg_constraint"
            " WHERE contype IN ('c', 'f') AND connamespace = current_schema()::regnamespace"
        )
    )
    for table, name in rules.all():
        connection.execute(text(f"ALTER TABLE {table} DROP CONSTRAINT {name}"))


def damaged(house: Worked, *statements: str) -> Proofs:
    """Prove the books after some damage, which is undone again."""
    with house.core.engine.connect() as connection, connection.begin() as transaction:
        unguarded(connection)
        for statement in statements:
            assert connection.execute(text(statement)).rowcount != 0, "nothing was damaged"
        proofs = prove(connection, house.hotel.hotel_id, commands=house.commands)
        transaction.rollback()
    return proofs


def test_a_hotel_at_work_is_proved(house: Worked) -> None:
    """Ordinary work breaks nothing, and every check had something to look at."""
    proofs = house.proofs()
    assert failures(proofs) == set()
    assert proofs.ok
    assert not [check for check in proofs.checks if check.detail.startswith("0 ")]


BALANCE = "every balance is the sum of its folio's lines"
LEDGER = "charges - allowances - payments + refunds = what is owed"
VOIDS = "every void reverses its line exactly and once"
LOWERED = "allowances and refunds stay within their lines"
COUNTERS = "every counter equals its recomputation"
OVERSOLD = "no night is sold beyond its limit"
TWICE = "no room-night is taken twice"
ROOMS = "every night spent has its one room"
OFF_SALE = "no guest entered a room that is off sale"
RELEASED = "no released night keeps a room"
CHARGED = "every night spent is charged once, at its price"
EVENTS = "the events of each record are numbered without gaps"
AUDIT = "every command left one audit entry"

SPENT = "booking_id IN (SELECT id FROM hc_booking WHERE status = 'checked_out')"
LEFT = "status = 'checked_out'"
BLOCKED = "(SELECT room_id FROM hc_room_night WHERE booking_id IS NULL LIMIT 1)"
DAMAGE: Mapping[str, tuple[str, set[str]]] = {
    "a balance moved": ("UPDATE hc_folio SET balance_minor = balance_minor + 1", {BALANCE, LEDGER}),
    "a line changed": (
        "UPDATE hc_folio_line SET amount_minor = amount_minor - 1 WHERE kind = 'payment'",
        {BALANCE, LEDGER},
    ),
    "half a void": (
        "UPDATE hc_folio_line SET amount_minor = amount_minor / 2 WHERE kind = 'void'",
        {BALANCE, LEDGER, VOIDS},
    ),
    "too much allowed": (
        "UPDATE hc_folio_line SET amount_minor = -1001 WHERE kind = 'allowance'",
        {BALANCE, LEDGER, LOWERED},
    ),
    "too much refunded": (
        "UPDATE hc_folio_line SET amount_minor = 50001 WHERE kind = 'refund'",
        {BALANCE, LEDGER, LOWERED},
    ),
    "a lost counter": ("DELETE FROM hc_room_availability", {COUNTERS}),
    "a room too many": ("UPDATE hc_room_availability SET rooms = rooms + 1", {COUNTERS}),
    "a unit committed": (
        "UPDATE hc_room_availability SET committed = committed + 1",
        {COUNTERS, OVERSOLD},
    ),
    "a unit not held": ("UPDATE hc_room_availability SET held = 0 WHERE held > 0", {COUNTERS}),
    "a unit in order": (
        "UPDATE hc_room_availability SET out_of_order = 0 WHERE out_of_order > 0",
        {COUNTERS},
    ),
    "a unit counted": (
        "UPDATE hc_room_availability SET out_of_inventory = 0 WHERE out_of_inventory > 0",
        {COUNTERS},
    ),
    "more sold than there is": (
        "UPDATE hc_room_availability SET committed = rooms + 1",
        {COUNTERS, OVERSOLD},
    ),
    "a night without room": (f"DELETE FROM hc_room_night WHERE {SPENT}", {ROOMS}),
    "a night in another type": (
        "UPDATE hc_booking_night SET room_type_id = booking_id WHERE " + SPENT,
        {ROOMS, COUNTERS},
    ),
    "a guest in a blocked room": (
        f"UPDATE hc_booking SET status = 'in_house', room_id = {BLOCKED} WHERE " + LEFT,
        {OFF_SALE, COUNTERS},
    ),
    "a room kept": (
        f"UPDATE hc_booking_night SET released = true WHERE {SPENT}",
        {RELEASED, COUNTERS},
    ),
    "a night not charged": (f"UPDATE hc_booking_night SET posted = false WHERE {SPENT}", {CHARGED}),
    "a night at another price": (
        f"UPDATE hc_booking_night SET price_minor = price_minor + 1 WHERE {SPENT}",
        {CHARGED},
    ),
    "a night charged twice": (
        f"UPDATE hc_folio_line SET night = '{TODAY}' WHERE night IS NOT NULL",
        {CHARGED},
    ),
    "an event lost": ("DELETE FROM hc_outbox WHERE sequence = 1", {EVENTS}),
    "an entry lost": (
        "DELETE FROM hc_audit_log WHERE id IN (SELECT id FROM hc_audit_log LIMIT 1)",
        {AUDIT},
    ),
}
# What stands in the way of a damage that the schema makes impossible.
MADE_POSSIBLE: Mapping[str, tuple[str, ...]] = {
    "a night charged twice": ("DROP INDEX uq_hc_folio_line_night",),
    "a guest in a blocked room": (
        f"UPDATE hc_room_night SET night = '{TODAY + NIGHTS * DAY}' WHERE booking_id IS NULL",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_found_by_the_proof_of_it(damage: str, house: Worked) -> None:
    """Whatever is changed behind the library's back fails the very checks that look at it."""
    statement, found = DAMAGE[damage]
    assert failures(damaged(house, *MADE_POSSIBLE.get(damage, ()), statement)) == found


def test_a_room_night_taken_twice_is_found(house: Worked) -> None:
    """Even a table without keys would not hide two holders of one room-night."""
    twice = "SELECT * FROM hc_was UNION ALL SELECT * FROM hc_was"
    found = damaged(
        house,
        "ALTER TABLE hc_room_night RENAME TO hc_was",
        f"CREATE TABLE hc_room_night AS {twice}",
    )
    assert TWICE in failures(found)


def test_maintenance_may_wait_for_a_departure(house: Worked) -> None:
    """A guest who leaves on the day from which the room is off sale is no fault."""
    desk, room = house.hotel.desk, house.hotel.rooms[0]
    booking, _ = house.hotel.booked(arrival=TODAY + NIGHTS * DAY)
    desk.run(bulk_update_room_status, room_ids=[room.id], condition=RoomCondition.CLEAN)
    desk.run(check_in_guest, booking_id=booking.id, room_id=room.id)
    period = Stay(booking.stay.departure, booking.stay.departure + DAY)
    kind = MaintenanceKind.OUT_OF_ORDER
    desk.run(block_room, room_id=room.id, kind=kind, period=period, reason="paint")
    desk.run(close_business_day, business_date=booking.stay.arrival)
    assert house.core.prove(house.hotel.hotel_id).ok


def test_an_entry_too_many_is_found(house: Worked) -> None:
    """An audit log with another number of entries than there were commands is not believed."""
    fewer = house.core.prove(house.hotel.hotel_id, commands=house.commands - 1)
    assert failures(fewer) == {AUDIT}


def test_without_a_number_the_audit_log_is_not_counted(house: Worked) -> None:
    """A host that does not count its commands proves everything else."""
    checks = house.core.prove(house.hotel.hotel_id).checks
    assert AUDIT not in {check.name for check in checks}
    assert len(checks) == len(house.proofs().checks) - 1


def test_the_proofs_look_at_one_hotel(house: Worked) -> None:
    """Damage in one hotel says nothing of another in the same database."""
    other = worked(house.core)
    with house.core.engine.connect() as connection, connection.begin():
        connection.execute(
            text(
                "UPDATE hc_folio SET balance_minor = 1 WHERE hotel_id = :other AND status = 'open'"
            ),
            {"other": stored(house.core.engine, other)},
        )
    assert failures(house.proofs()) == set()
    assert failures(other.proofs()) == {BALANCE, LEDGER}


def stored(engine: Engine, house: Worked) -> object:
    """Return a hotel's id as the database's driver takes it."""
    hotel_id = house.hotel.hotel_id
    return hotel_id.hex if engine.dialect.name == "sqlite" else hotel_id


def test_the_proofs_see_one_moment_and_stop_nobody(house: Worked) -> None:
    """Work goes on while the books are proved, and does not show in them."""
    core = house.core
    with core.engine.connect() as connection, snapshot(connection, TableNames()):
        before = prove(connection, house.hotel.hotel_id)
        house.hotel.booked(arrival=TODAY + 20 * DAY)
        assert prove(connection, house.hotel.hotel_id) == before
    assert core.prove(house.hotel.hotel_id) != before


def test_the_proofs_know_the_hosts_table_names(schema_url: str) -> None:
    """Under another prefix the same hand-written statements find the host's tables."""
    core = HotelCore(schema_url, names=TableNames(prefix="desk_"))
    core.create_schema()
    assert worked(core).proofs().ok
    core.close()
