"""Texts of our own that are as naughty as those of the big list."""

from __future__ import annotations

__all__ = ["OUR_OWN"]

_LIKE_OURS = [
    *("hc_guest", ":acting_hotel", "%s", "%(hotel_id)s", "$1", "?", "hotelcore", "anonymised"),
    *(
        "hc_hotel'; DROP TABLE hc_guest; --",
        "/",
        "a/b/c",
        "{}",
        "{0.__class__}",
        "${jndi:ldap://x}",
    ),
]
_LIKE_CODE = [
    *("'", '"', "`", "\\", "\\u0000", "E'\\\\'", "/*", "*/", ";", "null", '{"a": 1}', "[]"),
    *("-0", "1e309"),
]
_UNSEEN = [
    *(" ", "\t", "\r\n", " a", "a ", "\u00a0", "\u2003a", "\u200b", "\ufeffa", "\u202eabc"),
    "\u2066a\u2069",
]
_NOT_STORED_EVERYWHERE = [
    *(
        "\x00",
        "NUL \x00 inside",
        "\x01",
        "\x1b[31m",
        "\x7f",
        "\x85",
        "\ud800",
        "half \udfff of a pair",
        "\ufffe",
    ),
    *("\uffff", "\U0010ffff"),
]
# One letter or two, and letters that change their length with their case.
_LETTERS = [
    *("\u00e9", "e\u0301", "\u00df", "\u0130", "\u0131", "\ufb01", "\u1fb3", "\u0149"),
    *("\u0915\u094d\u0937\u093f", "\U0001f468\u200d\U0001f469", "\U0001f3f3\ufe0f"),
]
_LONG = ["x" * 20, "x" * 21, "\u00fc" * 200, "\U0001d518" * 200, "x" * 500, "x" * 501, "x" * 10_000]

OUR_OWN = _LIKE_OURS + _LIKE_CODE + _UNSEEN + _NOT_STORED_EVERYWHERE + _LETTERS + _LONG
