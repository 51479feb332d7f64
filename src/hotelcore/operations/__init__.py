"""What can be done in a hotel: plain functions ``(uow, *, …)`` that return frozen values.

Run one through a handle (``desk.run(check_in_guest, booking_id=…)``), or several inside
``desk.transaction()``. Each declares the permission that it needs, leaves one audit entry, and
reports its events in its own transaction. `search_availability`, `quote` and `possible_actions`
only read, so they work in ``desk.reading()`` too.
"""

from __future__ import annotations

from hotelcore.operations.availability import quote, search_availability
from hotelcore.operations.bookings import (
    amend_stay,
    assign_room,
    assign_rooms,
    cancel_booking_with_refund,
    confirm_booking,
    create_booking_with_folio,
    expire_holds,
    mark_no_show,
    possible_actions,
    reinstate_booking,
)
from hotelcore.operations.declaring import OPERATIONS, operation
from hotelcore.operations.events import (
    forget_subscription,
    purge_events,
    replay_events,
    retry_dead_letters,
)
from hotelcore.operations.folios import (
    close_folio,
    grant_allowance,
    move_charge,
    open_folio,
    post_charge_to_folio,
    record_payment,
    refund_payment,
    void_charge,
)
from hotelcore.operations.front_desk import check_in_guest, check_out_guest, move_room
from hotelcore.operations.guests import amend_guest, anonymise_guest, register_guest
from hotelcore.operations.hotels import (
    add_room_type,
    add_rooms,
    change_house_rules,
    register_hotel,
)
from hotelcore.operations.housekeeping import (
    complete_housekeeping_task,
    create_housekeeping_task,
)
from hotelcore.operations.night_audit import close_business_day
from hotelcore.operations.pms import change_pms_key, connect_pms, disconnect_pms
from hotelcore.operations.pms_sync import sync_pms_data
from hotelcore.operations.rooms import block_room, bulk_update_room_status, release_room
from hotelcore.operations.sealed import reseal_secrets

__all__ = [
    "OPERATIONS",
    "add_room_type",
    "add_rooms",
    "amend_guest",
    "amend_stay",
    "anonymise_guest",
    "assign_room",
    "assign_rooms",
    "block_room",
    "bulk_update_room_status",
    "cancel_booking_with_refund",
    "change_house_rules",
    "change_pms_key",
    "check_in_guest",
    "check_out_guest",
    "close_business_day",
    "close_folio",
    "complete_housekeeping_task",
    "confirm_booking",
    "connect_pms",
    "create_booking_with_folio",
    "create_housekeeping_task",
    "disconnect_pms",
    "expire_holds",
    "forget_subscription",
    "grant_allowance",
    "mark_no_show",
    "move_charge",
    "move_room",
    "open_folio",
    "operation",
    "possible_actions",
    "post_charge_to_folio",
    "purge_events",
    "quote",
    "record_payment",
    "refund_payment",
    "register_guest",
    "register_hotel",
    "reinstate_booking",
    "release_room",
    "replay_events",
    "reseal_secrets",
    "retry_dead_letters",
    "search_availability",
    "sync_pms_data",
    "void_charge",
]
