"""What holds of the transports where no broker is reachable, or before one is asked."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from threading import Event as Flag
from threading import Timer, main_thread

import pytest

from hotelcore.errors import InvalidInput, TransportFailure
from hotelcore.events.cloudevents import Binding, headers_and_body
from hotelcore.events.envelope import Envelope
from hotelcore.transports import ADAPTERS, Transport, transport_for
from hotelcore.transports.carrying import Intake
from hotelcore.transports.jobs import JobTransport
from hotelcore.transports.loop import LoopThread
from hotelcore.transports.nats import NatsTransport
from hotelcore.transports.redis import RedisTransport
from tests.transports.places import stored

SCHEMES = ("nats", "amqp", "redis", "kafka", "procrastinate+postgresql")
QUICK = 0.5
"""Seconds that a call may take here."""

SOON = 4.0
"""Seconds in which two such calls and the closing are done, on a machine that is busy."""

# What a driver had opened for an attempt that was broken off, it leaves to the garbage collector.
left_to_the_collector = pytest.mark.filterwarnings("ignore::ResourceWarning")


def limited(scheme: str, port: int) -> Transport:
    """Return a transport to a local port that gives up soon."""
    transport = transport_for(f"{scheme}://127.0.0.1:{port}")
    kind = type(transport)
    transport.close()
    return kind(f"{scheme}://127.0.0.1:{port}", time_limit=QUICK)


# -- finding the adapter ------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ADAPTERS)
def test_every_scheme_has_its_adapter(scheme: str) -> None:
    """A URL leads to the adapter that errors call by the broker's name; nothing is connected."""
    with transport_for(f"{scheme}://127.0.0.1:1", name="sea-view_2") as transport:
        assert type(transport).__name__ == ADAPTERS[scheme][1]
        assert transport.broker_name


@pytest.mark.parametrize("url", ["", "nats", "http://localhost", "NATS://localhost", None, 5])
def test_an_unknown_scheme_is_refused(url: str) -> None:
    """Whatever is no URL of a known scheme is refused with the list of the known ones."""
    with pytest.raises(InvalidInput, match=r"url: must begin with one of nats://, amqp://"):
        transport_for(url)


_WITHOUT_EXTRAS = """
import sys
import hotelcore.transports as transports
from hotelcore.errors import MissingExtra

heavy = {"faststream", "nats", "aio_pika", "redis", "aiokafka", "procrastinate", "pydantic"}
assert heavy.isdisjoint(sys.modules), heavy.intersection(sys.modules)
for package in heavy:
    sys.modules[package] = None  # cannot be imported from now on
for scheme in transports.ADAPTERS:
    try:
        transports.transport_for(f"{scheme}://127.0.0.1:1")
    except MissingExtra as error:
        print(error.extra)
"""


def test_a_missing_package_is_named_by_its_extra() -> None:
    """The package brings nothing heavy, and an adapter without its engine names the extra."""
    ran = subprocess.run(
        [sys.executable, "-c", _WITHOUT_EXTRAS], check=True, capture_output=True, text=True
    )
    extras = "nats rabbit rabbit redis redis kafka procrastinate"
    assert ran.stdout.split() == extras.split()


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: transport_for("nats://127.0.0.1", name=""), "name"),
        (lambda: transport_for("nats://127.0.0.1", name="a.b"), "name"),
        (lambda: transport_for("redis://127.0.0.1", name="a" * 65), "name"),
        (lambda: NatsTransport("nats://127.0.0.1", time_limit=0), "time_limit"),
        (lambda: NatsTransport("nats://127.0.0.1", redeliver_after=float("nan")), "redeliver"),
        (lambda: RedisTransport("redis://127.0.0.1", redeliver_after=-1.0), "redeliver"),
        (lambda: JobTransport("", groups=()), "groups"),
        (lambda: JobTransport("", groups="desk"), "groups"),
        (lambda: JobTransport("", groups=["desk", "a b"]), "groups"),
        (lambda: JobTransport("", name="n" * 20, groups=["g" * 20]), "groups"),
    ],
)
def test_bad_arguments_are_refused(make: Callable[[], Transport], field: str) -> None:
    """Names that a broker would not take, and times that are none, are refused at once."""
    with pytest.raises(InvalidInput, match=field):
        make()


# -- brokers that do not answer -----------------------------------------------------------------


@pytest.mark.long
@left_to_the_collector
@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_unreachable_broker_fails_soon(scheme: str) -> None:
    """Sending and consuming raise a typed error without the driver's words when nobody listens."""
    begun = time.monotonic()
    with limited(scheme, 1) as transport:
        for call in (
            lambda: transport.send(stored(1)),
            lambda: transport.consume(print, group="hotelcore"),
        ):
            with pytest.raises(TransportFailure, match="check the URL") as raised:
                call()
            assert raised.value.transport == transport.broker_name
            assert raised.value.__cause__ is None
            assert "127.0.0.1" not in str(raised.value)
    assert time.monotonic() - begun < SOON
    gc.collect()


@pytest.mark.long
@left_to_the_collector
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_silent_broker_is_given_up(scheme: str) -> None:
    """Sending ends with its time limit when somebody listens but never answers."""
    begun = time.monotonic()
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as listener,
        limited(scheme, listener.getsockname()[1]) as transport,
        pytest.raises(TransportFailure, match="check the URL"),
    ):
        transport.send(stored(1))
    assert time.monotonic() - begun < SOON
    gc.collect()


def test_an_empty_batch_needs_no_broker() -> None:
    """Sending nothing asks nobody."""
    with limited("nats", 1) as transport:
        transport.send([])


def test_a_closed_transport_says_so() -> None:
    """After closing, which may be done twice, every call is refused."""
    transport = limited("redis", 1)
    transport.close()
    transport.close()
    with pytest.raises(TransportFailure, match="closed"):
        transport.send(stored(1))
    with pytest.raises(TransportFailure, match="closed"):
        transport.consume(print, group="desk")


@pytest.mark.parametrize(
    ("group", "concurrency", "field"),
    [("", 1, "group"), ("a.b", 1, "group"), ("desk", 0, "concurrency"), ("desk", 1.5, "concurr")],
)
def test_bad_consumers_are_refused(group: str, concurrency: int, field: str) -> None:
    """A group that a broker would not take, or no thread at all, is refused before connecting."""
    with limited("nats", 1) as transport, pytest.raises(InvalidInput, match=field):
        transport.consume(print, group=group, concurrency=concurrency)


# -- taking a message ---------------------------------------------------------------------------


def test_what_is_no_event_is_dropped_with_a_word(caplog: pytest.LogCaptureFixture) -> None:
    """A foreign message would never become an event: it is done with, and not shown in the log."""
    received = list[Envelope]()
    intake = Intake(received.append, broker_name="NATS", concurrency=1)
    headers, _ = headers_and_body(stored(1)[0])
    assert asyncio.run(intake.take({}, b"Ada", Binding.NATS))
    assert asyncio.run(intake.take(headers, b"Ada", Binding.NATS))
    assert received == []
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2
    assert "Ada" not in caplog.text


def test_a_failure_holds_its_place_for_a_while() -> None:
    """A second passes before what failed is given back, unless the consumer stops."""

    def receive(envelope: Envelope) -> None:
        raise OSError

    headers, body = headers_and_body(stored(1)[0])
    for stopping in False, True:
        intake = Intake(receive, broker_name="NATS", concurrency=1)
        if stopping:
            intake.hurry()
        begun = time.monotonic()
        assert not asyncio.run(intake.take(headers, body, Binding.NATS))
        assert (time.monotonic() - begun < 0.9) == stopping
        intake.close()


def test_a_loop_leaves_nothing_behind() -> None:
    """Work ends with its limit, with Ctrl-C, and with the loop itself."""
    loop, ended = LoopThread("test"), list[str]()

    async def endless(name: str, begun: Flag) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    with pytest.raises(TimeoutError):
        loop.run(endless("late", Flag()), seconds=0.05)
    assert ended == ["late"]

    stop = Timer(0.1, signal.pthread_kill, [main_thread().ident, signal.SIGINT])
    stop.start()
    with pytest.raises(KeyboardInterrupt):
        loop.run(endless("interrupted", Flag()), seconds=30)

    begun = Flag()

    async def in_background() -> asyncio.Task[None]:
        return asyncio.create_task(endless("left", begun))

    task = loop.run(in_background(), seconds=5)
    assert begun.wait(5)
    loop.close()
    assert task.cancelled()
    assert ended == ["late", "interrupted", "left"]
