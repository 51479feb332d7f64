"""Guests, and the normal forms under which they are found again."""

from __future__ import annotations

import unicodedata
from datetime import datetime

from attrs import frozen

from hotelcore.domain import fields
from hotelcore.ids import GuestId, HotelId

__all__ = ["ANONYMOUS", "Guest", "email_key", "name_key", "phone_key"]

ANONYMOUS = "anonymised"
"""The name that stands where a guest's own was erased."""


def name_key(name: str) -> str:
    """Fold a name for search: case, compatibility forms and accents do not matter."""
    # What a compatibility form stands for has a case of its own: a script A is an A.
    plain = unicodedata.normalize("NFKD", name).casefold()
    decomposed = unicodedata.normalize("NFKD", plain)
    return " ".join("".join(c for c in decomposed if not unicodedata.combining(c)).split())


def email_key(email: str) -> str:
    """Fold an e-mail address for search; providers treat its case as equal."""
    return unicodedata.normalize("NFC", email.strip().casefold())


def phone_key(phone: str) -> str:
    """Keep the digits of a phone number, whatever their script or spacing.

    A text without digits is no number: its key is empty, and nobody is found by that.
    """
    return "".join(str(unicodedata.decimal(c)) for c in phone if c.isdecimal())


@frozen(kw_only=True)
class Guest:
    """A person or company that books or stays. All texts are as given, up to their limits."""

    id: GuestId = fields.identifier()
    hotel_id: HotelId = fields.identifier()
    last_name: str = fields.text(200, personal=True)
    first_name: str = fields.text(200, least=0, personal=True)
    email: str | None = fields.text(320, optional=True, personal=True)
    phone: str | None = fields.text(50, optional=True, personal=True)
    country: str | None = fields.text(3, optional=True, personal=True)
    vip: bool = fields.flag()
    attributes: fields.Attributes = fields.attributes(personal=True)
    created_at: datetime = fields.instant()
    anonymised_at: datetime | None = fields.instant(optional=True)
    version: int = fields.version()

    def __repr__(self) -> str:
        """Show no personal data: reprs end up in logs."""
        return f"Guest(id={self.id!r})"
