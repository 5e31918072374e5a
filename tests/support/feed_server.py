"""A real HTTP server on a loopback port that sends server-sent events as a test says, as a live feed does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.support.loopback_server import LoopbackServer


@dataclass(frozen=True)
class Connection:
    """How the server serves one connection: what it sends, and whether it then waits or ends."""

    chunks: Sequence[bytes] = ()
    stays: bool = False
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "text/event-stream; charset=utf-8"})


@dataclass(frozen=True)
class FeedRequest:
    """A request as it came."""

    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]


def event(number: int, signal: str = "tool_called", epoch: str = "e1", **fields: Any) -> bytes:
    """Return the message of an event."""
    fields = fields or {"tool_name": f"t{number}", "status": "success", "duration": 0.5}
    record = {"schema": 1, "signal": signal, "time": 1_800_000_000.0 + number, "fields": fields, "process": "p1"}
    return f"id: {epoch}-{number}\ndata: {json.dumps(record)}\n\n".encode()


def status(*, resumed: bool, missed: int | None) -> bytes:
    """Return the message that says how a connection goes on."""
    data = {"resumed": resumed, "missed": missed, "reach": "process", "processes": 1}
    return f"event: status\ndata: {json.dumps(data)}\n\n".encode()


class FeedServer(LoopbackServer):
    """The server: a ``with`` block runs it. Connections are served in turn, the last one again and again."""

    def __init__(self, *connections: Connection) -> None:
        self.connections = connections
        self.requests: list[FeedRequest] = []
        super().__init__()
        self.url = f"http://127.0.0.1:{self.port}"

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        connection = self.connections[min(len(self.requests), len(self.connections) - 1)]
        target = urlsplit(handler.path)
        headers = {name.lower(): value for name, value in handler.headers.items()}
        self.requests.append(FeedRequest(target.path, parse_qsl(target.query), headers))
        handler.send_response(connection.status)
        for name, value in connection.headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        for chunk in connection.chunks:
            handler.wfile.write(chunk)
        if connection.stays:
            self.stopped.wait(120)
