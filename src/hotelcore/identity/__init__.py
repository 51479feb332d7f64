"""From a verified identity to an `Actor`: who acts, in which hotel, in which role.

The hotel comes from the token and from nowhere else, least of all from a request's body or path.
`hotelcore.identity.tokens` verifies a JSON Web Token; who has another verifier hands its claims
to `actor_from_claims`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar
from uuid import UUID

from attrs import Attribute, field, frozen

from hotelcore.access import Role, role_named
from hotelcore.errors import IdentityRefused, InvalidInput
from hotelcore.ids import HotelId
from hotelcore.tenancy import Actor
from hotelcore.text import clean_text

__all__ = ["ClaimNames", "actor_from_claims"]

T = TypeVar("T")


def _claim_name(_: object, attribute: Attribute[str], value: str) -> None:
    clean_text(attribute.name, value, most=200)


@frozen(kw_only=True)
class ClaimNames:
    """Under which names a token says who acts, in which hotel and in which role.

    Each has 1 to 200 characters, and no two are the same: a subject who may choose a name could
    otherwise choose a role. Raises `InvalidInput` for anything else.
    """

    subject: str = field(default="sub", validator=_claim_name)
    hotel: str = field(default="hotel_id", validator=_claim_name)
    role: str = field(default="role", validator=_claim_name)

    def __attrs_post_init__(self) -> None:
        if len({self.subject, self.hotel, self.role}) < 3:
            raise InvalidInput("names", "must be three different claims")


_STANDARD = ClaimNames()


def actor_from_claims(claims: Mapping[str, object], *, names: ClaimNames = _STANDARD) -> Actor:
    """Return the actor of whom ``claims`` speak. They must be verified already: nothing is here.

    The subject is a text of 1 to 200 characters, the hotel the text of a UUID with its hyphens, the
    role the name of one role; a role that the policy does not know is accepted, and may do nothing.
    Whatever else the claims hold is ignored.

    Raises `IdentityRefused`, which names the claim and never its value, with the reason
    ``claim_missing`` or ``claim_malformed``.
    """
    if not isinstance(claims, Mapping):
        raise IdentityRefused("claim_missing", names.subject)
    return Actor(
        subject=_read(claims, names.subject, _subject),
        hotel_id=_read(claims, names.hotel, _hotel_id),
        role=_read(claims, names.role, _role),
    )


def _read(claims: Mapping[str, object], name: str, reader: Callable[[str], T | None]) -> T:
    value = claims.get(name)
    if value is None:
        raise IdentityRefused("claim_missing", name)
    found = reader(value) if isinstance(value, str) else None
    if found is None:
        raise IdentityRefused("claim_malformed", name)
    return found


# The readers answer None instead of raising, so that the refusal has no other error behind it.


def _subject(text: str) -> str | None:
    try:
        return clean_text("subject", text, most=200)
    except InvalidInput:
        return None


def _hotel_id(text: str) -> HotelId | None:
    try:
        found = UUID(text)
    except ValueError:
        return None
    # Python reads a UUID in braces, without hyphens and more; one hotel has one spelling.
    return HotelId(found) if str(found) == text.lower() else None


def _role(text: str) -> Role | str | None:
    try:
        return role_named(text)
    except InvalidInput:
        return None
