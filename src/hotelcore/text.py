"""The one rule for text from outside: what every supported database can store, unchanged."""

from __future__ import annotations

import re

from hotelcore.errors import InvalidInput

__all__ = ["clean_text"]

# Asked of the text itself: the codec's error would carry the text along.
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def clean_text(field: str, value: object, *, most: int, least: int = 1) -> str:
    """Return ``value`` unchanged if it is storable text of ``least`` to ``most`` characters.

    Refused with `InvalidInput`: anything but ``str``, NUL (PostgreSQL cannot store it), lone
    surrogates (not encodable as UTF-8), too short, too long, and text of nothing but white space
    where text is needed.
    """
    if not isinstance(value, str):
        raise InvalidInput(field, "must be text")
    if len(value) > most:
        raise InvalidInput(field, f"must have at most {most} characters")
    if least and not value.strip():
        raise InvalidInput(field, "must not be empty or blank")
    if len(value) < least:
        raise InvalidInput(field, f"must have at least {least} characters")
    if "\x00" in value:
        raise InvalidInput(field, "must not contain NUL")
    if not value.isascii() and _LONE_SURROGATE.search(value):
        raise InvalidInput(field, "must not contain lone surrogates")
    return value
