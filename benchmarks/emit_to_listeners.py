"""What telling ten listeners costs beside a bare loop over them, and beside blinker's own `send`.

    python benchmarks/emit_to_listeners.py

The same ten functions, which do nothing, are called in each of the ways, which take turns again and
again, so that a slow moment of the machine meets all of them; their medians are compared. The emit
includes the check of the tenant (an id that is equal but another object), the isolation of each
listener, and the outcomes. Promised are at most 2 x the loop, and a tenth of blinker's `send`.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from timeit import Timer

from blinker import Signal

from hotelcore.domain.rooms import RoomCondition
from hotelcore.events.bus import EventBus
from hotelcore.events.catalogue import RoomStatusChanged
from hotelcore.ids import HotelId, RoomId, new_id

LISTENERS = 10
ROUNDS = 500
CALLS = 200
"""How often a way is taken in one round: a single time would measure the clock."""

WAYS = {
    "a bare loop": "for listener in listeners:\n    listener(event)",
    "EventBus.emit": "bus.emit(event, hotel_id=hotel_id)",
    "blinker's send": "signal.send(event)",
    "blinker's send, strong": "strong.send(event)",
}


def new_listener() -> Callable[[RoomStatusChanged], None]:
    """Return a listener that does nothing."""

    def listen(event: RoomStatusChanged) -> None:
        pass

    return listen


def prepared() -> dict[str, object]:
    """Return what the ways work with: listeners, and an event to tell them of."""
    listeners = [new_listener() for _ in range(LISTENERS)]
    bus, signal, strong = EventBus(), Signal(), Signal()
    for listener in listeners:
        bus.subscribe(RoomStatusChanged, listener)
        signal.connect(listener)
        strong.connect(listener, weak=False)
    hotel_id = new_id()
    event = RoomStatusChanged(
        hotel_id=HotelId(hotel_id),
        room_id=RoomId(new_id()),
        previous=RoomCondition.CLEAN,
        condition=RoomCondition.DIRTY,
    )
    return {
        "listeners": listeners,
        "bus": bus,
        "signal": signal,
        "strong": strong,
        "event": event,
        "hotel_id": type(hotel_id)(int=hotel_id.int),
    }


def main() -> None:
    """Measure, and print each way's time and its ratios."""
    names = prepared()
    timers = {way: Timer(statement, globals=names) for way, statement in WAYS.items()}
    rounds = [
        {way: timer.timeit(CALLS) / CALLS for way, timer in timers.items()} for _ in range(ROUNDS)
    ]
    middle = {way: median(times[way] for times in rounds) for way in WAYS}
    loop, emit = middle["a bare loop"], middle["EventBus.emit"]
    print(f"{LISTENERS} listeners, median of {ROUNDS} rounds of {CALLS} calls")
    for way, time in middle.items():
        print(
            f"  {way:24} {time * 1e9:7.0f} ns {time / loop:7.2f} x loop {time / emit:7.2f} x emit"
        )


if __name__ == "__main__":
    main()
