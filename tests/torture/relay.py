"""A process that relays: to the subscription, or to the run's broker and to nobody else."""

from __future__ import annotations

from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path
from signal import SIGTERM, signal

from hotelcore import HotelCore
from hotelcore.relay import Relay
from tests.torture.effects import LEASE, subscribe
from tests.torture.notes import note_at_work
from tests.torture.scenes import Scene

__all__ = ["POLL", "main"]

POLL = timedelta(seconds=0.1)


def main(folder: Path, _: int) -> None:
    """Relay until a signal asks for the end."""
    scene, transport = Scene.stored(folder), None
    with ExitStack() as open_things:
        core = open_things.enter_context(closing(HotelCore(scene.url)))
        if scene.place is None:
            subscribe(core, scene)
        else:
            transport = open_things.enter_context(scene.place.transport())
        relay = Relay(core, transport=transport, lease=LEASE, poll=POLL)
        signal(SIGTERM, lambda *_: relay.stop())
        note_at_work(folder)
        relay.run()
