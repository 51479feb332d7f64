"""Taking over what a property management system says."""

from __future__ import annotations

import attrs

from hotelcore.access import Permission
from hotelcore.domain.pms import PmsResource
from hotelcore.operations.declaring import operation
from hotelcore.operations.pms_sync.bookings import BookingTakeover
from hotelcore.operations.pms_sync.guests import GuestTakeover
from hotelcore.operations.pms_sync.report import Hindrance, NotFollowed, SyncReport, Taken
from hotelcore.operations.pms_sync.rooms import RoomTakeover, RoomTypeTakeover
from hotelcore.operations.pms_sync.takeover import Takeover
from hotelcore.pms.records import PmsSnapshot
from hotelcore.unit_of_work import UnitOfWork

__all__ = ["Hindrance", "NotFollowed", "SyncReport", "Taken", "sync_pms_data"]


@operation(Permission.PMS_MANAGE)
def sync_pms_data(uow: UnitOfWork, *, snapshot: PmsSnapshot) -> SyncReport:
    """Take over a snapshot as a whole or not at all.

    A record is known by its external id; one that did not change since it was last taken over is
    left alone, so a second run moves nothing but the connection's ``last_synced_at``, and that not
    either while ``snapshot.more_follow``. The system there is the master of what it sends: its
    bookings are sold whatever the limit, its cancellations and no-shows cost nothing here, and what
    is confirmed there again is reinstated. A booking's type, stay, guest, party and channel follow;
    of a guest in house the departure, guest, party and channel do. The prices of nights that it has
    already stay as they were fixed, unless the type is another. A no-show is one here when its day
    of arrival is over: until then it counts as confirmed, and the first run afterwards that is sent
    it takes it up. What is new and is cancelled, a no-show or over is left, so no history is sold.
    A room keeps its type, and its number and condition follow. Fetch first
    (`hotelcore.pms.fetch`), so that no network stands inside the transaction, and take over very
    many records part by part (`hotelcore.pms.PmsSnapshot.parts`).

    What the hotel cannot follow stays as it is here, is told in the report's ``not_followed``, and
    is tried again by each run that is sent it; the rest is taken over.

    Raises `NotFound` if the hotel is not connected, and `PmsFailure` with the record's kind and
    external id for one that names another that was never sent, that cannot be stored here, such as
    a price in another currency, or that is at odds with what is here: a room that changes its type
    or has another's number, and two records there that are one here. `AlreadyExists` says that
    somebody took one of the numbers meanwhile: run it again.
    """
    config = uow.pms.lock()
    uow.changed("pms_config", config.id, config, config)
    report = _take_over(Takeover(uow, config), snapshot)
    if not snapshot.more_follow:
        with uow.together(later=True):
            uow.pms.update(attrs.evolve(config, last_synced_at=uow.now()))
    return report


def _take_over(run: Takeover, snapshot: PmsSnapshot) -> SyncReport:
    """Take over all records, kind by kind, in the order in which everybody locks them."""
    types, rooms, guests = RoomTypeTakeover(run), RoomTakeover(run), GuestTakeover(run)
    bookings = BookingTakeover(run, guests)
    told_bookings = run.told(PmsResource.BOOKING, map(bookings.as_of_today, snapshot.bookings))
    bookings.lock(told_bookings)
    told_types = run.told(PmsResource.ROOM_TYPE, snapshot.room_types)
    taken_types = run.take(told_types, types.create, types.change)
    told_rooms = run.told(PmsResource.ROOM, snapshot.rooms)
    rooms.prepare(told_rooms)
    bookings.learn_types(told_bookings)
    told_guests = run.told(PmsResource.GUEST, snapshot.guests)
    taken_guests = run.take(told_guests, guests.create, guests.change)
    bookings.learn_guests(told_bookings)
    bookings.lock_counters(told_bookings)
    bookings.follow(told_bookings)
    taken_bookings = run.take(told_bookings, bookings.create, bookings.change)
    rooms.follow(told_rooms)
    return SyncReport(
        room_types=taken_types,
        rooms=run.take(told_rooms, rooms.create, rooms.change),
        guests=taken_guests,
        bookings=taken_bookings,
        not_followed=tuple(run.not_followed),
    )
