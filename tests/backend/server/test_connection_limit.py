"""A server has no more connections open than it may, and never as many as there are descriptors."""

from __future__ import annotations

import asyncio
import errno
import logging
import resource

import pytest

from app.server import connection_limit
from app.server.connection_limit import report_lack_of_descriptors
from events import limit_reached
from events.bus.log_throttle import LogThrottle
from tests.support.limited_server import serving
from tests.support.wait import until

pytestmark = pytest.mark.slow

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture(autouse=True)
def nothing_logged_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_limit, "_throttle", LogThrottle())


async def test_connections_past_the_limit_are_refused_with_one_log_line(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(max_connections=3) as served:
        open_ones = [await served.connect(REQUEST) for _ in range(3)]
        for reader, _ in open_ones:
            await reader.readuntil(b"hello")
        with limit_reached.captured() as reached:
            for _ in range(5):
                answer = await served.answer(b"")
                head, _, body = answer.partition(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 503 ")
                assert b"Content-Length: %d" % len(body) in head
        assert [event.limit for event in reached] == ["connections"] * 5
        assert len([record for record in caplog.records if "SPARKLIO_MAX_CONNECTIONS" in record.message]) == 1


async def test_a_connection_that_is_closed_makes_room() -> None:
    async with serving(max_connections=1) as served:
        for _ in range(5):
            reader, writer = await served.connect(REQUEST)
            await reader.readuntil(b"hello")
            writer.close()
            await until(lambda: not served.server.server_state.connections)


async def test_a_flood_leaves_descriptors_for_others() -> None:
    async with serving(max_connections=10) as served:
        flood = [asyncio.create_task(served.answer(b"")) for _ in range(60)]
        await until(lambda: sum(task.done() for task in flood) >= 50)
        assert len(served.server.server_state.connections) <= 10
        for task in flood:
            task.cancel()
        await asyncio.gather(*flood, return_exceptions=True)


@pytest.mark.parametrize(
    ("descriptors", "wanted", "limit"),
    [(1024, 1000, 924), (1024, 100, 100), (64, 1000, 8), (resource.RLIM_INFINITY, 1000, 1000)],
)
def test_the_limit_is_below_the_descriptors(
    monkeypatch: pytest.MonkeyPatch, descriptors: int, wanted: int, limit: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (descriptors, descriptors))
    assert connection_limit.connection_limit(wanted) == limit


async def test_a_lack_of_descriptors_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.get_running_loop()
    context = {"message": "socket.accept() out of system resource", "exception": OSError(errno.EMFILE, "Too many")}
    for _ in range(1000):
        report_lack_of_descriptors(loop, context)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    report_lack_of_descriptors(loop, {"message": "something else"})
    assert caplog.records[-1].message == "something else"
