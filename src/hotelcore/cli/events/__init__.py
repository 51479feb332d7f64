"""``hotelcore events``: look at the events of hotels, and have them handled again or deleted."""

from __future__ import annotations

import json
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from types import MappingProxyType
from uuid import UUID

from attrs import frozen

from hotelcore.access import Role
from hotelcore.cli.events.answers import Answer
from hotelcore.cli.events.changing import forget, purge, replay, retry
from hotelcore.cli.events.figures import print_backlog
from hotelcore.cli.events.hints import state_of
from hotelcore.cli.events.showing import dead, listed
from hotelcore.cli.output import Output
from hotelcore.cli.purposes import sentence
from hotelcore.cli.tables import add_table_names, core_over, names_in, whole_number
from hotelcore.core import Desk, HotelCore
from hotelcore.errors import InvalidInput
from hotelcore.events import asyncapi
from hotelcore.ids import HotelId
from hotelcore.relay.backlog import Backlog, backlog
from hotelcore.sql.events.backlog import registered_hotels
from hotelcore.tenancy import Actor

__all__ = ["add_arguments", "run"]

_place = whole_number(0, 2**31 - 1)


# -- the command line -------------------------------------------------------------------------


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the actions and what each of them takes."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def declared(name: str, purpose: str) -> ArgumentParser:
        return actions.add_parser(name, help=purpose, description=sentence(purpose))

    for name, action in _IN_A_HOTEL.items():
        of_action = declared(name, action.purpose)
        _add_hotels(of_action)
        action.add_arguments(of_action)
    _add_hotels(declared("backlog", "count what waits, where, for whom, and for how long"))
    declared("asyncapi", "print the AsyncAPI document of all events, without any database")


def _add_hotels(parser: ArgumentParser) -> None:
    parser.add_argument("--database", metavar="URL", required=True, help="where the tables are")
    add_table_names(parser)
    parser.add_argument("--hotel", metavar="ID", type=_id, help="only this hotel (all of them)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def _add_to_list(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--after",
        metavar="POSITION",
        type=_place,
        default=0,
        help="begin behind this position of the log, or with --key behind this sequence (0)",
    )
    parser.add_argument(
        "--limit",
        metavar="N",
        type=whole_number(1, 1_000),
        default=100,
        help="the first N of a hotel (100; 1000 at the most)",
    )
    parser.add_argument("--key", metavar="RECORD_ID", type=_id, help="only events of this record")


def _add_to_dead(parser: ArgumentParser) -> None:
    parser.add_argument("--subscription", metavar="NAME", help="only of this one (all of them)")


def _add_to_retry(parser: ArgumentParser) -> None:
    _add_to_dead(parser)
    parser.add_argument(
        "--event", metavar="ID", type=_id, action="append", help="only this event; may be repeated"
    )


def _add_to_replay(parser: ArgumentParser) -> None:
    parser.add_argument("--subscription", metavar="NAME", required=True, help="who handles again")
    parser.add_argument(
        "--after",
        metavar="POSITION",
        type=_place,
        default=0,
        help="begin behind this position of the log (0: with the very first event)",
    )


def _add_to_forget(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--subscription", metavar="NAME", required=True, help="which no app declares any more"
    )


def _add_to_purge(parser: ArgumentParser) -> None:
    age = parser.add_mutually_exclusive_group(required=True)
    age.add_argument(
        "--before", metavar="WHEN", type=_instant, help="a date (UTC), or an instant with its zone"
    )
    age.add_argument(
        "--older-than", metavar="DAYS", type=whole_number(0, 36_500), help="so many days and more"
    )


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise ArgumentTypeError("must be a UUID") from None


def _instant(text: str) -> datetime:
    try:
        return datetime.combine(date.fromisoformat(text), time(), UTC)
    except ValueError:
        pass  # no date alone
    try:
        instant = datetime.fromisoformat(text)
        if instant.utcoffset() is not None:
            return instant.astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # nothing at all, or beyond the calendar in UTC
    raise ArgumentTypeError("must be like 2026-12-01 or 2026-12-01T12:00:00Z")


# -- the actions ------------------------------------------------------------------------------


@frozen
class _Action:
    """What is done in one hotel after the other."""

    purpose: str
    add_arguments: Callable[[ArgumentParser], None]
    answer: Callable[[Desk, Namespace], Answer]


_IN_A_HOTEL: Mapping[str, _Action] = MappingProxyType(
    {
        "list": _Action("show what happened, in the order of the log", _add_to_list, listed),
        "dead": _Action("show what durable subscriptions gave up", _add_to_dead, dead),
        "retry": _Action("have dead letters tried again", _add_to_retry, retry),
        "replay": _Action(
            "have a durable subscription handle events again", _add_to_replay, replay
        ),
        "forget": _Action(
            "remove a durable subscription that was retired, renamed or misspelt",
            _add_to_forget,
            forget,
        ),
        "purge": _Action("delete old events that all are done with", _add_to_purge, purge),
    }
)


def run(arguments: Namespace) -> int:
    """Do the action; failures are the caller's to report."""
    if arguments.action == "asyncapi":
        print(json.dumps(asyncapi.document(), indent=2))
        return 0
    output = Output(as_json=arguments.json)
    with core_over(arguments.database, names_in(arguments)) as core:
        hotels = _chosen(core, arguments.hotel)
        if arguments.action == "backlog":
            print_backlog(_of(hotels, backlog(core)), output)
        else:
            _answer(_IN_A_HOTEL[arguments.action], core, hotels, arguments, output)
    return 0


def _chosen(core: HotelCore, hotel_id: UUID | None) -> Sequence[HotelId]:
    with core._serving() as run:
        hotels = registered_hotels(run)
    if hotel_id is None:
        return hotels
    if hotel_id not in hotels:
        raise InvalidInput("hotel", "is not registered in this database: leave it out to see all")
    return [HotelId(hotel_id)]


def _of(hotels: Sequence[HotelId], found: Backlog) -> Backlog:
    return Backlog(hotels=tuple(each for each in found.hotels if each.hotel_id in hotels))


def _answer(
    action: _Action,
    core: HotelCore,
    hotels: Sequence[HotelId],
    arguments: Namespace,
    output: Output,
) -> None:
    documents = []
    for hotel_id in hotels:
        desk = core.acting_as(Actor(hotel_id=hotel_id, subject="command-line", role=Role.ADMIN))
        before = state_of(core, hotel_id, arguments)
        answer = action.answer(desk, arguments)
        output.heading(str(hotel_id))
        answer.print(output)
        if hint := before.hint(arguments, answer):
            output.line(hint)
        documents.append({"hotel_id": str(hotel_id), **answer.document})
    output.document({"hotels": documents})
