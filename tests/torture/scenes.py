"""What all processes of a run have to agree on: the houses, and who does what in them.

Everything follows from the seed, so a process that takes the place of a killed one knows what its
predecessor was to do.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from random import Random
from uuid import UUID

from attrs import frozen

from hotelcore.ids import FolioId, HotelId
from tests.transports.places import Place

__all__ = ["BOOKINGS", "FOLIOS", "HOTELS", "WRITERS", "Call", "Deed", "House", "Scene"]

WRITERS = 8
HOTELS = 4
BOOKINGS = 20
FOLIOS = 2
"""How many folios a booking has. They are locked apart, so their events compete for a sequence."""


class Deed(StrEnum):
    """What a writer does in one transaction; the value says which events it reports."""

    CHARGE = "charge.posted"
    PAYMENT = "payment.received"
    CORRECTION = "charge.posted charge.voided"
    MISTAKE = ""

    @property
    def events(self) -> Sequence[str]:
        """The wire names of the events that it reports."""
        return self.value.split()


_WEIGHTS = {Deed.CHARGE: 6, Deed.PAYMENT: 2, Deed.CORRECTION: 1, Deed.MISTAKE: 1}


@frozen(kw_only=True)
class House:
    """A hotel with the folios of its bookings."""

    hotel_id: HotelId
    folios: Sequence[FolioId]


@frozen(kw_only=True)
class Call:
    """One thing to do, under a key that nobody else uses."""

    key: str
    deed: Deed
    house: House
    folio_id: FolioId
    minor: int


@frozen(kw_only=True)
class Scene:
    """A run: its database, its houses, how many events they get, and the broker if there is one."""

    folder: Path
    url: str
    seed: int
    events: int
    houses: Sequence[House]
    place: Place | None = None

    def plan(self, writer: int) -> Sequence[Call]:
        """Return all that one writer has to do, in order."""
        dice, calls = Random(f"{self.seed}/{writer}"), list[Call]()
        # Each writer's part, one event more or less.
        left = self.events // WRITERS
        while left > 0:
            calls.append(self._call(f"w{writer}-{len(calls)}", dice))
            left -= len(calls[-1].deed.events)
        return calls

    def _call(self, key: str, dice: Random) -> Call:
        [deed] = dice.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
        house = dice.choice(self.houses)
        folio_id, minor = dice.choice(house.folios), dice.randint(1, 9_999)
        return Call(key=key, deed=deed, house=house, folio_id=folio_id, minor=minor)

    def store(self) -> None:
        """Write it down for the processes of the run."""
        place = self.place
        data = {
            "url": self.url,
            "seed": self.seed,
            "events": self.events,
            "houses": {str(h.hotel_id): [str(folio) for folio in h.folios] for h in self.houses},
            "place": place and {"kind": place.kind, "url": place.url, "name": place.name},
        }
        _file(self.folder).write_text(json.dumps(data))

    @classmethod
    def stored(cls, folder: Path) -> Scene:
        """Read what `store` wrote."""
        data = json.loads(_file(folder).read_text())
        return cls(
            folder=folder,
            url=data["url"],
            seed=data["seed"],
            events=data["events"],
            houses=[_house(*item) for item in data["houses"].items()],
            place=data["place"] and Place(**data["place"]),
        )


def _file(folder: Path) -> Path:
    return folder / "scene.json"


def _house(hotel: str, folios: Sequence[str]) -> House:
    ids = tuple(FolioId(UUID(folio)) for folio in folios)
    return House(hotel_id=HotelId(UUID(hotel)), folios=ids)
