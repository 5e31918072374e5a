"""The server of a metrics port of its own, beside the studio's on the same event loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn


@asynccontextmanager
async def serve_metrics(app: Any, listener: socket.socket) -> AsyncGenerator[None]:
    """Serve an ASGI application on a listening socket while the block runs."""
    config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=1)
    server = _ServerWithoutSignals(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await task


class _ServerWithoutSignals(uvicorn.Server):
    """A uvicorn server that leaves signals to the studio's."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield
