"""The command line: ``hotelcore …`` or ``python -m hotelcore …``.

Each command is a module of this package, named like the command and imported when it is asked
for. It offers ``add_arguments(parser: ArgumentParser) -> None`` and
``run(arguments: Namespace) -> int``; what `run` returns is the exit code.
"""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper
from types import MappingProxyType

from hotelcore.cli.purposes import sentence
from hotelcore.errors import HotelcoreError

__all__ = ["COMMANDS", "main"]

COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "demo": "see two hotels work for 14 days",
        "replay": "live through the bookings of a real hotel, from a CSV file",
        "db": "bring the tables of a database to this version",
        "access": "see which role may do what",
        "relay": "bring events to durable subscriptions and to a broker",
        "events": "look at what happened, and have it handled again",
        "audit": "verify that the audit logs are whole, and export them",
        "keys": "make the keys that seal secrets, and have secrets sealed under a new one",
    }
)
"""Every command, with what it is for."""

_DONE, _FAILED, _INTERRUPTED = 0, 1, 130
# What a shell reports for a program that the signal SIGPIPE ended.
_PIPE_CLOSED = 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; ``argv`` is by default the process's own.

    0: done. 1: hotelcore refused something, or a proof failed; the message is on stderr. 2: the
    command line makes no sense (argparse raises `SystemExit`). 130: interrupted with Ctrl-C.
    141: the reader of the output went away.
    """
    if isinstance(sys.stdout, TextIOWrapper):
        # A letter that the terminal does not have becomes a question mark.
        sys.stdout.reconfigure(errors="replace")
    try:
        try:
            return _exit_code(sys.argv[1:] if argv is None else argv)
        finally:
            # Now, because a pipe that is found closed after the end cannot be answered any more.
            print(end="", flush=True)
    except BrokenPipeError:
        return _given_up(_PIPE_CLOSED)
    except OSError as error:
        with suppress(OSError):  # stderr may be what failed
            _complain(f"the output failed: {error.strerror}")
        return _given_up(_FAILED)


def _exit_code(argv: Sequence[str]) -> int:
    try:
        return _run(argv)
    except HotelcoreError as error:
        _complain(str(error))
        return _FAILED
    except KeyboardInterrupt:
        _complain("interrupted")
        return _INTERRUPTED


def _run(argv: Sequence[str]) -> int:
    arguments = _parser(argv).parse_args(argv)
    command = import_module(f"hotelcore.cli.{arguments.command}")
    code: int = command.run(arguments)
    return code


def _parser(argv: Sequence[str]) -> ArgumentParser:
    parser = ArgumentParser(prog="hotelcore", description="The core of hotel software.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, purpose in COMMANDS.items():
        command = commands.add_parser(name, help=purpose, description=sentence(purpose))
        if name in argv:  # the others are not needed, and what they import takes its time
            import_module(f"hotelcore.cli.{name}").add_arguments(command)
    return parser


def _complain(message: str) -> None:
    print(f"hotelcore: {message}", file=sys.stderr)


def _given_up(code: int) -> int:
    """Return ``code``; what is still to be written goes nowhere, so that Python is content."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # a stream without a descriptor, as in a test
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
    return code
