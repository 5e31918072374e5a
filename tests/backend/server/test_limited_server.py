"""The server looks after its connections, and does nothing while there are none."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from time import time

from tests.support.limited_server import Served, serving
from tests.support.wait import until

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@contextmanager
def counting_ticks(served: Served) -> Iterator[list[int]]:
    """Count how often the server looks after its connections."""
    ticks, tick = list[int](), served.server.on_tick

    async def on_tick(counter: int) -> bool:
        ticks.append(len(served.server.server_state.connections))
        return await tick(counter)

    served.server.on_tick = on_tick  # type: ignore[method-assign]
    yield ticks


async def test_without_connections_nothing_is_looked_after() -> None:
    async with serving(receive_timeout=0.04) as served:  # looks every hundredth of a second
        with counting_ticks(served) as ticks:
            await asyncio.sleep(0.5)
            assert ticks == []


async def test_connections_are_looked_after_for_as_long_as_there_are_any() -> None:
    async with serving(receive_timeout=0.4) as served:
        with counting_ticks(served) as ticks:
            _, writer = await served.connect()
            await until(lambda: len(ticks) >= 3)
            assert ticks[:2] == [1, 1]
            writer.transport.abort()
            await until(lambda: not served.server.server_state.connections)
            await until(lambda: ticks[-1] == 0)
            seen = len(ticks)
            await asyncio.sleep(0.5)
            assert len(ticks) == seen


async def test_the_first_connection_after_a_rest_has_the_time_of_now() -> None:
    async with serving() as served:
        await asyncio.sleep(1.1)
        before = int(time())
        head = (await served.answer(REQUEST)).decode()
        [date] = [line.partition(": ")[2] for line in head.split("\r\n") if line.startswith("date: ")]
        assert parsedate_to_datetime(date).timestamp() >= before


async def test_a_server_without_connections_stops_at_once() -> None:
    async with serving() as served:
        await asyncio.sleep(0.05)
        served.server.should_exit = True
        await until(lambda: not served.server.servers[0].is_serving())
