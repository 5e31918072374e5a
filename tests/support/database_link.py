"""The network between a host and PostgreSQL: a TCP proxy that forwards, or has packets vanish as a broken one does."""

from __future__ import annotations

import asyncio
import ctypes
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread
from types import TracebackType
from typing import Self

from tests.support.connections import Connections
from tests.support.statement_counter import StatementCounter, StatementCounts

_ATTACH_FILTER, _DETACH_FILTER = 26, 27
_RETURN = 0x06
"""The instruction of a socket filter that returns how many bytes of a packet are let through (man 7 socket)."""
_RESET = struct.pack("ii", 1, 0)  # nothing is sent any more: closing resets
_KEEPALIVE = {socket.TCP_KEEPIDLE: 10, socket.TCP_KEEPINTVL: 5, socket.TCP_KEEPCNT: 6}  # seconds, seconds, times

_NOTHING = ctypes.create_string_buffer(struct.pack("=HBBI", _RETURN, 0, 0, 0))
_DROP_ALL = struct.pack("HP", 1, ctypes.addressof(_NOTHING))


class DatabaseLink:
    """A TCP port that leads to a PostgreSQL server's Unix socket, for as long as a ``with`` block lasts.

    While it is cut, the kernel drops every packet that comes to its sockets before it answers them: nothing is
    acknowledged, refused or closed, so that the client's own timeouts (``connect_timeout``, ``tcp_user_timeout``) are
    all that ends its waiting. The server's sessions go on. After `heal` both kernels send again what they had to send.

    Sessions whose client is gone without a word end after 40 seconds, as with ``tcp_keepalives_idle`` set.

    Args:
        socket_path: The server's Unix socket.

    Attributes:
        port: The TCP port, on the loopback address.
        statements: How many statements were forwarded.
    """

    def __init__(self, socket_path: str) -> None:
        self.port = 0
        self.statements = StatementCounts()
        self._socket_path = socket_path
        self._ready = Event()
        self._clients: set[asyncio.StreamWriter] = set()

    def __enter__(self) -> Self:
        self._thread = Thread(target=lambda: asyncio.run(self._serve()), name="database_link", daemon=True)
        self._thread.start()
        assert self._ready.wait(10), "the link did not start"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(10)
        assert not self._thread.is_alive(), "the link did not stop"

    @property
    def is_cut(self) -> bool:
        """Whether packets vanish."""
        return not self._open.is_set()

    def cut(self) -> None:
        """Drop all packets from now on."""
        self._call(self._cut)

    def heal(self) -> None:
        """Forward again, old connections too where neither side has given them up."""
        self._call(self._heal)

    def reset(self) -> None:
        """Reset all connections, as a restarted firewall or load balancer does; new ones are accepted."""
        self._call(self._reset)

    def _call(self, function: Callable[[], object]) -> None:
        done = Event()

        def call() -> None:
            function()
            done.set()

        self._loop.call_soon_threadsafe(call)
        assert done.wait(10), "the link does not respond"

    async def _serve(self) -> None:
        self._loop, self._stopping, self._open = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        self._open.set()
        connections = Connections(self._forward)
        self._listener = socket.create_server(("127.0.0.1", 0))
        server = await asyncio.start_server(connections, sock=self._listener)
        self.port = self._listener.getsockname()[1]
        self._ready.set()
        await self._stopping.wait()
        await connections.close(server)

    def _cut(self) -> None:
        self._open.clear()
        for each in (self._listener, *(writer.get_extra_info("socket") for writer in self._clients)):
            each.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, _DROP_ALL)

    def _heal(self) -> None:
        for each in (self._listener, *(writer.get_extra_info("socket") for writer in self._clients)):
            with suppress(OSError):  # it came while the link was cut, before the listener had its filter
                each.setsockopt(socket.SOL_SOCKET, _DETACH_FILTER, 0)
        self._open.set()

    def _reset(self) -> None:
        for writer in self._clients:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        own = writer.get_extra_info("socket")
        if self.is_cut:  # it was accepted just before
            own.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, _DROP_ALL)
        own.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE.items():
            own.setsockopt(socket.IPPROTO_TCP, option, value)
        try:
            await self._open.wait()
            answers, server = await asyncio.open_unix_connection(self._socket_path)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._pump(reader, server, StatementCounter(self.statements).feed))
                    group.create_task(self._pump(answers, writer))
            finally:
                server.close()
        except* OSError:
            pass  # the server is away, or one side has closed the connection: the other side is closed too
        finally:
            self._clients.discard(writer)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, watch: Callable[[bytes], None] | None = None
    ) -> None:
        while data := await reader.read(65536):
            await self._open.wait()
            if watch is not None:
                watch(data)
            writer.write(data)
            await writer.drain()
        await self._open.wait()
        raise ConnectionResetError  # ends the other direction too
