"""uvicorn's server with limits for its clients, and without signals of its own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any

import uvicorn

from app.settings import Settings

from .connection_limit import Listener, connection_limit, report_lack_of_descriptors
from .slow_clients import SlowClients

STOP_PATIENCE = 1.0
"""Seconds that a client may take to read some of an answer while the server stops."""


class Connections(set[Any]):
    """The connections of a server; ``on_first()`` is called as one comes while there is no other."""

    def __init__(self, on_first: Callable[[], None]) -> None:
        super().__init__()
        self._on_first = on_first

    def add(self, connection: Any) -> None:
        if not self:
            self._on_first()
        super().add(connection)


class LimitedServer(uvicorn.Server):
    """A uvicorn server that leaves signals to us: it would raise them again before the studio has stopped."""

    def __init__(self, config: uvicorn.Config, settings: Settings) -> None:
        self._exit, self._woken = asyncio.Event(), asyncio.Event()
        super().__init__(config)
        self.server_state.connections = Connections(self._woken.set)
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

    @property
    def should_exit(self) -> bool:
        """Whether the server is to stop; setting it wakes the main loop."""
        return self._exit.is_set()

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        if value:
            self._exit.set()
            self._woken.set()
        else:
            self._exit.clear()

    async def main_loop(self) -> None:
        """Look after the connections, once a second or as often as their limits need it, until the server is to stop.

        While there are none, nothing is done until the first one comes, before anything is read from it. uvicorn's own
        loop ticks ten times a second, which would be half of what an idle studio takes.
        """
        while not await self.on_tick(0):  # the counter 0: the Date header is written anew
            self._woken.clear()
            interval = self._slow_clients.interval if self.server_state.connections else None
            with suppress(TimeoutError):
                async with asyncio.timeout(interval):
                    await self._woken.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        watching = asyncio.create_task(self._close_stalled())
        try:
            await super().shutdown(sockets)
        finally:
            watching.cancel()

    async def _close_stalled(self) -> None:
        """Close the connections whose clients read nothing for a second: a stop waits for those who do."""
        stalled = SlowClients(STOP_PATIENCE)
        while True:
            stalled.close(self.server_state.connections, asyncio.get_running_loop().time())
            await asyncio.sleep(stalled.interval)

    async def on_tick(self, counter: int) -> bool:
        self._slow_clients.close(self.server_state.connections, asyncio.get_running_loop().time())
        return await super().on_tick(counter)
