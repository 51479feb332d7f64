"""The whole matrix: every role, every call, in the own hotel and against another."""

from __future__ import annotations

from collections.abc import Generator, Mapping

import pytest

from hotelcore import HotelCore, Role
from tests.access.answers import ANSWERS, CALLS
from tests.access.calls import MORE, NAMED, acting, attempt, outcome, world
from tests.small_hotel import open_hotel, shared_core

pytestmark = pytest.mark.long

DIFFERENCES: Mapping[tuple[Role, Role], str] = {
    (Role.GUEST, Role.STAFF): """
        reading, search_availability, quote, possible_actions""",
    (Role.STAFF, Role.RECEPTION): """
        register_guest, amend_guest,
        create_booking_with_folio, confirm_booking,
        assign_room, assign_rooms, check_in_guest, move_room, check_out_guest, mark_no_show,
        expire_holds,
        open_folio, post_charge_to_folio, record_payment, close_folio,
        bulk_update_room_status, create_housekeeping_task, complete_housekeeping_task""",
    (Role.RECEPTION, Role.MANAGER): """
        anonymise_guest, amend_stay, reinstate_booking, cancel_booking_with_refund,
        create_booking_with_folio with force_reason, amend_stay with force_reason,
        reinstate_booking with force_reason, assign_room with force_reason,
        block_room with force_reason, cancel_booking_with_refund with waive_fee,
        check_out_guest with unsettled_reason,
        grant_allowance, void_charge, move_charge, refund_payment,
        bulk_update_room_status to inspected, complete_housekeeping_task of an inspection,
        block_room, release_room, close_business_day""",
    (Role.MANAGER, Role.ADMIN): """
        reading the audit log, register_hotel, change_house_rules, add_room_type, add_rooms,
        retry_dead_letters, replay_events, forget_subscription, purge_events,
        connect_pms, change_pms_key, sync_pms_data, disconnect_pms, reseal_secrets""",
}
"""What each role may do beyond the one before it."""


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def core(request: pytest.FixtureRequest) -> Generator[HotelCore]:
    """Return a core that all tests share, on SQLite and PostgreSQL in turn."""
    with shared_core(request) as core:
        yield core


def test_the_answers_leave_nothing_out() -> None:
    """There is an answer for every operation, for every argument that needs more, every reading."""
    assert set(CALLS) == set(NAMED)
    without_id = {"reading", "reading the audit log"}
    assert set(ANSWERS) == {
        (call, hotel)
        for call in NAMED
        for hotel in ("own", "other")
        if not (hotel == "other" and call in without_id)
    }
    answers = {answer for by_role in ANSWERS.values() for answer in by_role.values()}
    assert answers == {"allowed", "denied", "not found"}
    assert any(call.endswith(f"with {more}") for call in CALLS for more in MORE)


@pytest.mark.parametrize("call", CALLS)
def test_each_role_gets_its_answer_at_home(core: HotelCore, call: str) -> None:
    """In the own hotel a call ends as the file says, and a denied one changes no row."""
    hotel = open_hotel(core)
    attempted = attempt(call, hotel)
    for role, expected in ANSWERS[call, "own"].items():
        desk = acting(core, call, hotel, role)
        before = world(core, desk.actor.hotel_id, audit=False)
        assert outcome(attempted, desk) == expected, role
        if expected == "allowed":  # it may be possible only once
            hotel = open_hotel(core)
            attempted = attempt(call, hotel)
        else:
            assert world(core, desk.actor.hotel_id, audit=False) == before


@pytest.mark.parametrize("call", [call for call, hotel in ANSWERS if hotel == "other"])
def test_each_role_gets_its_answer_abroad(core: HotelCore, call: str) -> None:
    """With another hotel's ids a call ends as the file says, and touches nothing of that hotel."""
    theirs, ours = open_hotel(core), open_hotel(core)
    attempted = attempt(call, theirs)
    attempt(call, ours)
    untouched = world(core, theirs.hotel_id)
    for role, expected in ANSWERS[call, "other"].items():
        desk = acting(core, call, ours, role)
        before = world(core, desk.actor.hotel_id, audit=False)
        assert outcome(attempted, desk) == expected, role
        assert world(core, theirs.hotel_id) == untouched
        if expected == "allowed":
            ours = open_hotel(core)
            attempt(call, ours)
        else:
            assert world(core, desk.actor.hotel_id, audit=False) == before


def test_each_role_may_what_the_one_before_it_may() -> None:
    """Admin has all that manager has, and so on down; what each has more is written down here."""
    may = {
        role: {call for call in CALLS if ANSWERS[call, "own"][role] == "allowed"} for role in Role
    }
    assert may[Role.GUEST] == set()
    for (lower, higher), listed in DIFFERENCES.items():
        assert may[lower] < may[higher]
        assert may[higher] - may[lower] == {" ".join(call.split()) for call in listed.split(",")}
