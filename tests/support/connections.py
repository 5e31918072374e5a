"""The connections of an asyncio server in a test, all closed with it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


class Connections:
    """Calls back for `asyncio.start_server`, once for each connection, on a loop that does nothing else.

    Args:
        serve: Serves one connection, in a task of its own.
    """

    def __init__(self, serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> None:
        self._serve = serve
        self._writers: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._run(reader, writer))
        self._writers[task] = writer
        task.add_done_callback(self._writers.pop)

    async def _run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._serve(reader, writer)
        finally:
            writer.close()

    async def close(self, server: asyncio.Server) -> None:
        """Stop a server, cancel what it serves and close all connections, those too that have just been accepted."""
        for listener in server.sockets:  # closed at the end: what is being accepted would fail on a closed server
            asyncio.get_running_loop().remove_reader(listener)
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            for task, writer in self._writers.items():
                task.cancel()
                writer.transport.abort()  # a task that is cancelled before its first step closes nothing
            await asyncio.wait(tasks)
        server.close()
        await asyncio.sleep(0)  # transports close in the loop's next turn
