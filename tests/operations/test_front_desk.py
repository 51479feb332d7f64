"""The front desk: who may arrive, where they stay, and what is left when they leave."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotelcore import operations as op
from hotelcore.access import Role
from hotelcore.clock import FixedClock
from hotelcore.core import HotelCore
from hotelcore.domain.bookings import Booking, BookingStatus, RoomKey
from hotelcore.domain.folios import FolioStatus
from hotelcore.domain.hotels import HouseRules
from hotelcore.domain.housekeeping import HousekeepingTask, TaskKind, TaskStatus
from hotelcore.domain.rooms import MaintenanceKind, Room, RoomCondition
from hotelcore.domain.stays import Stay
from hotelcore.errors import (
    ActionRefused,
    HotelcoreError,
    InvalidInput,
    NotFound,
    PermissionDenied,
    RoomTaken,
    SoldOut,
)
from hotelcore.events import catalogue as fact
from hotelcore.ids import RoomId, TaskId, new_id
from hotelcore.lists import AuditFilter, TaskFilter
from hotelcore.operations.keys import room_in_use
from tests.operations.recount import (
    counted_units,
    events_of,
    hearing,
    misplaced_nights,
    recounted_units,
)
from tests.operations.reservations import KEEP, add_suites, book, lives, nights_of, stay
from tests.operations.small_hotel import DAY, TODAY, SmallHotel, eur, open_hotel, refusal


def set_condition(hotel: SmallHotel, room_id: RoomId, condition: RoomCondition) -> None:
    """Put one room into a condition."""
    hotel.desk().run(op.bulk_update_room_status, room_ids=[room_id], condition=condition)


def room(hotel: SmallHotel, room_id: RoomId) -> Room:
    """Read a room."""
    with hotel.desk().reading() as uow:
        return uow.rooms.get(room_id)


def keys_of(hotel: SmallHotel, booking: Booking) -> tuple[RoomKey, ...]:
    """Read all keys that a booking ever had."""
    with hotel.desk().reading() as uow:
        return uow.keys.of_booking(booking.id)


def tasks_of(hotel: SmallHotel, room_id: RoomId) -> tuple[HousekeepingTask, ...]:
    """Read the housekeeping tasks of a room."""
    with hotel.desk().reading() as uow:
        return uow.housekeeping.page(TaskFilter(room_id=room_id)).items


def reasons_of(refused: HotelcoreError | None) -> tuple[str, ...]:
    """Return the reason codes of a refused action."""
    assert isinstance(refused, ActionRefused)
    return refused.reasons


def arriving(
    hotel: SmallHotel, booking: Booking, room_id: RoomId | None = None
) -> HotelcoreError | None:
    """Check a guest in and return why not, if so."""
    return refusal(
        lambda: hotel.desk().run(op.check_in_guest, booking_id=booking.id, room_id=room_id)
    )


def moving(hotel: SmallHotel, booking: Booking, room_id: RoomId) -> HotelcoreError | None:
    """Move a guest to another room and return why not, if so."""
    return refusal(
        lambda: hotel.desk().run(
            op.move_room, booking_id=booking.id, room_id=room_id, reason="noise"
        )
    )


def leaving(hotel: SmallHotel, booking: Booking) -> HotelcoreError | None:
    """Check a guest out and return why not, if so."""
    return refusal(lambda: hotel.desk().run(op.check_out_guest, booking_id=booking.id))


# -- arriving ---------------------------------------------------------------------------------


def test_a_guest_checks_in_to_the_room_of_the_booking(hotel: SmallHotel) -> None:
    """The guest is in house from the business date on, with as many keys as asked for."""
    booking, _ = book(hotel, stay(0, 2))
    hotel.desk().run(op.assign_room, booking_id=booking.id, room_id=hotel.room_ids[2])
    arrived, keys = hotel.desk().run(op.check_in_guest, booking_id=booking.id, keys=2)
    assert (arrived.status, arrived.room_id) == (BookingStatus.IN_HOUSE, hotel.room_ids[2])
    assert (arrived.checked_in_on, arrived.checked_in_at) == (TODAY, hotel.clock.now())
    assert keys == keys_of(hotel, booking)
    assert [(key.room_id, key.valid_until, key.revoked_at) for key in keys] == [
        (hotel.room_ids[2], TODAY + 2 * DAY, None)
    ] * 2
    assert events_of(hotel)[-2:] == ["booking.roomAssigned", "booking.checkedIn"]


def test_a_check_in_picks_a_room_that_is_ready_and_empty(hotel: SmallHotel) -> None:
    """Dirty rooms and rooms whose guest has not left yet are passed over."""
    due_out, _ = hotel.move_in(1)
    hotel.close_day()
    set_condition(hotel, hotel.room_ids[1], RoomCondition.DIRTY)
    booking, _ = book(hotel, Stay(hotel.today, hotel.today + DAY))
    arrived, _ = hotel.desk().run(op.check_in_guest, booking_id=booking.id)
    assert arrived.room_id == hotel.room_ids[2]
    assert hotel.booking(due_out.id).room_id == hotel.room_ids[0]


def test_a_guest_who_is_due_gets_a_dirty_room_where_no_other_is_free(hotel: SmallHotel) -> None:
    """Ready rooms are given first; without one the first by number, which is cleaned in time."""
    for room_id in hotel.room_ids:
        set_condition(hotel, room_id, RoomCondition.DIRTY)
    set_condition(hotel, hotel.room_ids[2], RoomCondition.CLEAN)
    given_rooms = []
    for _ in hotel.room_ids:
        booking, _ = book(hotel, stay(0, 1))
        given_rooms.append(hotel.desk().run(op.assign_room, booking_id=booking.id).room_id)
    first, second, third, fourth = hotel.room_ids
    assert given_rooms == [third, first, second, fourth]


def test_a_named_room_of_another_type_upgrades_the_guest(hotel: SmallHotel) -> None:
    """A check-in may name a better room; the units move to its type and the price stays."""
    _, (suite,) = add_suites(hotel)
    booking, _ = book(hotel, stay(0, 2))
    arrived, _ = hotel.desk().run(op.check_in_guest, booking_id=booking.id, room_id=suite)
    assert (arrived.room_id, arrived.total) == (suite, eur(20_000))
    assert set(counted_units(hotel)) == {("STE", str(night)) for night in stay(0, 2)}
    assert misplaced_nights(hotel) == []


def test_nobody_checks_in_before_the_day_or_after_the_stay(
    core: HotelCore, clock: FixedClock
) -> None:
    """A check-in needs arrival <= business date < departure; the reason says which side it is."""
    hotel = open_hotel(core, clock, rules=KEEP)
    booking, _ = book(hotel, stay(1, 1))
    assert reasons_of(arriving(hotel, booking)) == ("arrival_not_reached",)
    hotel.close_day()
    hotel.close_day()
    assert reasons_of(arriving(hotel, booking)) == ("stay_is_over",)


def test_a_room_must_be_empty_and_ready_by_the_rule_of_the_house(hotel: SmallHotel) -> None:
    """A guest who has not left and a room that is not clean enough both refuse, by their names."""
    inspected = HouseRules(ready_condition=RoomCondition.INSPECTED)
    hotel.desk().run(op.change_house_rules, rules=inspected)
    first = hotel.room_ids[0]
    set_condition(hotel, first, RoomCondition.INSPECTED)
    staying, _ = book(hotel, stay(0, 1))
    hotel.desk().run(op.check_in_guest, booking_id=staying.id, room_id=first)
    hotel.close_day()
    set_condition(hotel, first, RoomCondition.CLEAN)
    booking, _ = book(hotel, Stay(hotel.today, hotel.today + DAY))
    hotel.desk().run(op.assign_room, booking_id=booking.id, room_id=first)
    assert reasons_of(arriving(hotel, booking)) == ("room_occupied", "room_not_ready")
    hotel.desk().run(op.check_out_guest, booking_id=staying.id, unsettled_reason="later")
    assert reasons_of(arriving(hotel, booking)) == ("room_not_ready",)
    set_condition(hotel, first, RoomCondition.INSPECTED)
    assert arriving(hotel, booking) is None


def test_a_full_house_has_no_room_for_who_was_sold_beyond_it(
    core: HotelCore, clock: FixedClock
) -> None:
    """The guest who was one too many is told that there is no room."""
    hotel = open_hotel(core, clock, rooms=1)
    hotel.move_in()
    booking, _ = book(hotel, stay(0, 1), force_reason="a mistake")
    assert reasons_of(arriving(hotel, booking)) == ("no_room",)
    named = arriving(hotel, booking, hotel.room_ids[0])
    assert reasons_of(named) == ("room_occupied",)


def test_a_blocked_room_takes_no_day_use_guest(hotel: SmallHotel) -> None:
    """A day use holds no night, so a room that went out of order meanwhile is looked up."""
    booking, _ = book(hotel, stay(0, 0))
    first = hotel.room_ids[0]
    hotel.desk().run(op.assign_room, booking_id=booking.id, room_id=first)
    hotel.desk().run(
        op.block_room,
        room_id=first,
        kind=MaintenanceKind.OUT_OF_ORDER,
        period=stay(0, 1),
        reason="leak",
    )
    assert reasons_of(arriving(hotel, booking)) == ("room_not_ready",)
    assert arriving(hotel, booking, hotel.room_ids[1]) is None


@pytest.mark.parametrize("keys", [-1, 21, True, 1.0, "1"])
def test_the_number_of_keys_is_a_small_whole_number(hotel: SmallHotel, keys: int) -> None:
    """A number of keys that can only be a mistake is refused before anything is written."""
    booking, _ = book(hotel, stay(0, 1))
    before = hotel.rows()
    with pytest.raises(InvalidInput, match=r"^keys: must be a whole number"):
        hotel.desk().run(op.check_in_guest, booking_id=booking.id, keys=keys)
    assert hotel.rows() == before


@pytest.mark.parametrize("keys", [None, 0, 20])
def test_a_guest_gets_one_key_or_as_many_as_asked_for(hotel: SmallHotel, keys: int | None) -> None:
    """Not telling a number asks for one key; none at all and twenty may be asked for."""
    booking, _ = book(hotel, stay(0, 1))
    told: dict[str, Any] = {} if keys is None else {"keys": keys}
    _, issued = hotel.desk().run(op.check_in_guest, booking_id=booking.id, **told)
    assert len(issued) == (1 if keys is None else keys)


def test_twenty_one_keys_are_too_many(hotel: SmallHotel) -> None:
    """The refusal says how many there may be."""
    booking, _ = book(hotel, stay(0, 1))
    with pytest.raises(InvalidInput) as refused:
        hotel.desk().run(op.check_in_guest, booking_id=booking.id, keys=21)
    assert str(refused.value) == "keys: must be a whole number from 0 to 20"


@lives
@given(nights=st.integers(1, 4), late=st.integers(0, 3))
def test_a_late_guest_pays_the_missed_nights_at_the_check_in(
    core: HotelCore, clock: FixedClock, nights: int, late: int
) -> None:
    """Each missed night is posted once, with its own service date and the day of posting."""
    hotel = open_hotel(core, clock, rules=KEEP)
    late = min(late, nights - 1)
    arrival = hotel.today
    prices = [eur(1_000 * (n + 1)) for n in range(nights)]
    booking, folio = book(hotel, Stay(arrival, arrival + nights * DAY), nightly_prices=prices)
    for _ in range(late):
        hotel.close_day()
    hotel.check_in(booking)
    lines = hotel.lines(folio.id)
    missed = [arrival + n * DAY for n in range(late)]
    assert [(line.service_date, line.night, line.amount) for line in lines] == [
        (night, night, price) for night, price in zip(missed, prices, strict=False)
    ]
    assert {line.business_date for line in lines} <= {hotel.today}
    assert [night.posted for night in nights_of(hotel, booking)] == [
        night in missed for night in booking.stay
    ]


def test_a_missed_night_without_an_open_folio_opens_one(core: HotelCore, clock: FixedClock) -> None:
    """Where the folio was closed meanwhile, the night stands on a new one of the guest."""
    hotel = open_hotel(core, clock, rules=KEEP)
    booking, first = book(hotel, stay(0, 2))
    hotel.desk().run(op.close_folio, folio_id=first.id)
    hotel.close_day()
    hotel.check_in(booking)
    with hotel.desk().reading() as uow:
        _, second = uow.folios.of_booking(booking.id)
    assert (second.guest_id, second.balance) == (hotel.guest_id, eur(10_000))


def test_a_night_that_was_given_back_is_not_missed(core: HotelCore, clock: FixedClock) -> None:
    """Who was cancelled for a night, and comes after all, pays for the nights from then on."""
    hotel = open_hotel(core, clock, rules=KEEP)
    booking, folio = book(hotel, stay(0, 2))
    hotel.desk().run(op.cancel_booking_with_refund, booking_id=booking.id, reason="ill")
    hotel.close_day()
    hotel.desk().run(op.reinstate_booking, booking_id=booking.id)
    hotel.check_in(booking)
    assert hotel.lines(folio.id) == ()


# -- changing rooms ---------------------------------------------------------------------------


@lives
@given(nights=st.integers(1, 4), moved_after=st.integers(0, 4), keys=st.integers(0, 3))
def test_a_move_takes_the_nights_to_come_and_leaves_the_past(
    core: HotelCore, clock: FixedClock, nights: int, moved_after: int, keys: int
) -> None:
    """Past nights keep room and type, later ones change both; the keys follow the guest."""
    hotel = open_hotel(core, clock, rules=KEEP)
    _, (suite,) = add_suites(hotel)
    moved_after = min(moved_after, nights)
    arrival = hotel.today
    booking, _ = book(hotel, Stay(arrival, arrival + nights * DAY))
    before, _ = hotel.desk().run(op.check_in_guest, booking_id=booking.id, keys=keys)
    for _ in range(moved_after):
        hotel.close_day()
    after = hotel.desk().run(op.move_room, booking_id=booking.id, room_id=suite, reason="noise")
    assert (after.room_id, after.total, after.status) == (suite, booking.total, before.status)
    rooms = [night.room_id for night in nights_of(hotel, booking)]
    assert rooms == [before.room_id] * moved_after + [suite] * (nights - moved_after)
    old, new = keys_of(hotel, booking)[:keys], keys_of(hotel, booking)[keys:]
    assert all(key.revoked_at is not None for key in old)
    assert [(key.room_id, key.revoked_at) for key in new] == [(suite, None)] * keys
    assert before.room_id is not None
    assert room(hotel, before.room_id).condition is RoomCondition.DIRTY
    assert counted_units(hotel) == recounted_units(hotel)
    assert misplaced_nights(hotel) == []


def _same(hotel: SmallHotel) -> RoomId:
    return hotel.room_ids[0]


def _unknown(hotel: SmallHotel) -> RoomId:
    return RoomId(new_id())


def _dirty(hotel: SmallHotel) -> RoomId:
    set_condition(hotel, hotel.room_ids[1], RoomCondition.DIRTY)
    return hotel.room_ids[1]


def _occupied(hotel: SmallHotel) -> RoomId:
    other, _ = hotel.move_in(1)
    return room_of(hotel, other)


def _assigned(hotel: SmallHotel) -> RoomId:
    other, _ = book(hotel, stay(1, 1))
    hotel.desk().run(op.assign_room, booking_id=other.id, room_id=hotel.room_ids[1])
    return hotel.room_ids[1]


def _blocked(hotel: SmallHotel) -> RoomId:
    hotel.desk().run(
        op.block_room,
        room_id=hotel.room_ids[1],
        kind=MaintenanceKind.OUT_OF_INVENTORY,
        period=stay(1, 2),
        reason="rebuilt",
    )
    return hotel.room_ids[1]


def _full_type(hotel: SmallHotel) -> RoomId:
    suites, (suite,) = add_suites(hotel)
    hotel.desk().run(
        op.create_booking_with_folio,
        guest_id=hotel.guest_id,
        room_type_id=suites,
        stay=stay(1, 1),
    )
    return suite


def room_of(hotel: SmallHotel, booking: Booking) -> RoomId:
    """Return the room that a booking has."""
    room_id = hotel.booking(booking.id).room_id
    assert room_id is not None
    return room_id


@pytest.mark.parametrize(
    ("into", "error"),
    [
        (_same, InvalidInput),
        (_unknown, NotFound),
        (_dirty, ActionRefused),
        (_occupied, ActionRefused),
        (_assigned, RoomTaken),
        (_blocked, RoomTaken),
        (_full_type, SoldOut),
    ],
)
def test_a_move_into_a_room_that_is_not_free_changes_nothing(
    hotel: SmallHotel, into: Callable[[SmallHotel], RoomId], error: type[HotelcoreError]
) -> None:
    """The guest stays where they are when the new room cannot take them."""
    booking, _ = book(hotel, stay(0, 3))
    hotel.desk().run(op.check_in_guest, booking_id=booking.id, room_id=hotel.room_ids[0])
    target = into(hotel)
    before = hotel.rows()
    with pytest.raises(error):
        hotel.desk().run(op.move_room, booking_id=booking.id, room_id=target, reason="noise")
    assert hotel.rows() == before


def test_a_refused_move_says_what_is_wrong(hotel: SmallHotel) -> None:
    """The room that the guest is in is no other; an unfit one is refused with every reason."""
    booking, _ = book(hotel, stay(0, 3))
    hotel.desk().run(op.check_in_guest, booking_id=booking.id, room_id=hotel.room_ids[0])
    same = moving(hotel, booking, hotel.room_ids[0])
    assert str(same) == "room_id: must be another room than the guest is in"
    unfit = _occupied(hotel)
    set_condition(hotel, unfit, RoomCondition.DIRTY)
    refused = moving(hotel, booking, unfit)
    assert isinstance(refused, ActionRefused)
    assert (refused.action, refused.status) == ("move_room", "in_house")
    assert refused.reasons == ("room_occupied", "room_not_ready")


def test_the_reason_of_a_move_is_kept(hotel: SmallHotel) -> None:
    """The audit entry of a move says why, and a move without a reason is refused."""
    booking, _ = hotel.move_in(2)
    move = {"booking_id": booking.id, "room_id": hotel.room_ids[1]}
    with pytest.raises(InvalidInput, match=r"^reason:"):
        hotel.desk().run(op.move_room, reason=" ", **move)  # type: ignore[arg-type]  # a mapping of mixed values
    hotel.desk().run(op.move_room, reason="noise", **move)  # type: ignore[arg-type]  # a mapping of mixed values
    with hotel.desk().reading() as uow:
        assert uow.audit.page(AuditFilter(), limit=1).items[0].reason == "noise"


def test_the_front_desk_reports_what_it_does(hotel: SmallHotel, core: HotelCore) -> None:
    """Every arrival, change of rooms and departure is told with its rooms, day and nights."""
    booking, _ = book(hotel, stay(0, 3))
    heard = hearing(core)
    first, second = hotel.room_ids[:2]
    hotel.check_in(booking)
    hotel.desk().run(op.move_room, booking_id=booking.id, room_id=second, reason="noise")
    hotel.desk().run(op.check_out_guest, booking_id=booking.id)
    # Any: the fields that all these events share, of several types.
    whose: Any = {"hotel_id": hotel.hotel_id, "booking_id": booking.id}
    dirty: Any = {"previous": RoomCondition.CLEAN, "condition": RoomCondition.DIRTY}
    dirty |= {"hotel_id": hotel.hotel_id}
    assert [event for event in heard if not isinstance(event, fact.FolioClosed)] == [
        fact.BookingRoomAssigned(room_id=first, previous_room_id=None, **whose),
        fact.BookingCheckedIn(room_id=first, business_date=TODAY, **whose),
        fact.BookingRoomAssigned(room_id=second, previous_room_id=first, **whose),
        fact.RoomStatusChanged(room_id=first, **dirty),
        fact.RoomStatusChanged(room_id=second, **dirty),
        fact.BookingCheckedOut(room_id=second, business_date=TODAY, nights_released=3, **whose),
    ]


def test_a_room_that_is_dirty_already_is_not_reported_again(
    hotel: SmallHotel, core: HotelCore
) -> None:
    """A guest leaves a dirty room as it is: nothing changed in it."""
    booking, _ = hotel.move_in(1)
    set_condition(hotel, hotel.room_ids[0], RoomCondition.DIRTY)
    heard = hearing(core)
    hotel.desk().run(op.check_out_guest, booking_id=booking.id)
    assert not [event for event in heard if isinstance(event, fact.RoomStatusChanged)]


def test_a_booking_without_a_room_has_no_keys(hotel: SmallHotel) -> None:
    """Keys are of a room, and who has none yet is told so."""
    booking, _ = book(hotel, stay(0, 1))
    with pytest.raises(ActionRefused) as refused:
        room_in_use(booking)
    assert (refused.value.action, refused.value.status) == ("use_room", "confirmed")
    assert refused.value.reasons == ("no_room",)


def test_a_longer_stay_gets_new_keys(hotel: SmallHotel) -> None:
    """Keys end with the stay, so a new departure of a guest in house replaces them."""
    booking, _ = book(hotel, stay(0, 2))
    hotel.desk().run(op.check_in_guest, booking_id=booking.id, keys=2)
    hotel.desk().run(op.amend_stay, booking_id=booking.id, stay=stay(0, 4))
    keys = keys_of(hotel, booking)
    assert [key.revoked_at is None for key in keys] == [False, False, True, True]
    assert {key.valid_until for key in keys[2:]} == {TODAY + 4 * DAY}


def test_a_guest_in_house_keeps_the_arrival_and_leaves_today_at_the_earliest(
    hotel: SmallHotel,
) -> None:
    """Of a stay in house only the end moves, and not into the past."""
    booking, _ = hotel.move_in(3)
    hotel.close_day()
    for wrong, text in (
        (stay(1, 2), "stay: must keep the arrival of a guest in house"),
        (stay(0, 0), f"stay: must not end before the business date, {hotel.today}"),
    ):
        with pytest.raises(InvalidInput) as refused:
            hotel.desk().run(op.amend_stay, booking_id=booking.id, stay=wrong)
        assert str(refused.value) == text
    amended = hotel.desk().run(op.amend_stay, booking_id=booking.id, stay=stay(0, 1))
    assert amended.stay.departure == hotel.today
    assert counted_units(hotel) == {("DBL", str(TODAY)): (1, 0)}


# -- leaving ----------------------------------------------------------------------------------


def test_a_guest_who_owes_nothing_leaves(hotel: SmallHotel) -> None:
    """The folio closes, the keys end, the room is dirty and has its one departure task."""
    booking, folio = hotel.move_in(1)
    hotel.close_day()
    assert reasons_of(leaving(hotel, booking)) == ("balance_open",)
    hotel.pay(folio.id, 10_000)
    left, task = hotel.desk().run(op.check_out_guest, booking_id=booking.id)
    assert (left.status, left.checked_out_on) == (BookingStatus.CHECKED_OUT, TODAY + DAY)
    assert left.checked_out_at == hotel.clock.now()
    assert (left.stay, left.total) == (booking.stay, booking.total)
    assert hotel.folio(folio.id).status is FolioStatus.CLOSED
    assert all(key.revoked_at is not None for key in keys_of(hotel, booking))
    room_id = room_of(hotel, booking)
    assert room(hotel, room_id).condition is RoomCondition.DIRTY
    assert tasks_of(hotel, room_id) == (task,)
    assert (task.kind, task.status, task.due, task.booking_id) == (
        TaskKind.DEPARTURE,
        TaskStatus.OPEN,
        TODAY + DAY,
        booking.id,
    )
    assert events_of(hotel)[-3:] == ["room.statusChanged", "folio.closed", "booking.checkedOut"]
    assert reasons_of(leaving(hotel, booking)) == ("wrong_status",)


def test_a_cleaning_for_a_guest_who_left_is_cancelled(hotel: SmallHotel) -> None:
    """Nobody makes a room clean by it that the departure left dirty; other tasks stay open."""
    booking, _ = hotel.move_in(2)
    room_id, elsewhere = hotel.room_ids[:2]
    assert hotel.booking(booking.id).room_id == room_id
    desk, stay_over = hotel.desk(), TaskKind.STAY_OVER

    def task(room: RoomId, kind: TaskKind, days: int = 0) -> TaskId:
        due = hotel.today + days * DAY
        return desk.run(op.create_housekeeping_task, room_id=room, kind=kind, due=due).id

    stale = task(room_id, stay_over)
    kept = [
        task(room_id, stay_over, 1),
        task(room_id, TaskKind.INSPECTION),
        task(elsewhere, stay_over),
    ]
    done = task(room_id, stay_over)
    desk.run(op.complete_housekeeping_task, task_id=done)
    desk.run(op.check_out_guest, booking_id=booking.id)
    with desk.reading() as uow:
        found = [uow.housekeeping.get(key).status for key in (stale, done, *kept)]
    assert found == [TaskStatus.CANCELLED, TaskStatus.DONE, *[TaskStatus.OPEN] * 3]
    with pytest.raises(ActionRefused, match="task_not_open"):
        desk.run(op.complete_housekeeping_task, task_id=stale)
    with desk.reading() as uow:
        assert uow.rooms.get(room_id).condition is RoomCondition.DIRTY


def test_leaving_with_a_debt_needs_a_permitted_reason(hotel: SmallHotel) -> None:
    """A manager may let a guest go unsettled, says why, and the folio stays open for the rest."""
    booking, folio = hotel.move_in(1)
    hotel.close_day()
    leave = {"booking_id": booking.id, "unsettled_reason": "the company pays"}
    with pytest.raises(PermissionDenied, match=r"^check_out_guest with unsettled_reason needs"):
        hotel.desk(Role.RECEPTION).run(op.check_out_guest, **leave)  # type: ignore[arg-type]  # a mapping of mixed values
    hotel.desk(Role.MANAGER).run(op.check_out_guest, **leave)  # type: ignore[arg-type]  # a mapping of mixed values
    assert hotel.folio(folio.id).status is FolioStatus.OPEN
    with hotel.desk().reading() as uow:
        assert uow.audit.page(AuditFilter(), limit=1).items[0].reason == "the company pays"
    hotel.pay(folio.id, 10_000)
    hotel.desk().run(op.close_folio, folio_id=folio.id)


@lives
@given(nights=st.integers(0, 4), stayed=st.integers(0, 4))
def test_a_stay_that_ends_early_ends_on_the_business_date(
    core: HotelCore, clock: FixedClock, nights: int, stayed: int
) -> None:
    """The nights that were not used are sold again, and the booking is worth what was used."""
    hotel = open_hotel(core, clock, rooms=1)
    stayed = min(stayed, nights)
    arrival = hotel.today
    booking, folio = book(hotel, Stay(arrival, arrival + nights * DAY))
    hotel.check_in(booking)
    for _ in range(stayed):
        hotel.close_day()
    if stayed:
        hotel.pay(folio.id, 10_000 * stayed)
    left, _ = hotel.desk().run(op.check_out_guest, booking_id=booking.id)
    assert (left.stay, left.total) == (
        Stay(arrival, arrival + stayed * DAY),
        eur(10_000 * stayed),
    )
    kept = [night for night in nights_of(hotel, booking) if not night.released]
    assert [night.night for night in kept] == list(left.stay)
    assert all(night.posted for night in kept)
    assert counted_units(hotel) == {("DBL", str(night)): (1, 0) for night in left.stay}


# -- many at once -----------------------------------------------------------------------------


@pytest.mark.race
def test_guests_who_arrive_together_get_different_rooms(core: HotelCore, clock: FixedClock) -> None:
    """Every ready room is given, none twice, and who comes last is not sent to a dirty one."""
    hotel = open_hotel(core, clock, rooms=7)
    *ready, dirty = hotel.room_ids
    set_condition(hotel, dirty, RoomCondition.DIRTY)
    bookings = [book(hotel, stay(0, 2), force_reason="a coach party")[0] for _ in range(8)]
    start = Barrier(len(bookings))

    def arrive(booking: Booking) -> HotelcoreError | None:
        start.wait()
        return arriving(hotel, booking)

    with ThreadPoolExecutor(len(bookings)) as threads:
        refused = [error for error in threads.map(arrive, bookings) if error is not None]
    assert [reasons_of(error) for error in refused] == [("room_not_ready",)] * 2
    rooms = [hotel.booking(booking.id).room_id for booking in bookings]
    assert {room_id for room_id in rooms if room_id is not None} == set(ready)
    assert misplaced_nights(hotel) == []


@pytest.mark.race
def test_who_loses_one_night_of_a_room_keeps_none_of_it(core: HotelCore, clock: FixedClock) -> None:
    """Long and short stays that pick rooms at once each end in one room for all their nights."""
    hotel = open_hotel(core, clock, rooms=8)
    for round_ in range(4):
        lengths = [stay(10 * round_, 4), stay(10 * round_ + 3, 1)] * 4
        bookings = [book(hotel, of)[0] for of in lengths]
        start = Barrier(len(bookings))

        def assign(booking: Booking, start: Barrier = start) -> Booking:
            start.wait()
            return hotel.desk().run(op.assign_room, booking_id=booking.id)

        with ThreadPoolExecutor(len(bookings)) as threads:
            assigned = list(threads.map(assign, bookings))
        assert {booking.room_id for booking in assigned} == set(hotel.room_ids)
    assert misplaced_nights(hotel) == []


@pytest.mark.race
def test_two_moves_into_one_room_move_one_guest(core: HotelCore, clock: FixedClock) -> None:
    """Of two guests who want the same room one gets it, the other stays and hears why."""
    hotel = open_hotel(core, clock, rooms=3)
    guests = [hotel.move_in(2)[0] for _ in range(2)]
    (free,) = set(hotel.room_ids) - {room_of(hotel, guest) for guest in guests}
    start = Barrier(2)

    def move(booking: Booking) -> HotelcoreError | None:
        start.wait()
        return refusal(
            lambda: hotel.desk().run(
                op.move_room, booking_id=booking.id, room_id=free, reason="the view"
            )
        )

    with ThreadPoolExecutor(2) as threads:
        refused = list(threads.map(move, guests))
    assert refused.count(None) == 1
    assert isinstance(next(filter(None, refused)), RoomTaken | ActionRefused)
    assert [room_of(hotel, guest) for guest in guests].count(free) == 1
    assert misplaced_nights(hotel) == []


def test_a_revoked_key_is_audited_as_revoked(hotel: SmallHotel) -> None:
    """The entry of a check-out shows of each key only that it is revoked, not that it is new."""
    booking, _ = hotel.move_in()
    hotel.desk().run(op.check_out_guest, booking_id=booking.id)
    with hotel.desk().reading() as uow:
        entry = uow.audit.page(AuditFilter(operation="check_out_guest")).items[0]
    (change,) = [change for change in entry.changes if change.resource == "room_key"]
    assert change.before == {"revoked_at": None}
    assert isinstance(change.after, dict)
    assert set(change.after) == {"revoked_at"}
