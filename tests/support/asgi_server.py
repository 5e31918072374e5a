"""An ASGI application behind a real uvicorn on a free loopback port, on the event loop of the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from .wait import until


@asynccontextmanager
async def running_server(app: Any, **config: Any) -> AsyncIterator[str]:
    """Serve ``app`` while the block runs; yield its URL, such as ``http://127.0.0.1:40123``."""
    settings: dict[str, Any] = {"port": 0, "lifespan": "off", "ws": "none", "log_level": "critical", **config}
    server = uvicorn.Server(uvicorn.Config(app, timeout_graceful_shutdown=5, **settings))
    serving = asyncio.create_task(server.serve())
    try:
        await until(lambda: server.started or serving.done())
        assert server.started, serving.exception()
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await serving
