"""Whose hotel it is and who acts: the two things every command must say.

The tenant is an explicit value that travels in a handle. It is never read from the surroundings
(a context variable, a thread local), because surroundings leak between requests.
"""

from __future__ import annotations

from uuid import UUID

from attrs import field, frozen

from hotelcore.access import Role, role_named
from hotelcore.errors import InvalidInput, TenantMismatch
from hotelcore.ids import HotelId
from hotelcore.text import clean_text

__all__ = ["Actor", "same_hotel"]


def _hotel_id(value: UUID) -> HotelId:
    if not isinstance(value, UUID):
        raise InvalidInput("hotel_id", "must be a UUID")
    return HotelId(value)


def _subject(value: str) -> str:
    return clean_text("subject", value, most=200)


@frozen(kw_only=True)
class Actor:
    """Somebody who acts in one hotel: a person, a job, another system.

    ``subject`` is the stable name under which the host knows them (1 to 200 characters). It is
    written to the audit log, so give an account name rather than a person's full name. ``role``
    is a `Role`, its value, or the name of a role of the host's own (see `hotelcore.access.Policy`);
    one that the policy does not know may do nothing. Raises `InvalidInput` for anything else.
    """

    hotel_id: HotelId = field(converter=_hotel_id)
    subject: str = field(converter=_subject)
    role: Role | str = field(converter=role_named)


def same_hotel(acting: HotelId, found: HotelId | None, what: str) -> None:
    """Raise `TenantMismatch` unless ``found`` is the acting hotel: tenants meet here alone."""
    if found != acting:
        raise TenantMismatch(what)
