"""``hotelcore relay``: number the events and bring them to whoever has to hear of them."""

from __future__ import annotations

import os
import signal
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from contextlib import (
    AbstractContextManager,
    ExitStack,
    closing,
    contextmanager,
    nullcontext,
    suppress,
)
from types import FrameType
from typing import TYPE_CHECKING

from hotelcore.cli.apps import core_named
from hotelcore.cli.tables import add_table_names, core_over, names_in, whole_number
from hotelcore.core import HotelCore
from hotelcore.errors import InvalidInput
from hotelcore.relay import Relay
from hotelcore.relay.backlog import backlog
from hotelcore.sql.events.backlog import any_lane
from hotelcore.sql.upkeep.upgrading import check

if TYPE_CHECKING:
    from hotelcore.transports import Transport

__all__ = ["add_arguments", "run"]

_ENDING = (signal.SIGINT, signal.SIGTERM)
_ENDS = b"relay: ends when what is in hand is finished; another signal ends it at once\n"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare whose events they are, where they go, and how much is done at once."""
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument(
        "--app",
        metavar="MODULE:ATTRIBUTE",
        help=(
            "your HotelCore, or a function without arguments that returns it: its durable "
            "subscriptions are served; the current directory is searched first"
        ),
    )
    where.add_argument(
        "--database",
        metavar="URL",
        help="serve no subscription: only number the events and feed the transport",
    )
    add_table_names(parser)
    parser.add_argument("--transport", metavar="URL", help="bring every event to this broker too")
    parser.add_argument(
        "--workers",
        metavar="N",
        type=whole_number(1, 1_000),
        default=4,
        help="how many handlers run at once (4)",
    )
    parser.add_argument(
        "--batch",
        metavar="N",
        type=whole_number(1, 10_000),
        default=100,
        help="about how many events are numbered or sent in one go (100)",
    )
    parser.add_argument(
        "--once", action="store_true", help="end when nothing is left that is due now"
    )


def run(arguments: Namespace) -> int:
    """Serve until a signal ends it, or with ``--once`` until nothing is due; 0 either way.

    With ``--once`` it is 1 if the broker did not take what was due.

    The first SIGINT or SIGTERM lets what is in hand be finished, the second ends the process at
    once: what was in hand then is done again by another relay.
    """
    with ExitStack() as opened:
        core = opened.enter_context(_core(arguments))
        _refuse_to_pass_by(core, arguments)
        transport = opened.enter_context(_transport(arguments.transport))
        relay = Relay(core, transport=transport, workers=arguments.workers, batch=arguments.batch)
        ended = opened.enter_context(_ended_by_signals(relay))
        _say(f"serves {_served(core, transport)}")
        if arguments.once:
            relay.run_until_idle()
            if ended():  # perhaps not all was done, which the exit code of an interruption says
                raise KeyboardInterrupt
            return _told(core, transport)
        relay.run()
        _say("stopped, with everything finished that was in hand")
    return 0


@contextmanager
def _core(arguments: Namespace) -> Iterator[HotelCore]:
    if arguments.app is None:
        with core_over(arguments.database, names_in(arguments)) as core:
            yield core
        return
    if arguments.prefix is not None or arguments.schema is not None:
        raise InvalidInput("prefix", "and schema go with --database: an app has names of its own")
    with closing(core_named(arguments.app)) as core:
        check(core.engine, core._names)
        yield core


def _transport(url: str | None) -> AbstractContextManager[Transport | None]:
    if url is None:
        return nullcontext()
    from hotelcore.transports import transport_for  # only who feeds a broker needs it

    return transport_for(url)


def _refuse_to_pass_by(core: HotelCore, arguments: Namespace) -> None:
    """Refuse to number events that a durable subscription would then never hear of."""
    if core.subscriptions.durables or arguments.transport is not None:
        return
    with core._serving() as run:
        if any_lane(run):
            here = "is needed here" if arguments.app is None else "has no durable subscription"
            raise InvalidInput(
                "app",
                f"{here}: durable subscriptions have heard of events in this database, and a relay "
                "that does not know them would number the next ones past them; name an app that "
                "imports the modules in which they are declared, or remove those that were retired "
                "by 'hotelcore events forget'",
            )


def _told(core: HotelCore, transport: Transport | None) -> int:
    """Say whether all that was due is done, and return the exit code."""
    if transport is not None and backlog(core).put_off:
        _say(
            f"{transport.broker_name} did not take all that is due: look at the broker, and run it "
            "again"
        )
        return 1
    _say("nothing is due any more")
    return 0


def _served(core: HotelCore, transport: Transport | None) -> str:
    names = sorted(core.subscriptions.durables)
    subscriptions = f"the durable subscriptions {', '.join(names)}" if names else "no subscription"
    broker = f", and sends to {transport.broker_name}" if transport else ""
    return f"{subscriptions} on {core.engine.dialect.name}{broker}; Ctrl-C or SIGTERM ends it"


def _say(words: str) -> None:
    print(f"relay: {words}", flush=True)


# -- the end ----------------------------------------------------------------------------------


@contextmanager
def _ended_by_signals(relay: Relay) -> Iterator[Callable[[], bool]]:
    """Let the first signal of the body end its work, and the second one the process.

    What it gives tells whether there was one.
    """
    heard = False

    def end(_: int, __: FrameType | None) -> None:
        nonlocal heard
        for each in _ENDING:
            signal.signal(each, signal.SIG_DFL)
        if heard:  # the other signal came at the same moment
            return
        heard = True
        with suppress(OSError):
            # Past print(), which may be at work in this very thread.
            os.write(sys.stdout.fileno(), _ENDS)
        # Nothing is raised: in the middle of connecting that would leave a connection open.
        relay.stop()

    before = {each: signal.signal(each, end) for each in _ENDING}
    try:
        yield lambda: heard
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
