"""A database under load whose server goes away, again and again."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from random import Random
from threading import Event as Flag
from threading import Lock

from attrs import define, field

from hotelcore import HotelCore, Money, Stay
from hotelcore.errors import DatabaseBusy, DatabaseFailure, LimitExceeded
from hotelcore.ids import FolioId, GuestId, RoomTypeId
from hotelcore.operations import (
    cancel_booking_with_refund,
    create_booking_with_folio,
    post_charge_to_folio,
    record_payment,
)
from hotelcore.unit_of_work import UnitOfWork
from tests.small_hotel import DAY, TODAY, SmallHotel, open_hotel
from tests.torture.server import CrashingServer

__all__ = ["Load"]

_WORKERS = 4
_FOLIOS = 8
# Seconds after which a command that found no database is repeated, and in which all must end.
_PAUSE = 0.02
_PATIENCE = 60.0


def book_and_cancel(
    uow: UnitOfWork, *, guest_id: GuestId, room_type_id: RoomTypeId, key: str
) -> str:
    """Do two commands in one transaction."""
    stay = Stay(TODAY, TODAY + DAY)
    booking, _ = create_booking_with_folio(
        uow,
        guest_id=guest_id,
        room_type_id=room_type_id,
        stay=stay,
        confirmation_number=key,
        force_reason="it is cancelled at once",
    )
    cancel_booking_with_refund(uow, booking_id=booking.id, reason="ill", waive_fee=True)
    return booking.confirmation_number


@define
class Load:
    """Some workers, each with one command after the other until told to stop or none is left."""

    hotel: SmallHotel
    folios: Sequence[FolioId]
    numbers: Iterator[int]
    acknowledged: set[int] = field(factory=set, init=False)
    repeated: int = field(default=0, init=False)
    ends: int = field(default=0, init=False)
    _stop: Flag = field(factory=Flag, init=False)
    _lock: Lock = field(factory=Lock, init=False)

    @classmethod
    @contextmanager
    def on(cls, url: str, commands: int | None = None) -> Generator[Load]:
        """Open a hotel in an empty database, for a number of commands or any number."""
        with closing(HotelCore(url)) as core:
            core.create_schema()
            hotel = open_hotel(core)
            folios = [hotel.booked(arrival=TODAY + DAY * n)[1].id for n in range(_FOLIOS)]
            numbers = itertools.count() if commands is None else iter(range(commands))
            yield cls(hotel, folios, numbers)

    def bear(
        self,
        server: CrashingServer,
        end: Callable[[], None],
        dice: Random,
        *,
        pauses: tuple[float, float],
        times: int | None = None,
    ) -> None:
        """Have the server end and start while the workers go on, some times or until they end."""
        with ThreadPoolExecutor(_WORKERS) as threads:
            workers = [threads.submit(self._work) for _ in range(_WORKERS)]
            try:
                while self.ends != times and not _all_ended(workers, dice.uniform(*pauses)):
                    end()
                    self.ends += 1
                    server.start()
            finally:
                if times is not None:
                    self._stop.set()
            for worker in workers:
                worker.result(None if times is None else _PATIENCE)

    def _work(self) -> None:
        while not self._stop.is_set():
            with self._lock:
                number = next(self.numbers, None)
            if number is None:
                return
            self._insist(number)
            with self._lock:
                self.acknowledged.add(number)

    def _insist(self, number: int) -> None:
        """Repeat a command under its key until it is acknowledged."""
        while True:
            try:
                return self._do(number)
            except (DatabaseFailure, DatabaseBusy, LimitExceeded):
                self.repeated += 1
                time_passes(_PAUSE)

    def _do(self, number: int) -> None:
        hotel, key = self.hotel, f"key-{number}"
        desk, folio_id = hotel.desk.once(key), self.folios[number % _FOLIOS]
        match number % 3:
            case 0:
                amount = Money(1 + number, "EUR")
                desk.run(post_charge_to_folio, folio_id=folio_id, code=key, amount=amount)
            case 1:
                desk.run(record_payment, folio_id=folio_id, method=key, amount=Money(7, "EUR"))
            case _:
                desk.run(
                    book_and_cancel,
                    guest_id=hotel.guest_id,
                    room_type_id=hotel.room_type_id,
                    key=key,
                )

    def check(self) -> None:
        """Assert that each acknowledged command is there once, and nothing else."""
        found: Counter[str] = Counter()
        with self.hotel.desk.reading() as uow:
            for folio_id in self.folios:
                for line in uow.folios.lines(folio_id):
                    found[line.code] += 1
            for number in self.acknowledged:
                if number % 3 == 2:
                    found[uow.bookings.by_confirmation(f"key-{number}").confirmation_number] += 1
        expected = Counter(f"key-{number}" for number in self.acknowledged)
        assert found == expected
        double = sum(number % 3 == 2 for number in self.acknowledged)
        # A hotel, a room type, rooms and a guest were commands too, and the first bookings.
        commands = 4 + _FOLIOS + len(expected) + double
        proofs = self.hotel.core.prove(self.hotel.hotel_id, commands=commands)
        assert proofs.ok, proofs


def _all_ended(workers: Sequence[Future[None]], seconds: float) -> bool:
    """Wait for some time, or until all have come to their end."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if all(worker.done() for worker in workers):
            return True
        time_passes(_PAUSE)
    return False


def time_passes(seconds: float) -> None:
    """Do nothing for a while."""
    Flag().wait(seconds)
