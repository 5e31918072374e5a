"""The studio's server around any application, on the event loop of the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn

from app.server.connection_limit import Listener
from app.server.limited_server import LimitedServer
from app.settings import Settings
from tests.support.wait import until


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """Answer at once, without reading the request."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


@dataclass
class Served:
    """A server that runs.

    Attributes:
        server: The server.
        listener: Its listening socket.
    """

    server: LimitedServer
    listener: Listener
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    @property
    def port(self) -> int:
        number: int = self.listener.getsockname()[1]
        return number

    async def connect(self, data: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection, and send some bytes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.append(writer)
        writer.write(data)
        return reader, writer

    async def answer(self, data: bytes) -> bytes:
        """Send some bytes, and return what comes until the server closes the connection."""
        reader, _ = await self.connect(data)
        return await asyncio.wait_for(reader.read(), 30)


@asynccontextmanager
async def serving(app: Any = hello, **settings: Any) -> AsyncIterator[Served]:
    """Serve an application while the block runs."""
    listener = Listener()
    listener.bind(("127.0.0.1", 0))
    listener.listen(100)
    config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False, http="h11", ws="none")
    config.timeout_graceful_shutdown = 1
    server = LimitedServer(config, Settings(**settings))
    loop = asyncio.get_running_loop()
    handler = loop.get_exception_handler()
    task = asyncio.create_task(server.serve(sockets=[listener]))
    await until(lambda: server.started)
    served = Served(server, listener)
    try:
        yield served
    finally:
        for writer in served.writers:
            writer.transport.abort()
        server.should_exit = True
        await task
        loop.set_exception_handler(handler)
