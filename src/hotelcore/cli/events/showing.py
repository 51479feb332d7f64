"""The actions of ``hotelcore events`` that only look: at the log, and at the dead letters."""

from __future__ import annotations

from argparse import Namespace

from hotelcore import wire
from hotelcore.cli.events.answers import Answer, counted
from hotelcore.core import Desk

__all__ = ["dead", "listed"]


def listed(desk: Desk, arguments: Namespace) -> Answer:
    """Read the log, or one record's events, behind a place in it."""
    with desk.reading() as uow:
        if arguments.key is None:
            events = uow.events.behind(arguments.after, limit=arguments.limit)
        else:
            events = uow.events.of_record(
                arguments.key, after=arguments.after, limit=arguments.limit
            )
    return Answer(
        line=counted(len(events), "event"),
        found=len(events),
        headers=("position", "occurred at", "event", "key", "sequence"),
        rows=[
            (
                # One of a record's may not have been numbered yet.
                "-" if event.position is None else str(event.position),
                event.occurred_at.isoformat(),
                event.name,
                str(event.key),
                str(event.sequence),
            )
            for event in events
        ],
        document={"events": [wire.encode(event) for event in events]},
    )


def dead(desk: Desk, arguments: Namespace) -> Answer:
    """Read the dead letters, of one subscription or of all."""
    with desk.reading() as uow:
        letters = uow.events.dead(arguments.subscription)
    return Answer(
        line=counted(len(letters), "dead letter"),
        found=len(letters),
        headers=("died at", "subscription", "event", "id", "attempts", "failure"),
        rows=[
            (
                letter.died_at.isoformat(),
                letter.subscription,
                letter.envelope.name,
                str(letter.envelope.id),
                str(letter.attempts),
                letter.failure,
            )
            for letter in letters
        ],
        document={"dead_letters": [wire.encode(letter) for letter in letters]},
    )
