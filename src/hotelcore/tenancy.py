"""Whose hotel it is and who acts: the two things every command must say.

The tenant is an explicit value that travels in a handle. It is never read from the surroundings
(a context variable, a thread local), because surroundings leak between requests.
"""

from __future__ import annotations

from uuid import UUID

from attrs import field, frozen

from hotelcore.access import Role
from hotelcore.errors import InvalidInput, TenantMismatch
from hotelcore.ids import HotelId
from hotelcore.text import clean_text

__all__ = ["Actor", "same_hotel"]


def _hotel_id(value: UUID) -> HotelId:
    if not isinstance(value, UUID):
        raise InvalidInput("hotel_id", "must be a UUID")
    return HotelId(value)


def _role(value: str) -> Role:
    try:
        return Role(value)
    except ValueError:
        raise InvalidInput("role", f"must be one of {', '.join(Role)}") from None


def _subject(value: str) -> str:
    return clean_text("subject", value, most=200)


@frozen(kw_only=True)
class Actor:
    """Somebody who acts in one hotel: a person, a job, another system.

    ``subject`` is the stable name under which the host knows them (1 to 200 characters). It is
    written to the audit log, so give an account name rather than a person's full name. ``role``
    is a `Role` or its value. Raises `InvalidInput` for anything else.
    """

    hotel_id: HotelId = field(converter=_hotel_id)
    subject: str = field(converter=_subject)
    role: Role = field(converter=_role)


def same_hotel(acting: HotelId, found: HotelId | None, what: str) -> None:
    """Raise `TenantMismatch` unless ``found`` is the acting hotel: tenants meet here alone."""
    if found != acting:
        raise TenantMismatch(what)
