"""A real HTTP server on a loopback port whose requests a test's class serves, each in a thread of its own."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from types import TracebackType
from typing import Self


class LoopbackServer:
    """The server: a ``with`` block runs it. Whoever inherits it has `serve`.

    Attributes:
        port: Its port.
        stopped: Set when the block ends: a request that hangs waits for it.
    """

    protocol_version = "HTTP/1.0"

    def __init__(self) -> None:
        self.stopped = Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = outer.protocol_version

            def do_GET(self) -> None:
                outer.serve(self)

            do_POST = do_GET  # noqa: N815 - http.server's name

            def log_message(self, *_arguments: object) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_port

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        """Serve one request."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,), name=type(self).__name__, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)
