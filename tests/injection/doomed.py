"""What the processes do that are killed."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import closing
from random import Random
from typing import Any

import attrs
from attrs import frozen

from hotelcore import Actor, HotelCore
from hotelcore.testing.faults import Fault, Faults
from hotelcore.testing.killing import Witness
from tests.every_operation import GoodCall
from tests.injection.points import CASES, concerned, prepared
from tests.small_hotel import KEYS, open_hotel

__all__ = ["Letter", "die_at_a_call", "work_until_killed"]


@frozen(kw_only=True)
class Letter:
    """A call that another process prepared, which is sent in parts since a core does not travel."""

    url: str
    actor: Actor
    name: str
    arguments: Mapping[str, Any]  # as in `GoodCall`

    @classmethod
    def of(cls, url: str, call: GoodCall) -> Letter:
        """Write down a call."""
        return cls(url=url, actor=call.desk.actor, name=call.name, arguments=dict(call.arguments))

    def call(self, core: HotelCore) -> GoodCall:
        """Build the call again."""
        desk = core.acting_as(self.actor).once("the key")
        return GoodCall(desk, self.name, self.arguments)


def die_at_a_call(witness: Witness, letter: Letter, fault: Fault) -> None:
    """Run one operation with a fault that kills."""
    with closing(HotelCore(letter.url, keys=KEYS)) as core:
        core.engine.connect().close()  # what SQLAlchemy asks a server at first is not counted
        faults = Faults.on(core.engine)
        call = letter.call(core)
        witness.begun(letter.name)
        with faults.failing(attrs.evolve(fault, kill=True)):
            call.run()
            witness.done(letter.name)


def work_until_killed(witness: Witness, url: str, seed: int) -> None:
    """Run one operation after the other, each in a hotel of its own."""
    dice = Random(seed)
    with closing(HotelCore(url, keys=KEYS)) as core:
        witness.ready()
        for _ in range(sys.maxsize):
            case, hotel = dice.choice(CASES), open_hotel(core)
            call = prepared(case, hotel)
            label = "/".join([case, *map(str, concerned(call, hotel))])
            witness.begun(label)
            call.run()
            witness.done(label)
