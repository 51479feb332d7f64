"""A run: eight writers cause events and others handle them, while everybody is killed at random."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from threading import Event as Flag

from attrs import define, field
from sqlalchemy import Engine

from hotelcore import HotelCore
from tests.torture.consumer import arrivals_in
from tests.torture.effects import LEASE, deliveries_in, make_effects
from tests.torture.furnishing import furnish
from tests.torture.notes import noted
from tests.torture.processes import Crowd, Part
from tests.torture.scenes import WRITERS, Scene
from tests.torture.server import CrashingServer
from tests.torture.verdict import Waiting, check_hotels, check_log, counted, waiting
from tests.torture.writer import BEGUN, DONE, notes_of
from tests.transports.places import Place

__all__ = ["EVENTS", "Record", "prepared", "torture"]

EVENTS = int(os.environ.get("HOTELCORE_EVENTS", "600"))

CRASHES = 3
EVENTS_A_CRASH = 1_000
"""The server crashes every so many events, or three times where those are few."""

# How often somebody is not killed, but frozen.
_FREEZING = 0.15


@define
class Record:
    """What a run came to."""

    seed: int
    events: int = 0
    seconds: float = 0
    crashes: int = 0
    repeated: int = 0
    killed: Mapping[str, int] = field(factory=dict)
    frozen: Mapping[str, int] = field(factory=dict)
    deliveries: int = 0
    arrivals: int = 0
    wrong: Mapping[str, int] = field(factory=dict)

    def __str__(self) -> str:
        killed = ", ".join(f"{number:,} {name}s" for name, number in sorted(self.killed.items()))
        frozen = ", ".join(f"{number:,} {name}s" for name, number in sorted(self.frozen.items()))
        wrong = ", ".join(f"{name} {number:,}" for name, number in self.wrong.items())
        arrived = f"; {self.arrivals:,} arrivals from the broker" if self.arrivals else ""
        return (
            f"seed {self.seed}: {self.events:,} events in {self.seconds:.0f} s; "
            f"killed {killed or 'nobody'}; frozen {frozen or 'nobody'}; "
            f"{self.crashes} crashes of the server; "
            f"{self.repeated:,} calls repeated{arrived}; {self.deliveries:,} deliveries begun; "
            f"{wrong or 'not counted'}"
        )


def prepared(
    folder: Path, url: str, *, seed: int, events: int = EVENTS, place: Place | None = None
) -> Scene:
    """Furnish an empty database for a run and write the run down in an empty folder."""
    with closing(HotelCore(url)) as core:
        houses = furnish(core)
        make_effects(core.engine)
    scene = Scene(folder=folder, url=url, seed=seed, events=events, houses=houses, place=place)
    scene.store()
    return scene


def torture(
    scene: Scene,
    crowd: Crowd,
    others: Sequence[Part],
    record: Record,
    *,
    server: CrashingServer | None = None,
) -> None:
    """Run the writers beside the ``others`` to the end of their plans, and check what is left."""
    run = _Run(scene, crowd, Random(scene.seed), record, server)
    with closing(HotelCore(scene.url)) as core:
        try:
            run.play([*others, *(("writer", number) for number in range(WRITERS))])
            run.settle(core.engine)
            crowd.dismiss()
            record.wrong = counted(core.engine)
        finally:
            run.note()
        assert record.killed, "nobody was killed, so this shows nothing"
        assert not any(record.wrong.values()), str(record)
        record.events = check_log(core, scene)
        check_hotels(core, scene)


@define
class _Run:
    scene: Scene
    crowd: Crowd
    dice: Random
    record: Record
    server: CrashingServer | None
    begun: float = field(factory=time.monotonic, init=False)

    @property
    def patience(self) -> float:
        """Seconds after which a run hangs: far more than it needs."""
        return 60 + self.scene.events * 0.06

    def play(self, parts: Sequence[Part]) -> None:
        """Let all play, and be killed, until no writer has anything left to do."""
        calls = sum(len(self.scene.plan(number)) for number in range(WRITERS))
        crashes = max(CRASHES, self.scene.events // EVENTS_A_CRASH) if self.server else 0
        due = [calls * number // (crashes + 1) for number in range(1, crashes + 1)]
        self.crowd.start(parts)
        while self.crowd.playing("writer"):
            self.wait(0.2, 0.6)
            self.torment()
            if self.server and due and self.noted(DONE) >= due[0]:
                due.pop(0)
                self.crash(self.server)

    def torment(self) -> None:
        """Let somebody die, or sleep through all leases."""
        self.crowd.thaw(time.monotonic())
        if self.dice.random() < _FREEZING:
            self.crowd.freeze_one(self.dice, time.monotonic() + 1.2 * LEASE.total_seconds())
        else:
            self.crowd.replace_one(self.dice)

    def crash(self, server: CrashingServer) -> None:
        """Have the server be away for a while, in which somebody is killed too."""
        server.crash()
        self.record.crashes += 1
        self.wait(0.1, 0.8)
        self.crowd.replace_one(self.dice)
        server.start()

    def settle(self, engine: Engine) -> None:
        """Wait until nothing waits, with nobody killed any more."""
        self.crowd.thaw()
        while left := waiting(engine, self.arrived()):
            self.crowd.playing("relay")
            self.wait(0.1, 0.1, left)

    def wait(self, least: float, most: float, left: Waiting | None = None) -> None:
        if time.monotonic() - self.begun > self.patience:
            self.note()
            done = f"{self.noted(DONE):,} calls done, waiting: {left or 'for the writers'}"
            message = f"no end after {self.patience:.0f} s; {done}\n{self.record}\n"
            raise AssertionError(message + self.crowd.said())
        Flag().wait(self.dice.uniform(least, most))

    def arrived(self) -> Collection[str] | None:
        """Return the ids of the events that a broker brought; None if there is no broker."""
        return set(noted(arrivals_in(self.scene.folder))) if self.scene.place else None

    def noted(self, what: str) -> int:
        """Count the calls that are begun or done."""
        files = (notes_of(self.scene.folder, number) for number in range(WRITERS))
        return sum(noted(file).count(what) for file in files)

    def note(self) -> None:
        """Fill the record with what the processes noted."""
        self.record.seconds = time.monotonic() - self.begun
        self.record.killed, self.record.frozen = self.crowd.killed, self.crowd.frozen
        self.record.repeated = self.noted(BEGUN) - self.noted(DONE)
        self.record.deliveries = len(noted(deliveries_in(self.scene.folder)))
        self.record.arrivals = len(noted(arrivals_in(self.scene.folder)))
