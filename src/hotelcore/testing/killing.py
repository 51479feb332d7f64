"""Kills a process while it works, and tells what it had said was done.

The process is a child that runs a function of yours. It is killed from outside at a moment, or by
itself at a call of the driver's (`hotelcore.testing.Fault` with ``kill``), in both cases so that
nothing of it can tidy up. What it acknowledged was said before that, so it must be there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection

from attrs import frozen

__all__ = ["Ending", "Witness", "kill_during"]

_SPAWNING = get_context("spawn")

# Seconds after which a child that says nothing more hangs.
_PATIENCE = 120.0

_READY, _BEGUN, _DONE = "ready", "begun", "done"


@frozen
class Ending:
    """What a child had begun and acknowledged, in order, and whether it was ``killed``.

    It was not if it had come to its own end before.
    """

    begun: tuple[str, ...]
    done: tuple[str, ...]
    killed: bool


@frozen
class Witness:
    """Through which the child tells what it does; what was said outlives it.

    Say `begun` before a command and `done` when it has returned, both with its idempotency key.
    """

    _mouth: Connection

    def ready(self) -> None:
        """Say that the work begins: the time until the kill counts from here."""
        self._mouth.send((_READY, ""))

    def begun(self, label: str) -> None:
        """Say that a command is about to be given."""
        self._mouth.send((_BEGUN, label))

    def done(self, label: str) -> None:
        """Acknowledge a command: whoever hears this relies on it."""
        self._mouth.send((_DONE, label))


def kill_during(
    work: Callable[..., object],  # called with a `Witness` and the ``arguments``
    *arguments: object,
    seconds: float | None = None,
) -> Ending:
    """Run ``work(witness, *arguments)`` in a new process and kill it ``seconds`` after `ready`.

    Without ``seconds`` nobody kills it: it ends by itself, or by a fault that kills. ``work`` must
    be a function of a module and the arguments must be picklable, since the process is spawned.
    Raises `AssertionError` if the child fails on its own account or hangs.
    """
    ears, mouth = _SPAWNING.Pipe(duplex=False)
    process = _SPAWNING.Process(target=_play, args=(mouth, work, arguments))
    with ears:
        process.start()
        mouth.close()  # the child's own is the only one now, so its death is the end of the pipe
        try:
            said, over = _listen(ears, seconds)
            process.kill() if not over else process.join(_PATIENCE)
            said += _listen(ears, None)[0] if not over else []
        finally:
            process.kill()
            process.join()
            code = process.exitcode
            process.close()
    assert code is not None
    assert code <= 0, f"the child failed, exit code {code}: see its standard error"
    return Ending(_labels(said, _BEGUN), _labels(said, _DONE), killed=code < 0)


def _play(mouth: Connection, work: Callable[..., object], arguments: Sequence[object]) -> None:
    work(Witness(mouth), *arguments)


Saying = tuple[str, str]


def _listen(ears: Connection, seconds: float | None) -> tuple[list[Saying], bool]:
    """Hear the child until it is gone, or until ``seconds`` after it was ready."""
    said: list[Saying] = []
    end, ready = time.monotonic() + _PATIENCE, False
    while True:
        left = end - time.monotonic()
        if not ears.poll(max(left, 0)):
            assert ready, "the child hangs"
            return said, False
        try:
            said.append(ears.recv())
        except EOFError:
            return said, True
        if said[-1][0] == _READY and seconds is not None:
            end, ready = time.monotonic() + seconds, True


def _labels(said: Sequence[Saying], kind: str) -> tuple[str, ...]:
    return tuple(label for each, label in said if each == kind)
