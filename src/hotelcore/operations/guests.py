"""Guests: taking them in, correcting them, and forgetting who they were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from hotelcore.access import Permission
from hotelcore.domain.bookings import BookingStatus
from hotelcore.domain.fields import Attributes, JsonValue
from hotelcore.domain.guests import ANONYMOUS, Guest
from hotelcore.errors import ActionRefused, StaleVersion
from hotelcore.ids import GuestId
from hotelcore.lists import BookingFilter
from hotelcore.operations.declaring import operation
from hotelcore.unit_of_work import UnitOfWork

__all__ = ["add_guests", "amend_guest", "anonymise_guest", "new_guest", "register_guest"]


@operation(Permission.GUESTS_EDIT)
def register_guest(
    uow: UnitOfWork,
    *,
    last_name: str,
    first_name: str = "",
    email: str | None = None,
    phone: str | None = None,
    country: str | None = None,
    vip: bool = False,
    attributes: Mapping[str, JsonValue] | None = None,
) -> Guest:
    """Take in a new guest; a company has its name as ``last_name``.

    Names have up to 200 characters, the e-mail address 320, the phone number 50, ``country`` is
    an ISO 3166 code of up to 3. None is checked beyond that, and two guests may be alike. Raises
    `InvalidInput`, and `NotFound` for a hotel that is not registered.
    """
    guest = new_guest(
        uow,
        last_name=last_name,
        first_name=first_name,
        email=email,
        phone=phone,
        country=country,
        vip=vip,
        attributes=attributes,
    )
    with uow.together(later=True):
        add_guests(uow, [guest])
    return guest


def new_guest(
    uow: UnitOfWork,
    *,
    last_name: str,
    first_name: str,
    email: str | None,
    phone: str | None,
    country: str | None = None,
    vip: bool = False,
    attributes: Mapping[str, JsonValue] | None = None,
) -> Guest:
    """Build a guest who is not stored yet; what is told is what `register_guest` is told."""
    return Guest(
        id=GuestId(uow.new_id()),
        hotel_id=uow.hotel.id,  # read, so that a hotel that is not registered is named
        last_name=last_name,
        first_name=first_name,
        email=email,
        phone=phone,
        country=country,
        vip=vip,
        attributes=Attributes(attributes),
        created_at=uow.now(),
    )


def add_guests(uow: UnitOfWork, guests: Sequence[Guest]) -> None:
    """Store new guests and note them."""
    uow.guests.add_all(guests)
    for guest in guests:
        uow.changed("guest", guest.id, None, guest)


@operation(Permission.GUESTS_EDIT)
def amend_guest(
    uow: UnitOfWork,
    *,
    guest_id: GuestId,
    last_name: str,
    first_name: str = "",
    email: str | None = None,
    phone: str | None = None,
    country: str | None = None,
    vip: bool = False,
    attributes: Mapping[str, JsonValue] | None = None,
    version: int | None = None,
) -> Guest:
    """Replace all that is known of a guest; what is not given is emptied.

    The limits are those of `register_guest`. ``version`` is that of the guest as whoever amends
    saw it; with it nobody overwrites what they have not seen. Raises `StaleVersion` when the guest
    has another version meanwhile, and also without it when somebody else amends at the same time;
    `ActionRefused` for a guest who was anonymised (``anonymised``), `NotFound`, `InvalidInput`.
    """
    guest = uow.guests.get(guest_id)
    if version is not None and version != guest.version:
        raise StaleVersion("guest", guest.id)
    if guest.anonymised_at is not None:
        raise ActionRefused("amend_guest", ("anonymised",))
    amended = attrs.evolve(
        guest,
        last_name=last_name,
        first_name=first_name,
        email=email,
        phone=phone,
        country=country,
        vip=vip,
        attributes=Attributes(attributes),
    )
    with uow.together(later=True):
        stored = uow.guests.update(amended)
        uow.changed("guest", guest.id, guest, stored)
    return stored


_EXPECTED = frozenset(status for status in BookingStatus if status.holds_nights)


@operation(Permission.GUESTS_ANONYMISE)
def anonymise_guest(uow: UnitOfWork, *, guest_id: GuestId) -> Guest:
    """Erase who a guest was; bookings, folios and statistics keep their guest id and stay.

    Name, address data, country and the host's attributes go for good; a second call changes
    nothing. What staff wrote about the guest elsewhere, such as a task's note, is not found by
    this. Raises `ActionRefused` while the guest has a booking that is tentative, confirmed or in
    house (``booking_open``), and `NotFound`.
    """
    # Locked, so that nobody books for the guest between the question below and the end.
    guest = uow.guests.lock(guest_id)
    if guest.anonymised_at is not None:
        return guest
    open_bookings = BookingFilter(guest_id=guest.id, statuses=_EXPECTED)
    if uow.bookings.page(open_bookings, limit=1).items:
        raise ActionRefused("anonymise", ("booking_open",))
    erased = attrs.evolve(
        guest,
        last_name=ANONYMOUS,
        first_name="",
        email=None,
        phone=None,
        country=None,
        attributes=Attributes(),
        anonymised_at=uow.now(),
    )
    with uow.together(later=True):
        stored = uow.guests.erase(erased)
        uow.changed("guest", guest.id, guest, stored)
    return stored
