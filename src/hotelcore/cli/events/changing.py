"""The actions of ``hotelcore events`` that change something; each is an audited operation."""

from __future__ import annotations

from argparse import Namespace
from datetime import timedelta

from hotelcore.cli.events.answers import Answer, counted
from hotelcore.clock import SystemClock
from hotelcore.core import Desk
from hotelcore.operations.events import (
    forget_subscription,
    purge_events,
    replay_events,
    retry_dead_letters,
)

__all__ = ["forget", "purge", "replay", "retry"]

# A hotel's whole log may be touched, on whatever machine.
_LONG = timedelta(hours=1)


def retry(desk: Desk, arguments: Namespace) -> Answer:
    """Have dead letters tried again."""
    number = desk.run(
        retry_dead_letters, subscription=arguments.subscription, event_ids=arguments.event
    )
    return Answer(
        line=f"{counted(number, 'dead letter')} to be tried again",
        found=number,
        document={"retried": number},
    )


def replay(desk: Desk, arguments: Namespace) -> Answer:
    """Have a subscription handle again what is behind a position."""
    number = desk.within(time_limit=_LONG).run(
        replay_events, subscription=arguments.subscription, after=arguments.after
    )
    return Answer(
        line=f"the events of {counted(number, 'record')} come again",
        found=number,
        document={"records": number},
    )


def forget(desk: Desk, arguments: Namespace) -> Answer:
    """Remove a subscription and what waits for it."""
    number = desk.within(time_limit=_LONG).run(
        forget_subscription, subscription=arguments.subscription
    )
    return Answer(
        line=f"forgotten, with what it knew of {counted(number, 'record')}",
        found=number,
        document={"records": number},
    )


def purge(desk: Desk, arguments: Namespace) -> Answer:
    """Delete events that everybody is done with."""
    before = arguments.before or SystemClock().now() - timedelta(days=arguments.older_than)
    number = desk.within(time_limit=_LONG).run(purge_events, before=before)
    return Answer(
        line=f"{counted(number, 'event')} deleted", found=number, document={"deleted": number}
    )
