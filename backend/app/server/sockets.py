"""The ports that the studio listens on, and the one that it may serve its metrics on."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn

BACKLOG = 2048


class StartupError(Exception):
    """The studio cannot start; the message is one line: the thing, the value, the way out."""


@contextmanager
def listening(host: str, port: int, setting: str = "SPARKLIO_PORT") -> Generator[socket.socket]:
    """Hold a port, named by a setting. Connections wait from now on, until the studio serves them.

    Raises:
        StartupError: it is taken, or not to be had.
    """
    where = f"{host}:{port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise StartupError(
            f"Cannot listen on {where}: {error.strerror}; set SPARKLIO_HOST to another address."
        ) from None
    with listener:
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            # At once: until one of them listens, Linux lets two processes bind a port that both may reuse.
            listener.listen(BACKLOG)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                reason, way_out = "another program listens there", f"stop it, or set {setting} to another port"
            else:
                reason, way_out = str(error.strerror), f"set SPARKLIO_HOST or {setting} to another one"
            raise StartupError(f"Cannot listen on {where}: {reason}; {way_out}.") from None
        yield listener


@asynccontextmanager
async def serving(app: Any, listener: socket.socket) -> AsyncGenerator[None]:
    """Serve a small ASGI application on a port of its own, on this event loop, while the block runs."""
    config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=1)
    server = _Beside(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await task


class _Beside(uvicorn.Server):
    """uvicorn, except that signals are for the server that it runs beside."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield
