"""What a command is for, as its help says it."""

from __future__ import annotations

__all__ = ["sentence"]


def sentence(purpose: str) -> str:
    """Return a purpose as a sentence; the names in it keep their capitals."""
    return f"{purpose[:1].upper()}{purpose[1:]}."
