"""A process behind the run's broker: what arrives there is all that the subscription hears of."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from signal import SIGTERM, signal

from hotelcore import HotelCore
from hotelcore.events.envelope import Envelope
from hotelcore.relay import Relay
from tests.torture.effects import LEASE, subscribe
from tests.torture.notes import Notes, note_at_work
from tests.torture.relay import POLL
from tests.torture.scenes import Scene
from tests.transports.places import GROUPS

__all__ = ["GROUP", "arrivals_in", "main"]

GROUP = GROUPS[0]
"""The group in which the consumers share the events."""


def arrivals_in(folder: Path) -> Path:
    """Return the file in which everything that arrives is noted by the id of its event."""
    return folder / "arrivals.notes"


def main(folder: Path, _: int) -> None:
    """Consume until a signal asks for the end."""
    scene = Scene.stored(folder)
    assert scene.place is not None, "this run has no broker"
    notes = Notes(arrivals_in(folder))
    with closing(HotelCore(scene.url)) as core, scene.place.transport() as transport:
        subscribe(core, scene)
        relay = Relay(core, feeding=False, lease=LEASE, poll=POLL)
        signal(SIGTERM, lambda *_: relay.stop())

        def receive(envelope: Envelope) -> None:
            notes.add(envelope.id.hex)
            relay.receive(envelope)

        with transport.consume(receive, group=GROUP):
            note_at_work(folder)
            relay.run()
