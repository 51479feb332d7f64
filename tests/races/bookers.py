"""A process that books: for each line it reads, it tries the same sale from several threads.

Run as ``python bookers.py URL HOTEL GUEST ROOM_TYPE THREADS``. A line is the night to sell, in ISO
format; the answer is one line of JSON, ``[[seconds, refusal or null], …]``.
"""

from __future__ import annotations

import json
import sys
from datetime import date
from uuid import UUID

from hotelcore import Actor, HotelCore, Role, Stay
from hotelcore.ids import GuestId, HotelId, RoomTypeId
from hotelcore.operations import create_booking_with_folio
from tests.races.racing import track
from tests.small_hotel import DAY


def main(url: str, hotel: str, guest: str, room_type: str, threads: str) -> None:
    """Answer until the input ends."""
    core = HotelCore(url)
    actor = Actor(hotel_id=HotelId(UUID(hotel)), subject="rival", role=Role.RECEPTION)
    desk = core.acting_as(actor)

    def sell(night: date) -> object:
        return desk.run(
            create_booking_with_folio,
            guest_id=GuestId(UUID(guest)),
            room_type_id=RoomTypeId(UUID(room_type)),
            stay=Stay(night, night + DAY),
        )

    with track(int(threads)) as rivals:
        answer("ready")
        for line in sys.stdin:
            night = date.fromisoformat(line.strip())
            attempts = rivals.run([lambda: sell(night)] * int(threads))  # noqa: B023  # run here
            answer([[attempt.seconds, attempt.refusal] for attempt in attempts])
    core.close()


def answer(data: object) -> None:
    """Send one line to the process that started this one."""
    sys.stdout.write(json.dumps(data) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
