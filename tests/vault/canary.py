"""The word that must not come out, and where to look for it."""

from __future__ import annotations

import traceback
from pathlib import Path

__all__ = ["CANARY", "shown", "traced"]

CANARY = "canary-Xq7vB2mK9tWz"
"""A secret that stands nowhere but in the secrets of these tests."""

_TESTS = str(Path(__file__).parent)


def shown(error: BaseException | None) -> str:
    """Return all texts of an error and of the errors behind it."""
    if error is None:
        return ""
    own = f"{error} {error!r} {error.args} {vars(error)}"
    return f"{own} {shown(error.__cause__)} {shown(error.__context__)}"


def traced(error: BaseException) -> str:
    """Return these texts, with every local variable of the traceback's frames.

    Those of tests are left out: they hold the word by right.
    """
    texts, links = [shown(error)], [error]
    while links:
        link = links.pop()
        for frame, _ in traceback.walk_tb(link.__traceback__):
            if not frame.f_code.co_filename.startswith(_TESTS):
                texts += map(_text_of, frame.f_locals.values())
        links += [other for other in (link.__cause__, link.__context__) if other is not None]
    return " ".join(texts)


def _text_of(value: object) -> str:
    try:
        return repr(value)
    except AttributeError:  # it is still being built
        return ""
