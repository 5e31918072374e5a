"""The network of a host in the lab: it forwards, has packets vanish, and counts statements."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingUnixStreamServer
from threading import Thread

import pytest

from tests.support.database_link import DatabaseLink
from tests.support.statement_counter import StatementCounter, StatementCounts


class Echo(StreamRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(100):
            self.request.sendall(data)


@pytest.fixture
def link(tmp_path: Path) -> Iterator[DatabaseLink]:
    with ThreadingUnixStreamServer(str(tmp_path / "s"), Echo) as server:
        server.daemon_threads = True
        Thread(target=server.serve_forever, daemon=True).start()
        with DatabaseLink(str(tmp_path / "s")) as link:
            yield link
        server.shutdown()


def connect(link: DatabaseLink) -> socket.socket:
    return socket.create_connection(("127.0.0.1", link.port), timeout=5)


def test_what_is_sent_arrives_and_so_does_the_answer(link: DatabaseLink) -> None:
    with connect(link) as client:
        client.sendall(b"\0\0\0\x08abcd")
        assert client.recv(100) == b"\0\0\0\x08abcd"


def test_a_cut_link_neither_answers_nor_closes_and_goes_on_when_healed(link: DatabaseLink) -> None:
    with connect(link) as client:
        client.sendall(b"\0\0\0\x08abcd")
        client.recv(100)
        link.cut()
        client.sendall(b"more")
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(100)
        with pytest.raises(TimeoutError):
            socket.create_connection(("127.0.0.1", link.port), timeout=0.2)
        link.heal()
        client.settimeout(5)
        assert client.recv(100) == b"more"


def test_the_kernel_gives_up_what_a_cut_link_does_not_acknowledge(link: DatabaseLink) -> None:
    with connect(link) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 100)
        link.cut()
        client.sendall(b"abcd")
        with pytest.raises(TimeoutError, match="timed out"):
            client.recv(100)
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0  # it has been raised
        link.heal()
    with connect(link) as client:
        client.sendall(b"\0\0\0\x08abcd")
        assert client.recv(100) == b"\0\0\0\x08abcd"


def test_a_reset_ends_connections_and_accepts_new_ones(link: DatabaseLink) -> None:
    with connect(link) as client:
        client.sendall(b"\0\0\0\x08abcd")
        client.recv(100)
        link.reset()
        with pytest.raises(ConnectionResetError):
            client.recv(100)
    with connect(link) as client:
        client.sendall(b"\0\0\0\x08abcd")
        assert client.recv(100) == b"\0\0\0\x08abcd"


def message(kind: bytes, body: bytes) -> bytes:
    return kind + (len(body) + 4).to_bytes(4) + body


def test_statements_are_counted_however_the_bytes_are_divided() -> None:
    stream = b"".join(
        [
            message(b"", (80877103).to_bytes(4)),  # asks for TLS
            message(b"", (196608).to_bytes(4) + b"user\0me\0\0"),
            message(b"Q", b"BEGIN\0"),
            message(b"P", b"one\0SELECT $1\0\0\0"),
            message(b"B", b"\0one\0" + bytes(6)),
            message(b"E", b"\0" + bytes(4)),
            message(b"B", b"\0one\0" + bytes(6)),
            message(b"E", b"\0" + bytes(4)),
            message(b"S", b""),
            message(b"P", b"\0COMMIT\0\0\0"),
            message(b"B", b"\0\0" + bytes(6)),
            message(b"E", b"\0" + bytes(4)),
            message(b"X", b""),
        ]
    )
    for size in (1, 7, len(stream)):
        counts = StatementCounts()
        counter = StatementCounter(counts)
        for start in range(0, len(stream), size):
            counter.feed(stream[start : start + size])
        assert counts == StatementCounts(all=4, boundaries=2)
