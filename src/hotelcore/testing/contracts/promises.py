"""What all contracts share: a check that fails says in plain words which promise was broken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from inspect import signature
from typing import ParamSpec, TypeVar

from hotelcore.errors import HotelcoreError

__all__ = ["PromiseBroken", "promise", "promises_of", "refusal", "run_checks", "told"]

P = ParamSpec("P")
E = TypeVar("E", bound=HotelcoreError)

_WORDS = "__promise__"


class PromiseBroken(AssertionError):
    """An implementation did not keep a promise: ``promise`` says which, ``seen`` what it did."""

    def __init__(self, promise: str, seen: str) -> None:
        super().__init__(promise, seen)
        self.promise = promise
        self.seen = seen

    def __str__(self) -> str:
        return f"Promise broken: {self.promise} {self.seen}"


def promise(words: str) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Make a method the check of one promise; whatever fails in it is raised as `PromiseBroken`.

    ``words`` are a whole sentence. The method asserts, with a message that is one too.
    """

    def declare(check: Callable[P, None]) -> Callable[P, None]:
        @wraps(check)
        def kept(*args: P.args, **kwargs: P.kwargs) -> None:
            __tracebackhide__ = True  # pytest shows the line of the check, not this one
            try:
                check(*args, **kwargs)
            except AssertionError as failed:
                raise PromiseBroken(words, str(failed)) from failed
            except Exception as error:
                raise PromiseBroken(words, f"It raised {_named(error)}: {error}") from error

        setattr(kept, _WORDS, words)
        kept.__doc__ = f"{words}\n\n{check.__doc__}"  # so that the reference says it too
        return kept

    return declare


def promises_of(contract: type) -> Mapping[str, str]:
    """Return what a contract promises, by the names of its checks."""
    checks = {name: getattr(contract, name) for name in dir(contract) if name.startswith("test_")}
    return {name: str(getattr(check, _WORDS)) for name, check in checks.items()}


def run_checks(contract: object, **fixtures: object) -> None:
    """Run every check of a contract without pytest; `PromiseBroken` at the first that fails.

    ``fixtures`` are what pytest would give the checks by these names: each gets those it asks for.
    """
    for name in promises_of(type(contract)):
        check = getattr(contract, name)
        check(**{asked: fixtures[asked] for asked in signature(check).parameters})


def refusal(kind: type[E], work: Callable[[], object], what: str) -> E:
    """Return the error of ``kind`` that ``work`` raises; ``what`` names in words what it tries."""
    try:
        work()
    except kind as expected:
        return expected
    except AssertionError:
        raise
    except Exception as other:
        raise AssertionError(f"{what} raised {_named(other)} and not {kind.__name__}.") from other
    raise AssertionError(f"{what} raised nothing, where {kind.__name__} is due.")


def told(error: BaseException) -> str:
    """Return all that an error says, and that those behind it say where it is printed or logged."""
    texts = []
    link: BaseException | None = error
    while link is not None:
        texts.append(f"{link} {link!r} {link.args} {vars(link)}")
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return "\n".join(texts)


def _named(error: Exception) -> str:
    return type(error).__name__
