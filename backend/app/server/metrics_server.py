"""The server of a metrics port of its own, beside the studio's on the same event loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from app.settings import Settings

from .limited_server import LimitedServer


@asynccontextmanager
async def serve_metrics(app: Any, listener: socket.socket, settings: Settings) -> AsyncGenerator[None]:
    """Serve an ASGI application on a listening socket while the block runs."""
    config = uvicorn.Config(
        app, lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=1, http="h11"
    )
    server = LimitedServer(config, settings)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await task
