"""The pipe by which a worker says that it accepts requests."""

from __future__ import annotations

import asyncio
import os


async def wait_until_ready(ready_read: int) -> bool:
    """Wait for a worker's byte on a pipe, and close it; return False if the worker closed its end without writing."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[bool] = loop.create_future()

    def read() -> None:
        if not ready.done():
            ready.set_result(bool(os.read(ready_read, 1)))

    loop.add_reader(ready_read, read)
    try:
        return await ready
    finally:
        loop.remove_reader(ready_read)
        os.close(ready_read)
