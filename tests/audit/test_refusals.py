"""What an actor may not do changes nothing and is in the audit log, however it was tried."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

import pytest
from sqlalchemy import text

from hotelcore import Actor, AsyncHotelCore, HotelCore, Role, new_id
from hotelcore import operations as op
from hotelcore.access import Permission
from hotelcore.core import Desk
from hotelcore.domain.audit import AuditLogEntry, Outcome
from hotelcore.errors import DatabaseBusy, NotFound, PermissionDenied
from hotelcore.ids import BookingId, HotelId
from hotelcore.lists import AuditFilter
from hotelcore.operations import operation
from hotelcore.unit_of_work import UnitOfWork
from tests.small_hotel import SmallHotel, nothing_kept, row_counts

DENIED = AuditFilter(outcome=Outcome.DENIED)


def refused(hotel: SmallHotel) -> list[tuple[str, str | None]]:
    """Return the operation and the missing permission of each refusal, the oldest first."""
    assert hotel.core.verify_audit(hotel.hotel_id).ok
    return [(entry.operation, entry.permission) for entry in reversed(_entries(hotel))]


def _entries(hotel: SmallHotel) -> tuple[AuditLogEntry, ...]:
    with hotel.desk.reading() as uow:
        return uow.audit.page(DENIED).items


def _run(desk: Desk) -> None:
    desk.run(op.register_guest, last_name="Never")


def _run_once(desk: Desk) -> None:
    desk.once("k").run(op.register_guest, last_name="Never")


def _run_in_a_transaction(desk: Desk) -> None:
    with desk.transaction() as uow:
        op.register_guest(uow, last_name="Never")


def _run_joined(desk: Desk) -> None:
    with desk._core.engine.begin() as host:
        with pytest.raises(PermissionDenied), desk.joining(host) as uow:
            op.register_guest(uow, last_name="Never")
        assert host.execute(text("SELECT 1")).scalar() == 1
    raise PermissionDenied(role="staff", permission="GUESTS_EDIT", operation="register_guest")


def _run_while_reading(desk: Desk) -> None:
    with desk.reading() as uow:
        op.register_guest(uow, last_name="Never")


EVERY_UNIT = [_run, _run_once, _run_in_a_transaction, _run_joined, _run_while_reading]


@pytest.mark.parametrize("attempt", EVERY_UNIT)
def test_a_refused_operation_leaves_one_entry(
    hotel: SmallHotel, attempt: Callable[[Desk], None]
) -> None:
    """Whatever unit it was tried in: who, what, which permission, and nothing else is kept."""
    actor = Actor(hotel_id=hotel.hotel_id, subject="ana", role=Role.STAFF)
    with nothing_kept(hotel.core.engine, refusals=1), pytest.raises(PermissionDenied):
        attempt(hotel.core.acting_as(actor, correlation_id="call-7"))
    (entry,) = _entries(hotel)
    assert (entry.subject, entry.role, entry.correlation_id) == ("ana", "staff", "call-7")
    assert (entry.operation, entry.permission) == ("register_guest", "GUESTS_EDIT")
    assert (entry.resource, entry.resource_id, entry.changes) == ("hotel", hotel.hotel_id, ())
    assert hotel.core.verify_audit(hotel.hotel_id).ok


def test_a_unit_that_may_not_be_opened_leaves_one_entry(hotel: SmallHotel) -> None:
    """Who is nobody in the hotel is refused every handle, and each time it is told."""
    desk = hotel.acting(Role.GUEST)
    with pytest.raises(PermissionDenied), desk.transaction():
        pytest.fail("was opened")
    with pytest.raises(PermissionDenied), desk.reading():
        pytest.fail("was opened")
    with (
        hotel.core.engine.begin() as host,
        pytest.raises(PermissionDenied),
        desk.joining(host),
    ):
        pytest.fail("was opened")
    assert refused(hotel) == [("unit of work", "BOOKINGS_VIEW")] * 3


def test_reading_the_log_without_the_right_is_in_the_log(hotel: SmallHotel) -> None:
    """So is a host's own question, also where the host goes on as if nothing were."""
    with hotel.acting(Role.STAFF).reading() as uow:
        with suppress(PermissionDenied):
            uow.audit.page(AuditFilter())
        with suppress(PermissionDenied):
            uow.require(Permission.PMS_MANAGE, "see the connections")
    assert refused(hotel) == [("audit", "ADMIN_VIEW"), ("see the connections", "PMS_MANAGE")]


def test_a_refusal_inside_a_savepoint_is_committed_with_the_rest(hotel: SmallHotel) -> None:
    """The step is undone, its refusal is not, and what the unit did otherwise is kept."""
    with hotel.acting(Role.RECEPTION).transaction() as uow:
        op.register_guest(uow, last_name="Kept")
        with suppress(PermissionDenied), uow.savepoint():
            op.register_guest(uow, last_name="Undone")
            op.add_rooms(uow, room_type_id=hotel.room_type_id, numbers=["X"])
    assert refused(hotel) == [("add_rooms", "HOTEL_MANAGE")]
    with hotel.desk.reading() as uow:
        operations = [entry.operation for entry in uow.audit.page(AuditFilter(), limit=2).items]
    assert operations == ["add_rooms", "register_guest"]


def test_a_refusal_survives_the_failure_of_its_unit(hotel: SmallHotel) -> None:
    """Whoever fails afterwards, for another reason, was refused all the same."""

    def fail_later(uow: UnitOfWork) -> None:
        with suppress(PermissionDenied):
            op.add_rooms(uow, room_type_id=hotel.room_type_id, numbers=["X"])
        uow.bookings.get(BookingId(new_id()))

    with nothing_kept(hotel.core.engine, refusals=1), pytest.raises(NotFound):
        hotel.acting(Role.RECEPTION).run(fail_later)
    assert refused(hotel) == [("add_rooms", "HOTEL_MANAGE")]


def test_a_unit_that_runs_again_is_refused_once(hotel: SmallHotel) -> None:
    """Attempts that the database broke off leave nothing; the last one tells it."""
    attempts: list[int] = []

    @operation(Permission.BOOKINGS_VIEW)
    def stubborn(uow: UnitOfWork) -> None:
        with suppress(PermissionDenied):
            uow.require(Permission.PMS_MANAGE, "stubborn")
        attempts.append(1)
        if len(attempts) < 3:
            raise DatabaseBusy

    hotel.acting(Role.STAFF).run(stubborn)
    assert len(attempts) == 3
    assert refused(hotel) == [("stubborn", "PMS_MANAGE")]


def test_a_joined_refusal_is_the_hosts_to_keep(hotel: SmallHotel) -> None:
    """It is in the host's transaction, so it goes with a host that rolls back."""
    with hotel.core.engine.connect() as host:
        transaction = host.begin()
        with suppress(PermissionDenied), hotel.acting(Role.STAFF).joining(host) as uow:
            op.register_guest(uow, last_name="Never")
        transaction.rollback()
    assert refused(hotel) == []


def test_asyncio_tells_refusals_too(schema_url: str, hotel: SmallHotel) -> None:
    """Run, opened for writing, opened for reading: each refusal is in the log."""

    async def work() -> None:
        core = AsyncHotelCore(schema_url)
        desk = core.acting_as(Actor(hotel_id=hotel.hotel_id, subject="s", role=Role.STAFF))
        with suppress(PermissionDenied):
            await desk.run(op.register_guest, last_name="Never")
        with suppress(PermissionDenied):
            async with desk.transaction() as unit:
                await unit.run(op.register_guest, last_name="Never")
        with suppress(PermissionDenied):
            async with desk.reading() as unit:
                await unit.run(lambda uow: uow.audit.page(AuditFilter()))
        await core.close()

    asyncio.run(work())
    with hotel.desk.reading() as uow:
        operations = [entry.operation for entry in uow.audit.page(DENIED).items]
    assert operations == ["audit", "register_guest", "register_guest"]


def test_a_hotel_that_is_not_registered_has_no_log(
    core: HotelCore, caplog: pytest.LogCaptureFixture
) -> None:
    """Its refusals are told to the caller alone."""
    nobody = Actor(hotel_id=HotelId(new_id()), subject="ana", role=Role.STAFF)
    with nothing_kept(core.engine), pytest.raises(PermissionDenied):
        core.acting_as(nobody).run(op.register_guest, last_name="Never")
    assert caplog.records == []


def test_an_id_of_nobody_is_no_refusal(hotel: SmallHotel) -> None:
    """Unknown and foreign ids are alike, in the log too."""
    with nothing_kept(hotel.core.engine), pytest.raises(NotFound):
        hotel.desk.run(op.confirm_booking, booking_id=BookingId(new_id()))


def test_a_refusal_that_cannot_be_stored_is_still_one(
    hotel: SmallHotel, caplog: pytest.LogCaptureFixture
) -> None:
    """The caller gets it in any case; an ERROR says that the log lacks it, and names nobody."""
    before = row_counts(hotel.core.engine)
    with hotel.core.engine.begin() as connection:  # so that the next number is taken already
        connection.execute(text("UPDATE hc_audit_head SET sequence = sequence - 1"))
    actor = Actor(hotel_id=hotel.hotel_id, subject="Ana Núñez", role=Role.STAFF)
    with caplog.at_level(logging.DEBUG), pytest.raises(PermissionDenied):
        hotel.core.acting_as(actor).run(op.register_guest, last_name="Never")
    (record,) = [each for each in caplog.records if each.name == "hotelcore.audit"]
    assert (record.levelname, record.exc_info) == ("ERROR", None)
    assert record.getMessage() == "1 refusals are missing in the audit log: UniqueViolation"
    assert row_counts(hotel.core.engine) == before
