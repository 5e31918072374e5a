"""A DNS server over UDP, which answers with what a test says of its names (RFC 1035, section 4); and who asks it."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path
from socketserver import BaseRequestHandler, UDPServer
from threading import Thread
from types import TracebackType
from typing import Self

from tests.support.prometheus import Prometheus
from tools.monitor import programs

PORT = 53
"""Where a resolver asks: ``/etc/resolv.conf`` names an address and no port."""

HEADER = struct.Struct("!6H")  # id, flags, and how many questions, answers, authorities and others follow
RECORD = struct.Struct("!HHHIH4s")  # name, type, class, seconds to live, length of the data, the data
ADDRESS, INTERNET = 1, 1
FOUND, NO_SUCH_NAME = 0x8180, 0x8183  # flags: a response, whose recursion was asked for and can be had; and its code
NAME_OF_QUESTION = HEADER.size | 0xC000  # a pointer to it


class DNSServer:
    """The server: a ``with`` block runs it on port 53 of an address, which takes root.

    Attributes:
        names: The IPv4 addresses of each name, which a test may change meanwhile.
        asked: How often the addresses of each name were asked for.
    """

    def __init__(self, address: str, names: dict[str, list[str]]) -> None:
        self.names = names
        self.asked: Counter[str] = Counter()
        outer = self

        class Handler(BaseRequestHandler):
            def handle(self) -> None:
                data, socket = self.request
                socket.sendto(outer.answer(data), self.client_address)

        self._server = UDPServer((address, PORT), Handler)

    def answer(self, query: bytes) -> bytes:
        """Return the answer to a query: of its first question, with what it says beyond that left out."""
        identity, *_ = HEADER.unpack_from(query)
        name, end = read_name(query)
        kind, _ = struct.unpack_from("!HH", query, end)
        addresses = self.names.get(name, []) if kind == ADDRESS else []
        self.asked[name] += kind == ADDRESS
        header = HEADER.pack(identity, FOUND if name in self.names else NO_SUCH_NAME, 1, len(addresses), 0, 0)
        records = (
            RECORD.pack(NAME_OF_QUESTION, ADDRESS, INTERNET, 0, 4, IPv4Address(address).packed) for address in addresses
        )
        return header + query[HEADER.size : end + 4] + b"".join(records)

    def __enter__(self) -> Self:
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,), name=type(self).__name__, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


def read_name(query: bytes) -> tuple[str, int]:
    """Return the name that is asked for, in lower case, and where it ends."""
    labels, at = [], HEADER.size
    while length := query[at]:
        labels.append(query[at + 1 : at + 1 + length].decode("ascii").lower())
        at += 1 + length
    return ".".join(labels), at + 1


@contextmanager
def prometheus_that_asks(resolver: str, folder: Path, port: int) -> Iterator[Prometheus]:
    """Run a Prometheus whose names are resolved at an address, in a mount namespace of its own."""
    (folder / "resolv.conf").write_text(f"nameserver {resolver}\n")
    own = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"']
    command = [
        *own,
        str(folder / "resolv.conf"),
        programs.installed("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
    ]
    log = folder / "prometheus.log"
    with programs.Program("prometheus", command, port, log) as program, Prometheus.at(program.url) as prometheus:
        yield prometheus
