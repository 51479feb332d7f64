"""Guests of a property management system: registered, kept up to date, and never once erased."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict
from uuid import UUID

from attrs import field, frozen

from hotelcore.access import Permission
from hotelcore.domain.guests import Guest
from hotelcore.domain.pms import PmsResource
from hotelcore.events.catalogue import PmsGuestSynced
from hotelcore.ids import GuestId
from hotelcore.operations.guests import add_guests, amend_guest, new_guest
from hotelcore.operations.pms_sync.report import Hindrance
from hotelcore.operations.pms_sync.takeover import Takeover, Told
from hotelcore.pms.records import RemoteBooking, RemoteGuest

__all__ = ["GuestTakeover"]

# How many guests are made ready while those before are stored.
_AT_ONCE = 500


@frozen
class GuestTakeover:
    """The guests of one synchronisation."""

    run: Takeover
    known: dict[GuestId, Guest] = field(factory=dict)
    """Guests who stay as they are until the run ends: new ones, and those who are shared."""

    def create(self, told: Told[RemoteGuest]) -> Sequence[UUID]:
        """Register the new guests, some hundreds at once, so that those are stored meanwhile."""
        uow = self.run.uow
        uow.require(Permission.GUESTS_EDIT, "register_guest")
        guests: list[Guest] = []
        for begin in range(0, len(told.new), _AT_ONCE):
            records = told.new[begin : begin + _AT_ONCE]
            some = self.run.each(
                told, records, lambda record: new_guest(uow, **_guest_details(record))
            )
            with uow.together(later=True):
                add_guests(uow, some)
            guests += some
        self.known.update((guest.id, guest) for guest in guests)
        for record, guest in zip(told.new, guests, strict=True):
            self._report(record, guest.id)
        return [guest.id for guest in guests]

    def change(self, record: RemoteGuest, known: UUID) -> Hindrance | None:
        """Take over a guest's name and addresses; of one who was erased here nothing is kept."""
        guest = self.run.uow.guests.get(GuestId(known))
        if guest.anonymised_at is not None:
            return Hindrance.ANONYMISED
        amend_guest(
            self.run.uow,
            guest_id=guest.id,
            country=guest.country,
            vip=guest.vip,
            attributes=guest.attributes,
            **_guest_details(record),
        )
        self._report(record, guest.id)
        return None

    def share(self, guest_ids: set[GuestId]) -> None:
        """Have guests stay as they are until the run ends, those who are not new in it."""
        shared = self.run.uow.guests.share_all(guest_ids.difference(self.known))
        self.known.update((guest.id, guest) for guest in shared)

    def id_of(self, record: RemoteBooking) -> GuestId:
        """Return our id of the guest of a booking there."""
        named_by = f"{PmsResource.BOOKING} {record.external_id}"
        known = self.run.here(PmsResource.GUEST, record.guest_external_id, named_by=named_by)
        return GuestId(known)

    def _report(self, record: RemoteGuest, guest_id: GuestId) -> None:
        uow = self.run.uow
        uow.emit(
            PmsGuestSynced(hotel_id=uow.hotel_id, guest_id=guest_id, external_id=record.external_id)
        )


class _GuestDetails(TypedDict):
    last_name: str
    first_name: str
    email: str | None
    phone: str | None


def _guest_details(record: RemoteGuest) -> _GuestDetails:
    return {
        "last_name": record.last_name,
        "first_name": record.first_name,
        "email": record.email,
        "phone": record.phone,
    }
