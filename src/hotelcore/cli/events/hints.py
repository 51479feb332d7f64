"""Why an action of ``hotelcore events`` found nothing, or something that nobody meant."""

from __future__ import annotations

from argparse import Namespace

from attrs import frozen

from hotelcore.cli.events.answers import Answer
from hotelcore.core import HotelCore
from hotelcore.ids import HotelId
from hotelcore.sql.events.backlog import any_waiting, has_heard

__all__ = ["State", "state_of"]


@frozen
class State:
    """What was known in a hotel before the action; ``knows`` is None where no name is given."""

    waiting: bool
    knows: bool | None

    def hint(self, arguments: Namespace, answer: Answer) -> str | None:
        """Return the line that helps on, if one does."""
        if self.knows is False:
            return _of_strange_name(arguments.action, answer)
        if answer.found:
            return None
        if self.waiting:
            return "some events have no position yet: a relay has to number them first"
        if getattr(arguments, "event", None):
            return "none of these events is a dead letter here: 'hotelcore events dead' shows those"
        return None


def state_of(core: HotelCore, hotel_id: HotelId, arguments: Namespace) -> State:
    """Look what is known in a hotel of what the action is about."""
    name = getattr(arguments, "subscription", None)
    with core._serving(hotel_id) as run:
        return State(any_waiting(run), None if name is None else has_heard(run, name))


def _of_strange_name(action: str, answer: Answer) -> str:
    if action == "replay" and answer.found:
        return (
            "no relay has told a subscription of this name before: if no app declares it, these "
            "events keep others from being purged; 'hotelcore events forget' removes it again"
        )
    return "no subscription of this name has heard of events of this hotel: mind the spelling"
