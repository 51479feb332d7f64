"""A process that writes: it goes through its plan, and repeats what was left unfinished there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event as Flag

from attrs import frozen
from sqlalchemy.exc import DBAPIError

from hotelcore import Actor, HotelCore, Money, Role
from hotelcore.core import Desk
from hotelcore.domain.folios import FolioLine
from hotelcore.errors import DatabaseBusy, DatabaseFailure, LimitExceeded
from hotelcore.ids import FolioId
from hotelcore.operations import post_charge_to_folio, record_payment, void_charge
from hotelcore.unit_of_work import UnitOfWork
from tests.torture.notes import Notes, note_at_work, noted
from tests.torture.scenes import Call, Deed, Scene

__all__ = ["BEGUN", "DONE", "main", "notes_of"]

BEGUN, DONE = "begun", "done"

# Seconds after which a call that found no database is repeated.
_PAUSE = 0.05


def notes_of(folder: Path, writer: int) -> Path:
    """Return the file in which a writer notes what it begins and what is done."""
    return folder / f"writer-{writer}.notes"


def main(folder: Path, number: int) -> None:
    """Do what is left of the plan."""
    scene, path = Scene.stored(folder), notes_of(folder, number)
    done, notes = noted(path).count(DONE), Notes(path)
    core = HotelCore(scene.url)
    note_at_work(folder)
    for call in scene.plan(number)[done:]:
        notes.add(BEGUN)
        _do(core, call)
        notes.add(DONE)
    core.close()


def _do(core: HotelCore, call: Call) -> None:
    """Do it until it is known to be done; what may have been done already has no second effect."""
    actor = Actor(hotel_id=call.house.hotel_id, subject="writer", role=Role.ADMIN)
    while True:
        try:
            return _DEEDS[call.deed](_Hand(core, core.acting_as(actor), call))
        except (DatabaseFailure, DatabaseBusy, LimitExceeded, DBAPIError):
            Flag().wait(_PAUSE)


@frozen
class _Hand:
    core: HotelCore
    desk: Desk
    call: Call

    @property
    def amount(self) -> Money:
        return Money(self.call.minor, "EUR")

    def charge(self) -> None:
        call = self.call
        self.desk.once(call.key).run(
            post_charge_to_folio, folio_id=call.folio_id, code=call.key, amount=self.amount
        )

    def pay(self) -> None:
        call = self.call
        self.desk.once(call.key).run(
            record_payment, folio_id=call.folio_id, method=call.key, amount=self.amount
        )

    def correct(self) -> None:
        call = self.call
        self.desk.once(call.key).run(
            charge_and_void, folio_id=call.folio_id, code=call.key, amount=self.amount
        )

    def err(self) -> None:
        call = self.call
        with self.core.engine.connect() as connection, connection.begin() as transaction:
            with self.desk.joining(connection) as uow:
                post_charge_to_folio(uow, folio_id=call.folio_id, code=call.key, amount=self.amount)
            # The event is written by now.
            transaction.rollback()


_DEEDS: Mapping[Deed, Callable[[_Hand], None]] = {
    Deed.CHARGE: _Hand.charge,
    Deed.PAYMENT: _Hand.pay,
    Deed.CORRECTION: _Hand.correct,
    Deed.MISTAKE: _Hand.err,
}


def charge_and_void(uow: UnitOfWork, *, folio_id: FolioId, code: str, amount: Money) -> FolioLine:
    """Report two events in one transaction."""
    line = post_charge_to_folio(uow, folio_id=folio_id, code=code, amount=amount)
    return void_charge(uow, line_id=line.id, reason="mistaken")
