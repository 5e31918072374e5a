"""A real HTTP server on a loopback port that sends server-sent events as a test says, as a live feed does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit


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


class FeedServer:
    """The server: a ``with`` block runs it. Connections are served in turn, the last one again and again."""

    def __init__(self, *connections: Connection) -> None:
        self.connections = connections
        self.requests: list[FeedRequest] = []
        self._stopped = Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer._serve(self)

            def log_message(self, *_arguments: object) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
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
            self._stopped.wait(120)

    def __enter__(self) -> Self:
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,), name="feed_server", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)
