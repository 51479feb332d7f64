"""What a busy hotel's day has: one step after the other, each with the ids that others use too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from random import Random

from hotelcore import Money, Stay
from hotelcore.domain.bookings import Booking, BookingStatus
from hotelcore.domain.hotels import HouseRules, OverdueDeparture, UnresolvedArrival
from hotelcore.domain.housekeeping import TaskKind, TaskStatus
from hotelcore.domain.rooms import MaintenanceKind, RoomCondition
from hotelcore.errors import BusinessDayBlocked
from hotelcore.ids import BookingId, GuestId, RoomTypeId
from hotelcore.lists import (
    AuditFilter,
    BookingFilter,
    FolioFilter,
    GuestFilter,
    RoomFilter,
    TaskFilter,
)
from hotelcore.operations import (
    add_room_type,
    add_rooms,
    amend_guest,
    amend_stay,
    assign_room,
    assign_rooms,
    block_room,
    bulk_update_room_status,
    cancel_booking_with_refund,
    change_house_rules,
    check_in_guest,
    check_out_guest,
    close_business_day,
    close_folio,
    complete_housekeeping_task,
    confirm_booking,
    create_booking_with_folio,
    create_housekeeping_task,
    expire_holds,
    grant_allowance,
    mark_no_show,
    move_charge,
    move_room,
    open_folio,
    possible_actions,
    post_charge_to_folio,
    quote,
    record_payment,
    refund_payment,
    register_guest,
    reinstate_booking,
    release_room,
    search_availability,
    void_charge,
)
from hotelcore.unit_of_work import UnitOfWork
from tests.races.mixing import EXPECTED, House, Step, one_of
from tests.small_hotel import DAY, PRICE

__all__ = ["RULES", "STEPS", "close_the_day", "furnish"]

_TYPES, _ROOMS, _GUESTS = 3, 8, 12

RULES = (
    HouseRules(overdue_departure=OverdueDeparture.EXTEND),
    HouseRules(unresolved_arrival=UnresolvedArrival.KEEP),
    HouseRules(
        unresolved_arrival=UnresolvedArrival.BLOCK, overdue_departure=OverdueDeparture.EXTEND
    ),
)
"""The houses differ in what their night audits decide by themselves."""


def furnish(house: House, rules: HouseRules) -> None:
    """Give a new hotel its rules, its types with rooms, and guests."""
    house.run(change_house_rules, rules=rules)
    for number in range(_TYPES):
        room_type = house.run(add_room_type, code=f"T{number}", name="Type", base_rate=PRICE)
        house.types.append(room_type.id)
        numbers = [f"{number + 1}{room:02}" for room in range(_ROOMS)]
        rooms = house.run(add_rooms, room_type_id=room_type.id, numbers=numbers)
        house.rooms += [room.id for room in rooms]
    for number in range(_GUESTS):
        house.guests.put(house.run(register_guest, last_name=f"Guest {number}").id)


# -- what a step needs ----------------------------------------------------------------------------


def _stay(house: House, dice: Random) -> Stay:
    arrival = house.today + dice.choice([0, 0, 0, 1, 1, 2, 3, 4]) * DAY
    return Stay(arrival, arrival + dice.choice([0, 1, 1, 1, 2, 2, 3, 4]) * DAY)


def _amount(dice: Random) -> Money:
    return Money(dice.randint(1, 20_000), "EUR")


def _chance(dice: Random, percent: int) -> str | None:
    """Return a reason to override a rule, in so many of a hundred cases."""
    return "the manager says so" if dice.randrange(100) < percent else None


def _one(house: House, dice: Random, which: BookingFilter) -> Booking:
    """Look into a list, as a desk does that waits for a guest, and return one booking of it."""
    with house.reading() as uow:
        return one_of(uow.bookings.page(which).items, dice)


def _due_in(house: House) -> BookingFilter:
    return BookingFilter(statuses=frozenset({BookingStatus.CONFIRMED}), arriving_until=house.today)


def _in_house(house: House) -> BookingFilter:
    return BookingFilter(statuses=frozenset({BookingStatus.IN_HOUSE}))


def _due_out(house: House) -> BookingFilter:
    return BookingFilter(statuses=frozenset({BookingStatus.IN_HOUSE}), departing_until=house.today)


# -- bookings -------------------------------------------------------------------------------------


def _book(house: House, dice: Random) -> None:
    booking, folio = house.run(
        create_booking_with_folio,
        guest_id=house.guests.draw(dice),
        room_type_id=dice.choice(house.types),
        stay=_stay(house, dice),
        force_reason=_chance(dice, 3),
    )
    house.bookings.put(booking.id)
    house.folios.put(folio.id)


def _hold(house: House, dice: Random) -> None:
    with house.reading() as uow:
        until = uow.now() + dice.choice([timedelta(milliseconds=200), timedelta(hours=1)])
    booking, folio = house.run(
        create_booking_with_folio,
        guest_id=house.guests.draw(dice),
        room_type_id=dice.choice(house.types),
        stay=_stay(house, dice),
        hold_until=until,
    )
    house.bookings.put(booking.id)
    house.folios.put(folio.id)
    if dice.random() < 0.6:
        house.run(confirm_booking, booking_id=booking.id)


def _confirm(house: House, dice: Random) -> None:
    house.run(confirm_booking, booking_id=house.bookings.draw(dice))


def _expire(house: House, dice: Random) -> None:
    house.run(expire_holds, limit=dice.randint(1, 10))


def _amend(house: House, dice: Random) -> None:
    house.run(
        amend_stay,
        booking_id=house.bookings.draw(dice),
        stay=_stay(house, dice),
        force_reason=_chance(dice, 3),
    )


def _extend(house: House, dice: Random) -> None:
    booking = _one(house, dice, _in_house(house))
    departure = max(booking.stay.departure, house.today) + dice.choice([-1, 1, 1, 2]) * DAY
    house.run(amend_stay, booking_id=booking.id, stay=Stay(booking.stay.arrival, departure))


def _assign(house: House, dice: Random) -> None:
    house.run(
        assign_room,
        booking_id=house.bookings.draw(dice),
        room_id=dice.choice([None, dice.choice(house.rooms)]),
        force_reason=_chance(dice, 3),
    )


def _assign_all(house: House, dice: Random) -> None:
    until = house.today + dice.randint(0, 2) * DAY
    house.run(assign_rooms, room_type_id=dice.choice(house.types), arriving_until=until)


def _cancel(house: House, dice: Random) -> None:
    house.run(
        cancel_booking_with_refund,
        booking_id=house.bookings.draw(dice),
        reason="ill",
        waive_fee=dice.random() < 0.3,
    )


def _miss(house: House, dice: Random) -> None:
    due = BookingFilter(
        statuses=frozenset({BookingStatus.CONFIRMED}), arriving_until=house.today - DAY
    )
    house.run(mark_no_show, booking_id=_one(house, dice, due).id)


def _reinstate(house: House, dice: Random) -> None:
    ended = BookingFilter(
        statuses=frozenset({BookingStatus.CANCELLED, BookingStatus.NO_SHOW}),
        departing_from=house.today,
    )
    booking_id = _one(house, dice, ended).id
    house.run(reinstate_booking, booking_id=booking_id, force_reason=_chance(dice, 3))


# -- the front desk -------------------------------------------------------------------------------


def walk_in(
    uow: UnitOfWork, *, guest_id: GuestId, room_type_id: RoomTypeId, stay: Stay
) -> BookingId:
    """Book a guest who stands at the desk and check them in, in one transaction."""
    booking, _ = create_booking_with_folio(
        uow, guest_id=guest_id, room_type_id=room_type_id, stay=stay
    )
    check_in_guest(uow, booking_id=booking.id)
    return booking.id


def _walk_in(house: House, dice: Random) -> None:
    stay = Stay(house.today, house.today + dice.randint(0, 3) * DAY)
    house.bookings.put(
        house.run(
            walk_in,
            guest_id=house.guests.draw(dice),
            room_type_id=dice.choice(house.types),
            stay=stay,
        )
    )
    house.count(1)  # they were two commands in one call


def _check_in(house: House, dice: Random) -> None:
    booking = _one(house, dice, _due_in(house))
    room_id = dice.choice([None, None, None, dice.choice(house.rooms)])
    house.run(check_in_guest, booking_id=booking.id, room_id=room_id, keys=dice.randint(0, 3))
    house.bookings.put(booking.id)


def _move(house: House, dice: Random) -> None:
    booking = _one(house, dice, _in_house(house))
    room_id = dice.choice(house.rooms)
    house.run(move_room, booking_id=booking.id, room_id=room_id, reason="noise")


def _check_out(house: House, dice: Random) -> None:
    """Let a guest pay and go; now and then one goes who has not paid, or goes early."""
    which = _due_out(house) if dice.random() < 0.8 else _in_house(house)
    booking = _one(house, dice, which)
    with house.reading() as uow:
        folios = uow.folios.of_booking(booking.id)
    for folio in folios:
        if folio.balance.minor > 0:
            house.run(record_payment, folio_id=folio.id, amount=folio.balance, method="card")
    house.run(check_out_guest, booking_id=booking.id, unsettled_reason=_chance(dice, 40))


# -- money ----------------------------------------------------------------------------------------


def _charge(house: House, dice: Random) -> None:
    line = house.run(
        post_charge_to_folio,
        folio_id=house.folios.draw(dice),
        code="bar",
        amount=_amount(dice),
    )
    house.charges.put(line.id)


def _pay(house: House, dice: Random) -> None:
    folio_id = house.folios.draw(dice)
    line = house.run(record_payment, folio_id=folio_id, amount=_amount(dice), method="card")
    house.payments.put(line.id)


def _settle(house: House, dice: Random) -> None:
    """Bring a folio to zero and close it."""
    folio_id = house.folios.draw(dice)
    with house.reading() as uow:
        balance = uow.folios.get(folio_id).balance
    if balance.minor > 0:
        house.run(record_payment, folio_id=folio_id, amount=balance, method="cash")
    house.run(close_folio, folio_id=folio_id)


def _refund(house: House, dice: Random) -> None:
    line_id = house.payments.draw(dice)
    house.run(refund_payment, line_id=line_id, amount=_amount(dice), reason="mistaken")


def _allow(house: House, dice: Random) -> None:
    line_id = house.charges.draw(dice)
    house.run(grant_allowance, line_id=line_id, amount=_amount(dice), reason="cold soup")


def _void(house: House, dice: Random) -> None:
    house.run(void_charge, line_id=house.charges.draw(dice), reason="mistaken")


def _move_charge(house: House, dice: Random) -> None:
    to_folio_id = house.folios.draw(dice)
    _, entered = house.run(move_charge, line_id=house.charges.draw(dice), to_folio_id=to_folio_id)
    house.charges.put(entered.id)


def _open_folio(house: House, dice: Random) -> None:
    house.folios.put(house.run(open_folio, booking_id=house.bookings.draw(dice)).id)


# -- rooms and house work -------------------------------------------------------------------------


def _block(house: House, dice: Random) -> None:
    begin = house.today + dice.randint(0, 3) * DAY
    blocked = house.run(
        block_room,
        room_id=dice.choice(house.rooms),
        kind=dice.choice(list(MaintenanceKind)),
        period=Stay(begin, begin + dice.randint(1, 2) * DAY),
        reason="paint",
        force_reason=_chance(dice, 10),
    )
    house.periods.put(blocked.id)


def _release(house: House, dice: Random) -> None:
    house.run(release_room, maintenance_id=house.periods.draw(dice))


def _clean(house: House, dice: Random) -> None:
    conditions = [RoomCondition.CLEAN] * 3 + [RoomCondition.INSPECTED, RoomCondition.DIRTY]
    rooms = dice.sample(house.rooms, dice.randint(1, 6))
    house.run(bulk_update_room_status, room_ids=rooms, condition=dice.choice(conditions))


def _task(house: House, dice: Random) -> None:
    task = house.run(
        create_housekeeping_task,
        room_id=dice.choice(house.rooms),
        kind=dice.choice(list(TaskKind)),
        priority=dice.randint(1, 9),
    )
    house.tasks.put(task.id)


def _work(house: House, dice: Random) -> None:
    """Complete a task: one that was just made, or one from the list."""
    if dice.random() < 0.3:
        task_id = house.tasks.draw(dice)
    else:
        with house.reading() as uow:
            page = uow.housekeeping.page(TaskFilter(status=TaskStatus.OPEN))
        task_id = one_of(page.items, dice).id
    house.run(complete_housekeeping_task, task_id=task_id)


# -- guests ---------------------------------------------------------------------------------------


def _register(house: House, dice: Random) -> None:
    house.guests.put(house.run(register_guest, last_name=f"Guest {dice.random()}").id)


def _amend_guest(house: House, dice: Random) -> None:
    house.run(amend_guest, guest_id=house.guests.draw(dice), last_name="Other", vip=True)


# -- questions ------------------------------------------------------------------------------------


def _search(house: House, dice: Random) -> None:
    stay = Stay(house.today, house.today + dice.randint(1, 14) * DAY)
    with house.reading() as uow:
        search_availability(uow, stay=stay)


def _quote(house: House, dice: Random) -> None:
    with house.reading() as uow:
        asked = quote(uow, room_type_id=dice.choice(house.types), stay=_stay(house, dice))
    assert asked.total == PRICE * len(asked.nights)


def _ask(house: House, dice: Random) -> None:
    with house.reading() as uow:
        possible_actions(uow, booking_id=house.bookings.draw(dice))


_LISTS: tuple[Callable[[UnitOfWork], object], ...] = (
    lambda uow: uow.bookings.page(BookingFilter()),
    lambda uow: uow.folios.page(FolioFilter(unsettled=True)),
    lambda uow: uow.rooms.page(RoomFilter()),
    lambda uow: uow.guests.page(GuestFilter(last_name="Guest")),
    lambda uow: uow.housekeeping.page(TaskFilter()),
    lambda uow: uow.audit.page(AuditFilter()),
)


def _list(house: House, dice: Random) -> None:
    with house.reading() as uow:
        dice.choice(_LISTS)(uow)


def _stranger(house: House, dice: Random) -> None:
    """Ask for what is another hotel's."""
    house.run(confirm_booking, booking_id=house.strangers.draw(dice))


# -- the night ------------------------------------------------------------------------------------


def close_the_day(house: House) -> None:
    """Close the business day; what stops it is settled, and then it is tried again."""
    for _ in range(3):
        try:
            day = house.run(close_business_day, business_date=house.today)
        except BusinessDayBlocked as blocked:
            for reason in blocked.reasons:
                with suppress(*EXPECTED):  # somebody else may have seen to it
                    _settle_matter(house, *reason.split())
        else:
            house.turn_to(day.date + DAY)
            return


def _settle_matter(house: House, matter: str, number: str) -> None:
    with house.reading() as uow:
        booking_id = uow.bookings.by_confirmation(number).id
    if matter == "no_open_folio":
        house.run(open_folio, booking_id=booking_id)
    elif matter == "arrival_unresolved":
        house.run(cancel_booking_with_refund, booking_id=booking_id, reason="did not come")
    else:
        house.run(check_out_guest, booking_id=booking_id, unsettled_reason="left at night")


STEPS: Mapping[Step, int] = {
    _book: 14,
    _hold: 5,
    _walk_in: 3,
    _confirm: 3,
    _expire: 1,
    _amend: 6,
    _extend: 3,
    _assign: 6,
    _assign_all: 1,
    _cancel: 5,
    _miss: 1,
    _reinstate: 2,
    _check_in: 10,
    _move: 3,
    _check_out: 9,
    _charge: 12,
    _pay: 8,
    _settle: 3,
    _refund: 3,
    _allow: 3,
    _void: 3,
    _move_charge: 4,
    _open_folio: 3,
    _block: 2,
    _release: 2,
    _clean: 5,
    _task: 3,
    _work: 6,
    _register: 1,
    _amend_guest: 2,
    _search: 5,
    _quote: 2,
    _ask: 3,
    _list: 5,
    _stranger: 1,
}
"""The steps, each with how often it comes compared with the others."""
