"""What happens to who declares or calls an operation in a way that could never work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest

from hotelcore import operations as op
from hotelcore.access import POLICY, Permission, Role
from hotelcore.clock import FixedClock
from hotelcore.core import Desk, HotelCore
from hotelcore.domain.bookings import Action, Reason
from hotelcore.domain.stays import Stay
from hotelcore.errors import (
    ActionRefused,
    AlreadyExists,
    InvalidInput,
    NotFound,
    PermissionDenied,
)
from hotelcore.ids import BookingId, HotelId
from hotelcore.operations.declaring import permission_of
from hotelcore.tenancy import Actor
from hotelcore.unit_of_work import UnitOfWork
from tests.operations.recount import commands_of
from tests.operations.small_hotel import TODAY, SmallHotel, open_hotel

# Wrong on purpose: what is tested here is refused by a type checker too.
operation: Any = op.operation


async def _later(uow: UnitOfWork) -> None:
    """Do nothing."""


def _step_by_step(uow: UnitOfWork) -> Iterator[None]:
    yield


@pytest.mark.parametrize("function", [_later, _step_by_step, None])
def test_only_a_plain_function_becomes_an_operation(function: object) -> None:
    """A coroutine function would be over before it began, so its declaration is refused."""
    with pytest.raises(InvalidInput, match=r"^function:"):
        operation(Permission.BOOKINGS_VIEW)(function)


@pytest.mark.parametrize("permission", [_later, "EVERYTHING", None, 7])
def test_only_a_permission_is_declared(permission: object) -> None:
    """A decorator without parentheses and an unknown permission are refused at once."""
    with pytest.raises(InvalidInput, match=r"^permission:"):
        operation(permission)(lambda uow: None)


def test_a_decorator_without_parentheses_is_told_what_to_write() -> None:
    """Who forgets the permission altogether is shown how to declare it."""
    with pytest.raises(InvalidInput) as refused:
        operation(lambda uow: None)
    assert str(refused.value) == "permission: is missing: write @operation(Permission.…)"


def test_a_hosts_function_becomes_an_operation(hotel: SmallHotel) -> None:
    """It is found by its name, asks for its permission, checks what it takes and is recorded."""

    @op.operation(Permission.GUESTS_EDIT)
    def greet(uow: UnitOfWork, *, name: str) -> str:
        return f"Hello {name}"

    assert op.OPERATIONS["greet"] is greet
    assert permission_of(greet) is Permission.GUESTS_EDIT
    assert hotel.desk().run(greet, name="Ada") == "Hello Ada"
    assert commands_of(hotel)[-1] == "greet"
    with pytest.raises(InvalidInput, match=r"^name: must be text$"):
        hotel.desk().run(greet, name=7)  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(PermissionDenied):
        hotel.desk(Role.GUEST).run(greet, name="Ada")


def test_what_is_no_operation_needs_no_permission() -> None:
    """A function that was never declared has no permission of its own."""
    assert permission_of(op.quote) is None


CALLS: list[Callable[[Any], object]] = [  # Any: a handle where a unit belongs
    lambda desk: op.register_guest(desk, last_name="Lovelace"),
    lambda desk: op.possible_actions(desk, booking_id=BookingId(uuid4())),
    lambda desk: op.search_availability(desk, stay=Stay(TODAY, TODAY)),
]


@pytest.mark.parametrize("call", CALLS)
def test_a_handle_is_no_unit_of_work(call: Callable[[Desk], object], hotel: SmallHotel) -> None:
    """Who calls an operation with the handle itself is told how to run it."""
    with pytest.raises(InvalidInput, match=r"^uow: must be .*desk\.run.*desk\.transaction\(\)$"):
        call(hotel.desk())


def _strangers_desk(core: HotelCore) -> Desk:
    return core.acting_as(Actor(hotel_id=HotelId(uuid4()), subject="ana", role=Role.ADMIN))


def test_a_hotel_must_be_registered_first(core: HotelCore) -> None:
    """Commands in a hotel that is not registered say so, whatever they would have written."""
    desk = _strangers_desk(core)
    for work, arguments in (
        (op.register_guest, {"last_name": "Lovelace"}),
        (op.connect_pms, {"vendor": "x", "external_hotel_id": "1"}),
        (op.expire_holds, {}),
    ):
        run: Any = desk.run  # Any: the commands differ in their arguments
        with pytest.raises(NotFound, match="not registered: run register_hotel"):
            run(work, **arguments)


def test_a_hotel_is_registered_once(hotel: SmallHotel) -> None:
    """A second registration is told that there was a first."""
    with pytest.raises(AlreadyExists, match="this hotel is registered already"):
        hotel.desk().run(
            op.register_hotel,
            name="Again",
            time_zone="Etc/UTC",
            currency="EUR",
            business_date=TODAY,
        )


@pytest.mark.parametrize("numbers", ["345", 7, [3], [""], {"1": 1}, ["x" * 21]])
def test_rooms_need_a_list_of_numbers(numbers: Any, hotel: SmallHotel) -> None:  # Any: refused here
    """A text is not taken for its letters, and no other wrong list adds a room."""
    with pytest.raises(InvalidInput, match=r"^numbers?:"):
        hotel.desk().run(op.add_rooms, room_type_id=hotel.type_id, numbers=numbers)


def test_a_refused_check_out_says_where_the_booking_stands(hotel: SmallHotel) -> None:
    """The refusal carries the booking's status, and its message says what to do."""
    booking, _ = hotel.book()
    with pytest.raises(ActionRefused, match="possible_actions") as refused:
        hotel.desk().run(op.check_out_guest, booking_id=booking.id)
    assert (refused.value.status, refused.value.reasons) == ("confirmed", ("wrong_status",))


COMMANDS: dict[Action, Callable[..., object]] = {
    Action.CONFIRM: op.confirm_booking,
    Action.AMEND: op.amend_stay,
    Action.ASSIGN_ROOM: op.assign_room,
    Action.CHECK_IN: op.check_in_guest,
    Action.MOVE_ROOM: op.move_room,
    Action.CHECK_OUT: op.check_out_guest,
    Action.CANCEL: op.cancel_booking_with_refund,
    Action.MARK_NO_SHOW: op.mark_no_show,
    Action.REINSTATE: op.reinstate_booking,
}


def test_what_a_role_may_not_do_is_not_offered(core: HotelCore, clock: FixedClock) -> None:
    """Each role but one without any rights is shown exactly the actions that it may command."""
    hotel = open_hotel(core, clock)
    booking, _ = hotel.book()
    for role in set(Role) - {Role.GUEST}:
        with hotel.desk(role).reading() as uow:
            answer = op.possible_actions(uow, booking_id=booking.id)
        for action, command in COMMANDS.items():
            permitted = permission_of(command) in POLICY.rights_of(role)
            assert (Reason.NOT_PERMITTED in answer[action]) is not permitted
