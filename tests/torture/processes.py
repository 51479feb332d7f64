"""The processes of a run: started, killed, replaced, frozen for a while, and asked to end.

They are forked from a server process that has imported everything. To import it anew takes longer
than a process lives here, so the kills would hit imports and no work.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from math import inf
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from random import Random
from signal import SIGCONT, SIGSTOP, SIGTERM, Signals
from typing import TypeAlias

from attrs import define, field

from tests.torture import consumer, relay, writer
from tests.torture.notes import at_work

__all__ = ["Crowd", "Part", "crowd"]

Part: TypeAlias = tuple[str, int]
"""What a process does, and which of those who do it it is."""

_MAINS: Mapping[str, Callable[[Path, int], None]] = {
    "consumer": consumer.main,
    "relay": relay.main,
    "writer": writer.main,
}

# Seconds that a process may take to end: the longest is a handler that waits for its database.
_PATIENCE = 30.0

_FORKING = get_context("forkserver")
_FORKING.set_forkserver_preload([__name__])


@define
class Crowd:
    """Processes that play parts, and how many of each were killed or frozen."""

    _folder: Path
    _running: dict[Part, ForkServerProcess] = field(factory=dict, init=False)
    _frozen: dict[Part, float] = field(factory=dict, init=False)
    killed: Counter[str] = field(factory=Counter, init=False)
    frozen: Counter[str] = field(factory=Counter, init=False)

    def start(self, parts: Sequence[Part]) -> None:
        """Have one process play each part."""
        for part in parts:
            process = _FORKING.Process(target=_play, args=(self._folder, *part))
            process.start()
            self._running[part] = process

    def playing(self, name: str) -> Sequence[Part]:
        """Return those of one kind that still run; who has come to its end in peace is let go.

        Fails for one that ended in another way, since nobody killed it.
        """
        for part, process in list(self._running.items()):
            if (code := process.exitcode) is not None:
                assert code == 0, f"{part} ended by itself with {code}:\n{self.said()}"
                del self._running[part]
        return [part for part in self._running if part[0] == name]

    def replace_one(self, dice: Random) -> None:
        """Kill a process that is at work, whatever it is doing, and have another play its part."""
        if part := self._one_at_work(dice, _MAINS):
            self._kill(part)
            self.killed[part[0]] += 1
            self.start([part])

    def freeze_one(self, dice: Random, until: float) -> None:
        """Stop one that holds leases, so that it finds them taken when it goes on."""
        if part := self._one_at_work(dice, ("relay", "consumer")):
            self._signal(part, SIGSTOP)
            self.frozen[part[0]] += 1
            self._frozen[part] = until

    def thaw(self, now: float = inf) -> None:
        """Let those go on whose time is up; all of them if no time is given."""
        for part in [part for part, until in self._frozen.items() if until <= now]:
            self._signal(part, SIGCONT)
            del self._frozen[part]

    def dismiss(self) -> None:
        """Ask all to end, and fail if one does not do so in time and in peace."""
        self.thaw()
        for process in self._running.values():
            process.terminate()
        for part, process in self._running.items():
            process.join(_PATIENCE)
            code = process.exitcode
            assert code is not None, f"{part} does not end:\n{self.said()}"
            # One that had only just been started knows nothing of the signal yet.
            peaceful = code in (0, -SIGTERM)
            assert peaceful, f"{part} was asked to end and did so with {code}:\n{self.said()}"
        self._running.clear()

    def kill_all(self) -> None:
        """Leave nobody behind."""
        for part in list(self._running):
            self._kill(part)

    def said(self) -> str:
        """Return the last that the processes said on their standard errors."""
        files = sorted(self._folder.glob("*.err"))
        return "\n".join(
            f"--- {file.stem}\n{file.read_text()[-1_500:]}" for file in files if file.stat().st_size
        )

    def _one_at_work(self, dice: Random, names: Iterable[str]) -> Part | None:
        """Choose a kind first, since there are many writers."""
        known = at_work(self._folder)
        parts = sorted(
            part
            for part, process in self._running.items()
            if part[0] in names and part not in self._frozen and process.pid in known
        )
        if not parts:
            return None
        chosen = dice.choice(sorted({name for name, _ in parts}))
        return dice.choice([part for part in parts if part[0] == chosen])

    def _signal(self, part: Part, number: Signals) -> None:
        pid = self._running[part].pid
        assert pid is not None
        os.kill(pid, number)

    def _kill(self, part: Part) -> None:
        self._frozen.pop(part, None)
        process = self._running.pop(part)
        process.kill()
        process.join(_PATIENCE)


def _play(folder: Path, name: str, number: int) -> None:
    with (folder / f"{name}-{number}.err").open("ab") as errors:
        for stream in sys.stdout, sys.stderr:
            os.dup2(errors.fileno(), stream.fileno())
    _MAINS[name](folder, number)


@contextmanager
def crowd(folder: Path) -> Generator[Crowd]:
    """Lend a crowd whose processes all are gone afterwards."""
    people = Crowd(folder)
    try:
        yield people
    finally:
        people.kill_all()
