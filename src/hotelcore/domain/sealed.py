"""What became of sealed values when they were to be sealed anew."""

from __future__ import annotations

from attrs import frozen

from hotelcore.domain import fields

__all__ = ["Resealed"]


@frozen(kw_only=True)
class Resealed:
    """How many values were sealed anew under the current key.

    ``broken`` counts those that do not open, because they were changed or their key is missing;
    they were left as they are. ``more`` says that there are further ones, so run it again.
    """

    resealed: int = fields.count(0, fields.MOST)
    broken: int = fields.count(0, fields.MOST)
    more: bool = fields.flag()
