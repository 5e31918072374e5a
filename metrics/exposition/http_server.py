"""`serve`: a registry on a port of its own, by the standard library's server, for what is no web application."""

from __future__ import annotations

import asyncio
import logging
import selectors
import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from threading import BoundedSemaphore, Thread
from time import sleep
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote
from weakref import WeakSet

from prometheus_client import CollectorRegistry

from events.bridges.asgi_types import Message
from events.bus.after_fork import call_after_fork

from .endpoint import Endpoint

log = logging.getLogger("metrics")

CLIENT_TIMEOUT = 10.0
"""Seconds that a client may take to send its request, or to read some of the answer."""

MAX_CONNECTIONS = 20
"""Connections at once; one more is closed, so that no client has this process make threads without end."""

ACCEPT_PAUSE = 0.1  # seconds


def serve(
    registry: CollectorRegistry,
    port: int = 0,
    *,
    host: str = "127.0.0.1",
    path: str = "/metrics",
    token: str | None = None,
    password: str | None = None,
    compression: bool = True,
) -> MetricsServer:
    """Serve a registry at ``http://host:port/metrics`` until `MetricsServer.close`, in threads of its own.

    For a process that is no web application: a worker loop, a consumer of a queue, a batch that takes hours. It answers
    as `Endpoint` does. The threads end with the process; a process that is forked from this one does not serve, and
    holds no port.

    Args:
        registry: The registry to render.
        port: The port to listen on; 0 takes a free one, see `MetricsServer.port`.
        host: The address to listen on: by default this machine alone can scrape, ``0.0.0.0`` is every interface.
        path: The only path that is answered.
        token: As `Endpoint` has it.
        password: The same.
        compression: The same.

    Raises:
        TypeError: ``registry`` is no `CollectorRegistry`, or a token or a password is no text.
        ValueError: a token or a password is empty, or of several lines.
        OSError: the address cannot be bound, such as a port that another process has.
    """
    endpoint = Endpoint(registry, path=path, token=token, password=password, compression=compression)
    try:
        return MetricsServer(_Server(endpoint, host, port), host, path)
    except OSError as error:
        raise type(error)(error.errno, f"{error.strerror}: metrics cannot be served at {host}:{port}") from error


class MetricsServer:
    """A registry that is served, as `serve` returns it: a ``with`` block, or `close`, ends it.

    Attributes:
        port: The port that it listens on.
        url: Where the metrics are.
    """

    def __init__(self, server: _Server, host: str, path: str) -> None:
        self._server = server
        self.port: int = server.server_address[1]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self.port}{path}"
        self._thread = Thread(target=server.run, name="metrics server", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening and free the port; doing it again does nothing."""
        self._server.stop()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True  # a scraper that reads slowly must not hold up the end of the process
    request_queue_size = 128  # with 5, as by default, connections that come at once wait for seconds
    timeout = 0  # for `handle_request` to wait: there is a connection when it is called

    def __init__(self, endpoint: Endpoint, host: str, port: int) -> None:
        self.endpoint = endpoint
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._free_connections = BoundedSemaphore(MAX_CONNECTIONS)
        self._stopped, self._stop = socket.socketpair()
        super().__init__((host, port), _Handler)
        _servers.add(self)

    def run(self) -> None:
        """Serve until `stop`: without looking every half second whether it was called, as ``serve_forever`` does."""
        with selectors.PollSelector() as selector:
            selector.register(self.socket, selectors.EVENT_READ)
            selector.register(self._stopped, selectors.EVENT_READ)
            while not any(key.fileobj is self._stopped for key, _ in selector.select()):
                self.handle_request()

    def stop(self) -> None:
        """Have `run` return."""
        self._stop.close()

    def server_close(self) -> None:
        """Close the port."""
        super().server_close()
        self._stop.close()
        self._stopped.close()

    def server_bind(self) -> None:
        """Bind without asking for the host's name, as the overridden method does: that may take seconds."""
        TCPServer.server_bind(self)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; where there can be none now, such as for want of descriptors, try again in a while."""
        try:
            return super().get_request()
        except OSError:
            sleep(ACCEPT_PAUSE)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, or close the connection where there are too many."""
        if not self._free_connections.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # there can be no thread now
            self._free_connections.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, in that thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free_connections.release()

    def handle_error(self, *_: Any) -> None:
        """Log at the level of debugging what ended a connection early, such as a scraper that went away."""
        log.debug("a scrape ended early: %r", sys.exception())


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = CLIENT_TIMEOUT

    def answer(self) -> None:
        """Pass the request to the ASGI application, on an event loop of its own, and write what that sends."""
        path, _, query = self.path.partition("?")
        scope = {
            "type": "http",
            "method": self.command,
            "path": unquote(path),
            "query_string": query.encode("latin-1"),
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self.headers.items()],
        }
        asyncio.run(self.server.endpoint(scope, self._receive, self._send))

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer  # noqa: N815  # http.server's names

    async def _receive(self) -> Message:
        return {"type": "http.request"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.send_response_only(message["status"])
            for name, value in message["headers"]:
                self.send_header(name.decode(), value.decode())
            self.send_header("connection", "close")
            self.end_headers()
        else:
            self.wfile.write(message["body"])

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # its name there
        """Log no request: the metrics count scrapes."""


_servers: WeakSet[_Server] = WeakSet()


@call_after_fork
def _close_inherited() -> None:
    """Close the ports of the process before this one: as long as they are open, nobody can bind them again."""
    for server in tuple(_servers):
        server.server_close()
