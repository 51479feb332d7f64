"""A long line to PostgreSQL: what is said over it arrives later, as between two machines.

A process of its own stands in between, so that it takes no time of whoever is measured. It passes
each piece on when that has been under way for half a round trip, however many are under way.
"""

from __future__ import annotations

import multiprocessing
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import PurePosixPath
from queue import SimpleQueue
from threading import Thread
from time import perf_counter, sleep
from typing import TypeAlias

from sqlalchemy import URL

__all__ = ["long_line"]

_Place: TypeAlias = str | tuple[str, int]
"""A socket's path, or a host and a port."""
_Piece: TypeAlias = tuple[float, bytes]
"""When some bytes arrive, and these; none at the end."""

_MOST_BYTES = 1 << 16


@contextmanager
def long_line(url: URL, round_trip: float) -> Generator[URL]:
    """Give a URL for the same database, over a line whose round trip takes so many seconds."""
    here, there = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    arguments = (_place_of(url), round_trip / 2, there)
    process = context.Process(target=_stand_between, args=arguments, daemon=True)
    process.start()
    there.close()  # so that it is known if the process ends without a word
    try:
        yield url.set(host="127.0.0.1", port=here.recv(), query={})
    finally:
        process.terminate()
        process.join()


def _place_of(url: URL) -> _Place:
    host = url.host or url.query.get("host")
    port = int(url.port or str(url.query.get("port", 5432)))
    if not isinstance(host, str):
        raise LookupError("the URL has to name a host, or the folder of a socket")
    is_folder = host.startswith("/")
    return str(PurePosixPath(host, f".s.PGSQL.{port}")) if is_folder else (host, port)


def _stand_between(place: _Place, delay: float, told: Connection) -> None:
    """Take connections for the server at a place, and say on which port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        told.send(listening.getsockname()[1])
        while True:
            client, _ = listening.accept()
            server = _connected(place)
            _start(_read, client, server, delay)
            _start(_read, server, client, delay)


def _connected(place: _Place) -> socket.socket:
    if isinstance(place, tuple):
        return socket.create_connection(place)
    server = socket.socket(socket.AF_UNIX)
    server.connect(place)
    return server


def _start(work: Callable[..., None], *arguments: object) -> None:
    Thread(target=work, args=arguments, daemon=True).start()


def _read(source: socket.socket, sink: socket.socket, delay: float) -> None:
    """Put what comes from one side on its way to the other."""
    under_way = SimpleQueue[_Piece]()
    _start(_deliver, under_way, sink)
    data = b"some"
    while data:
        data = _heard(source)
        under_way.put((perf_counter() + delay, data))


def _heard(source: socket.socket) -> bytes:
    """Return what comes next; nothing of whoever has hung up, with a word or without."""
    try:
        return source.recv(_MOST_BYTES)
    except OSError:
        return b""


def _deliver(under_way: SimpleQueue[_Piece], sink: socket.socket) -> None:
    if sink.family == socket.AF_INET:
        sink.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with suppress(OSError):  # nobody is left to hear it
        while True:
            at, data = under_way.get()
            sleep(max(0.0, at - perf_counter()))
            if not data:
                sink.shutdown(socket.SHUT_WR)
                return
            sink.sendall(data)
