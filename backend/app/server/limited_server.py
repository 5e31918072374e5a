"""uvicorn's server with limits for its clients, and without signals of its own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Generator
from contextlib import contextmanager

import uvicorn

from app.settings import Settings

from .connection_limit import Listener, connection_limit, report_lack_of_descriptors
from .slow_clients import SlowClients


class LimitedServer(uvicorn.Server):
    """A uvicorn server that leaves signals to us: it would raise them again before the studio has stopped."""

    def __init__(self, config: uvicorn.Config, settings: Settings) -> None:
        super().__init__(config)
        self._max_connections = connection_limit(settings.max_connections)
        self._slow_clients = SlowClients(settings.receive_timeout)

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().set_exception_handler(report_lack_of_descriptors)
        for listener in sockets or ():
            if isinstance(listener, Listener):
                listener.max_connections = self._max_connections
        await super().startup(sockets)

    async def on_tick(self, counter: int) -> bool:
        self._slow_clients.close(self.server_state.connections, asyncio.get_running_loop().time())
        return await super().on_tick(counter)
