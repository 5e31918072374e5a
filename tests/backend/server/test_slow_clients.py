"""A client that does not send its request, or does not read its answer, does not hold its connection for ever."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from events import limit_reached
from tests.support.limited_server import serving
from tests.support.wait import until

pytestmark = pytest.mark.slow

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"
PATIENCE = {"receive_timeout": 0.3}


@pytest.mark.parametrize("part", [b"G", b"GET / HTTP/1.1\r\nHo", b"GET / HTTP/1.1\r\nHost: a\r\n"])
async def test_half_a_head_is_answered_with_408(part: bytes) -> None:
    async with serving(**PATIENCE) as served:
        with limit_reached.captured() as reached:
            answer = await served.answer(part)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"SPARKLIO_RECEIVE_TIMEOUT" in answer
        assert [event.limit for event in reached] == ["receive_time"]


async def test_a_head_that_comes_byte_by_byte_has_no_more_time() -> None:
    async with serving(**PATIENCE) as served:
        reader, writer = await served.connect()

        async def trickle() -> None:
            while not reader.at_eof():
                writer.write(b"x")
                await asyncio.sleep(0.05)

        trickling = asyncio.create_task(trickle())
        # Not to the end of the stream: a byte that comes after the server has closed it resets the connection.
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n"), 30)
        trickling.cancel()
        assert answer.startswith(b"HTTP/1.1 408 ")


async def test_a_connection_on_which_nothing_comes_is_closed_without_an_answer() -> None:
    async with serving(**PATIENCE) as served:
        assert await served.answer(b"") == b""


async def test_half_a_second_request_has_the_time_of_a_first_one() -> None:
    async with serving(**PATIENCE) as served:
        reader, writer = await served.connect(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await reader.readuntil(b"hello")
        writer.write(b"GET / HT")
        assert (await asyncio.wait_for(reader.read(), 30)).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("body", [b"half", b"ten bytes."], ids=["half of it", "all of it"])
async def test_a_connection_whose_body_nobody_read_is_closed_in_time(body: bytes) -> None:
    """uvicorn disarms its keep-alive timer with the first byte that comes after the answer."""
    async with serving(**PATIENCE) as served:
        reader, writer = await served.connect(HEAD)
        await reader.readuntil(b"hello")
        writer.write(body)
        assert await asyncio.wait_for(reader.read(), 30) == b""


async def test_a_client_that_does_not_read_its_answer_is_disconnected() -> None:
    async def much(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(200):
            await send({"type": "http.response.body", "body": b"x" * 1_000_000, "more_body": True})

    async with serving(much, **PATIENCE) as served:
        with limit_reached.captured() as reached:
            await served.connect(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await until(lambda: reached, within=30)
            await until(lambda: not served.server.server_state.connections, within=30)
        assert {event.limit for event in reached} == {"send_time"}


async def test_a_request_that_takes_long_to_answer_is_left_alone() -> None:
    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(1.2)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
        await send({"type": "http.response.body", "body": b"at last"})

    async with serving(slow, **PATIENCE) as served:
        with limit_reached.captured() as reached:
            assert (await served.answer(HEAD + b"half")).endswith(b"at last\r\n0\r\n\r\n")
        assert reached == []


async def test_connections_that_are_in_use_stay_open() -> None:
    async with serving(**PATIENCE) as served:
        reader, writer = await served.connect()
        with limit_reached.captured() as reached:
            for _ in range(10):
                writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                await reader.readuntil(b"hello")
                await asyncio.sleep(0.05)
        assert reached == []
