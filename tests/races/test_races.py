"""Whoever competes for one thing: exactly one gets it, in every round, and the others are told why.

`HOTELCORE_ROUNDS` says how many rounds each race has (20 unless told). The summary at the end of
the run gives the winners, the refusals and the times of every race.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from threading import Event as Flag
from typing import IO

import attrs
import pytest

from hotelcore import Money
from hotelcore.domain.bookings import Booking, BookingStatus
from hotelcore.domain.folios import Folio, FolioLine
from hotelcore.domain.rooms import RoomCondition
from hotelcore.operations import (
    add_room_type,
    add_rooms,
    assign_room,
    bulk_update_room_status,
    check_in_guest,
    check_out_guest,
    close_business_day,
    post_charge_to_folio,
    record_payment,
    refund_payment,
    register_guest,
)
from tests.hindrances import LONG
from tests.races.racing import RIVALS, ROUNDS, Attempt, Call, Record, Track, verdict
from tests.small_hotel import DAY, PRICE, TODAY, SmallHotel, row_counts

pytestmark = pytest.mark.race

_DESKS, _DAYS = 8, 3


@contextmanager
def books_in_order(hotel: SmallHotel, *, commands: int) -> Generator[None]:
    """Assert that the body's commands succeeded and were audited once each, and the books agree."""
    before = row_counts(hotel.core.engine)["hc_audit_log"]
    yield
    proofs = hotel.core.prove(hotel.hotel_id, commands=before + commands)
    assert proofs.ok, proofs


def with_a_type(hotel: SmallHotel, *, rooms: int) -> SmallHotel:
    """Add a type with rooms of its own; the hotel returned books and assigns those."""
    room_type = hotel.desk.run(add_room_type, code="RACE", name="Race", base_rate=PRICE)
    numbers = [f"R{number:02}" for number in range(rooms)]
    added = hotel.desk.run(add_rooms, room_type_id=room_type.id, numbers=numbers)
    return attrs.evolve(hotel, room_type_id=room_type.id, rooms=added)


def the_winner(attempts: Sequence[Attempt]) -> object:
    """Return what the only call that succeeded gave."""
    [winner] = [attempt.result for attempt in attempts if not attempt.refusal]
    return winner


def test_a_room_is_given_to_one_of_many_bookings(
    hotel: SmallHotel, rivals: Track, record: Record
) -> None:
    """Of 32 bookings that want one room on one same night, one gets it."""
    house = with_a_type(hotel, rooms=RIVALS + 1)
    wanted, *own = house.rooms
    # They begin and end on different nights, and all of them want the fourth.
    bookings = [
        house.booked(nights=1 + n % 3 + n % 2, arrival=TODAY + (3 - n % 3) * DAY)[0]
        for n in range(RIVALS)
    ]
    homes = {booking.id: room.id for booking, room in zip(bookings, own, strict=True)}

    def wish_of(booking: Booking) -> Call:
        return lambda: house.desk.run(assign_room, booking_id=booking.id, room_id=wanted.id)

    with books_in_order(hotel, commands=2 * ROUNDS):
        for _ in range(ROUNDS):
            attempts = rivals.run([wish_of(booking) for booking in bookings])
            record.add(attempts)
            winner = the_winner(attempts)
            assert isinstance(winner, Booking)
            assert winner.room_id == wanted.id
            house.desk.run(assign_room, booking_id=winner.id, room_id=homes[winner.id])
    verdict(record, winners=1, refusals={"RoomTaken": RIVALS - 1})


def test_who_wants_anothers_room_waits_for_nobody(
    hotel: SmallHotel, rivals: Track, record: Record
) -> None:
    """Of 16 pairs whose bookings want each other's rooms all are refused, and none deadlocks."""
    house = with_a_type(hotel, rooms=RIVALS)
    bookings = [house.booked(nights=2)[0] for _ in house.rooms]
    for booking, room in zip(bookings, house.rooms, strict=True):
        house.desk.run(assign_room, booking_id=booking.id, room_id=room.id)

    def wish_of(number: int) -> Call:
        wanted = house.rooms[number ^ 1]
        return lambda: house.desk.run(
            assign_room, booking_id=bookings[number].id, room_id=wanted.id
        )

    with books_in_order(hotel, commands=0):
        for _ in range(ROUNDS):
            record.add(rivals.run([wish_of(number) for number in range(RIVALS)]))
    # PostgreSQL ends a deadlock after a second, which is the longest that a call may take.
    verdict(record, winners=0, refusals={"RoomTaken": RIVALS})


@pytest.mark.parametrize("left", [1, 3])
def test_the_last_units_of_a_type_are_sold_once_each(
    hotel: SmallHotel, rivals: Track, record: Record, left: int
) -> None:
    """Of 32 bookers as many as units are left get one, on nights that nobody sold before."""
    house = with_a_type(hotel, rooms=left)
    with books_in_order(hotel, commands=left * ROUNDS):
        for number in range(ROUNDS):
            sale = partial(house.booked, nights=2, arrival=TODAY + 2 * number * DAY)
            record.add(rivals.run([sale] * RIVALS))
    assert row_counts(hotel.core.engine)["hc_booking"] == left * ROUNDS
    verdict(record, winners=left, refusals={"SoldOut": RIVALS - left})


def test_a_booking_is_checked_in_once(hotel: SmallHotel, rivals: Track, record: Record) -> None:
    """Of 32 check-ins of one booking one succeeds, and one key is issued."""
    desk, room = hotel.desk, hotel.rooms[0].id

    def check_in_of(booking: Booking) -> Call:
        return lambda: desk.run(check_in_guest, booking_id=booking.id, room_id=room)

    with books_in_order(hotel, commands=4 * ROUNDS):
        for _ in range(ROUNDS):
            booking, _ = hotel.booked()
            record.add(rivals.run([check_in_of(booking)] * RIVALS))
            with desk.reading() as uow:
                assert uow.bookings.get(booking.id).status is BookingStatus.IN_HOUSE
                assert len(uow.keys.of_booking(booking.id)) == 1
            desk.run(check_out_guest, booking_id=booking.id)
            desk.run(bulk_update_room_status, room_ids=[room], condition=RoomCondition.CLEAN)
    verdict(record, winners=1, refusals={"ActionRefused": RIVALS - 1})


def test_a_payment_is_refunded_once(hotel: SmallHotel, rivals: Track, record: Record) -> None:
    """Of 32 full refunds of one payment one succeeds, and the folio owes what it did before."""
    desk, amount = hotel.desk, Money(12_345, "EUR")
    _, folio = hotel.booked()

    def refund_of(line: FolioLine) -> Call:
        return lambda: desk.run(refund_payment, line_id=line.id, amount=amount, reason="mistaken")

    with books_in_order(hotel, commands=2 * ROUNDS):
        for _ in range(ROUNDS):
            paid = desk.run(record_payment, folio_id=folio.id, amount=amount, method="card")
            record.add(rivals.run([refund_of(paid)] * RIVALS))
    with desk.reading() as uow:
        assert uow.folios.get(folio.id).balance == Money.zero("EUR")
        assert len(uow.folios.lines(folio.id)) == 2 * ROUNDS
    verdict(record, winners=1, refusals={"AmountRefused": RIVALS - 1})


def test_an_idempotency_key_has_one_effect(
    hotel: SmallHotel, rivals: Track, record: Record
) -> None:
    """32 calls under one key all get the same guest, and the hotel has one more."""

    def call_under(key: str) -> Call:
        return lambda: hotel.desk.once(key).run(register_guest, last_name=key)

    with books_in_order(hotel, commands=ROUNDS):
        for number in range(ROUNDS):
            attempts = rivals.run([call_under(f"web-{number}")] * RIVALS)
            record.add(attempts)
            assert len({attempt.result for attempt in attempts}) == 1
    assert row_counts(hotel.core.engine)["hc_guest"] == 1 + ROUNDS
    verdict(record, winners=RIVALS, refusals={})


def test_a_day_closes_while_nobody_pauses(hotel: SmallHotel) -> None:
    """Threads that charge one after the other do not keep the night audit waiting for ever."""
    desk, closed = hotel.desk.within(wait_limit=LONG, time_limit=LONG), Flag()
    folios = [hotel.booked(arrival=TODAY + (_DAYS + n) * DAY)[1] for n in range(_DESKS)]

    def charge(folio: Folio) -> int:
        charges = 0
        while not closed.is_set():
            desk.run(post_charge_to_folio, folio_id=folio.id, code="bar", amount=PRICE)
            charges += 1
        return charges

    with ThreadPoolExecutor(_DESKS) as threads:
        charging = [threads.submit(charge, folio) for folio in folios]
        try:
            for number in range(_DAYS):
                desk.run(close_business_day, business_date=TODAY + number * DAY)
        finally:
            closed.set()
    charges = sum(worker.result() for worker in charging)
    # A hotel, its room type, its rooms and a guest were commands too.
    proofs = hotel.core.prove(hotel.hotel_id, commands=4 + _DESKS + _DAYS + charges)
    assert proofs.ok, proofs


# -- processes ----------------------------------------------------------------------------------

PROCESSES, THREADS = 4, 8


@contextmanager
def booking_process(arguments: Sequence[str], folder: Path) -> Generator[subprocess.Popen[str]]:
    """Run a process of `tests.races.bookers`, ready to book, until the body is done."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.races.bookers", *arguments],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        stdin, stdout = pipes(process)
        assert json.loads(stdout.readline()) == "ready"
        yield process
        stdin.close()
        assert process.wait() == 0


def pipes(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    """Return what the process reads and what it writes."""
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout


def ask_all(processes: Sequence[subprocess.Popen[str]], line: str) -> list[Attempt]:
    """Send a line to all processes at once and return all their threads' attempts."""
    for stdin, _ in map(pipes, processes):
        stdin.write(line + "\n")
        stdin.flush()
    answers = [json.loads(stdout.readline()) for _, stdout in map(pipes, processes)]
    return [Attempt(seconds=s, refusal=refusal) for answer in answers for s, refusal in answer]


def test_processes_do_not_sell_a_unit_twice(
    database_url: str, hotel: SmallHotel, record: Record, pytestconfig: pytest.Config
) -> None:
    """Of 32 bookers in four processes one gets the last unit of a type."""
    house = with_a_type(hotel, rooms=1)
    ids = (house.hotel_id, house.guest_id, house.room_type_id)
    arguments = [database_url, *map(str, ids), str(THREADS)]
    with books_in_order(hotel, commands=ROUNDS), ExitStack() as running:
        processes = [
            running.enter_context(booking_process(arguments, pytestconfig.rootpath))
            for _ in range(PROCESSES)
        ]
        for number in range(ROUNDS):
            night = TODAY + number * DAY
            record.add(ask_all(processes, night.isoformat()))
    verdict(record, winners=1, refusals={"SoldOut": RIVALS - 1})
