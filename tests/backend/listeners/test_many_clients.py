"""The live feed of a studio in processes of its own: many clients, some of which never read; a stop; two workers."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpx_sse import connect_sse

from tests.support.scripted_studio import scripted_studios
from tests.support.studio import StudioProcess
from tests.support.wait import until, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

REQUEST = b"GET /api/v1/events%s HTTP/1.1\r\nHost: localhost\r\n\r\n"
REFUSALS = 500


@pytest.fixture
def new_studio(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Callable[..., StudioProcess]]:
    with scripted_studios(tmp_path, free_port) as make:
        yield make


class Reader:
    """A client that reads all the time, and notes the ids of the events that it got."""

    def __init__(self, port: int) -> None:
        self.ids: list[bytes] = []
        self.task = asyncio.create_task(self._read(port))

    async def _read(self, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(REQUEST % b"?signal=access_refused")
            rest = b""
            while data := await reader.read(65_536):
                complete, separator, rest = (rest + data).rpartition(b"\n")
                self.ids += re.findall(rb"^id: (\S+)\r$", complete + separator, re.MULTILINE)
        finally:
            writer.transport.abort()


@asynccontextmanager
async def reading_clients(port: int, count: int) -> AsyncIterator[list[Reader]]:
    """Connect clients that read for as long as the block runs."""
    readers = [Reader(port) for _ in range(count)]
    try:
        yield readers
    finally:
        for reader in readers:
            reader.task.cancel()
        await asyncio.wait([reader.task for reader in readers])
        await asyncio.sleep(0)  # their connections are closed in the loop's next round


@asynccontextmanager
async def deaf_clients(port: int, count: int) -> AsyncIterator[list[socket.socket]]:
    """Connect clients that ask for events and read none."""
    clients = []
    for _ in range(count):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", port))
        client.sendall(REQUEST % b"")
        clients.append(client)
    try:
        yield clients
    finally:
        for client in clients:
            client.close()


async def make_requests(port: int, count: int, host: bytes = b"localhost") -> None:
    """Make requests on one connection: each is an event, and one more where the host is refused."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(count // 100):
        writer.write(b"GET /health/no HTTP/1.1\r\nHost: %s\r\n\r\n" % host * 100)
        answered = 0
        while answered < 100:
            answered += (await reader.readuntil(b"}")).count(b"HTTP/1.1 4")
    writer.transport.abort()


async def total(studio: StudioProcess, name: str, **labels: str) -> float:
    """Return what `StudioProcess.total` returns; the clients go on reading meanwhile."""
    return await asyncio.to_thread(studio.total, name, **labels)


def resident_bytes(studio: StudioProcess) -> int:
    status = Path(f"/proc/{studio.process.pid}/status").read_text()
    [kilobytes] = re.findall(r"VmRSS:\s+(\d+) kB", status)
    return int(kilobytes) * 1024


async def test_two_hundred_clients_of_which_fifty_never_read(new_studio: Callable[..., StudioProcess]) -> None:
    """These are left behind, the others get every event, and the memory stays bounded."""
    with new_studio(receive_timeout=200) as studio:
        port = int(studio.url.rpartition(":")[2])
        async with deaf_clients(port, 50), reading_clients(port, 150) as readers:
            await asyncio.to_thread(wait_until, lambda: studio.total("live_feed_clients") == 200)
            refused = await asyncio.to_thread(studio.client.get, "/api/v1/events")
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
            before = resident_bytes(studio)
            await make_requests(port, REFUSALS, b"elsewhere")
            while await total(studio, "limits_reached_total", limit="live_queue") < 50:
                await make_requests(port, 1_000)
            await make_requests(port, REFUSALS, b"elsewhere")
            await until(lambda: all(len(reader.ids) == 2 * REFUSALS for reader in readers), within=120)
            grown = resident_bytes(studio) - before
            assert await total(studio, "live_feed_clients") == 150
            assert await total(studio, "limits_reached_total", limit="live_clients") == 1
            assert await total(studio, "listener_events_total", listener="live_feed", outcome="dropped") == 0
            for reader in readers:
                assert reader.ids == readers[0].ids
            assert len(set(readers[0].ids)) == 2 * REFUSALS
            assert grown < 50 * 1024 * 1024
            assert (await asyncio.to_thread(studio.client.get, "/health/live")).status_code == 200


async def test_a_studio_that_drains_ends_its_streams_and_goes_on(new_studio: Callable[..., StudioProcess]) -> None:
    with new_studio(drain_time=1000) as studio:
        port = int(studio.url.rpartition(":")[2])
        async with reading_clients(port, 3) as readers:
            await asyncio.to_thread(wait_until, lambda: studio.total("live_feed_clients") == 3)
            studio.process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(asyncio.gather(*(reader.task for reader in readers)), 30)
        assert (await asyncio.to_thread(studio.client.get, "/health/live")).status_code == 200
        assert (await asyncio.to_thread(studio.client.get, "/api/v1/events")).status_code == 503
        assert await asyncio.to_thread(studio.stop) == 0


async def test_a_studio_with_clients_stops_at_once(new_studio: Callable[..., StudioProcess]) -> None:
    """Nobody waits for those who read, nor for those who do not."""
    with new_studio(receive_timeout=200) as studio:
        port = int(studio.url.rpartition(":")[2])
        async with deaf_clients(port, 5), reading_clients(port, 5) as readers:
            await make_requests(port, 100, b"elsewhere")
            await until(lambda: all(reader.ids for reader in readers))
            while await total(studio, "limits_reached_total", limit="live_queue") < 5:
                await make_requests(port, 1_000)
            assert await asyncio.to_thread(studio.stop) == 0
            await asyncio.wait_for(asyncio.gather(*(reader.task for reader in readers)), 30)
    for word in ("Cancel", "Traceback", "without completing", "not stopped within"):
        assert word not in studio.output, studio.output


def test_each_of_two_workers_has_the_events_of_both(
    new_studio: Callable[..., StudioProcess], new_postgres: Callable[[], str]
) -> None:
    """A client gets every run, whichever worker executes it, and the metrics are their sum."""
    with new_studio(workers=2, database_url=new_postgres(), concurrency=1) as studio:
        with (
            httpx.Client(timeout=60) as client,
            connect_sse(client, "GET", f"{studio.url}/api/v1/events", params={"signal": "workflow_finished"}) as source,
        ):
            messages = source.iter_sse()
            status: dict[str, Any] = next(messages).json()
            while status["processes"] < 2:
                status = next(messages).json()
            assert status["reach"] == "workers"
            wait_until(lambda: studio.total("live_feed_clients") == 1)
            runs = set[str]()
            finished = Counter[str]()
            processes = set[str]()
            while len(processes) < 2:  # one that has started late has not taken any of the first
                runs |= {studio.submit("product_content") for _ in range(8)}
                while finished.total() < len(runs):
                    event = next(messages).json()
                    finished[event["fields"]["run_id"]] += 1
                    processes.add(event["process"])
        assert finished == Counter(runs)
        assert studio.total("workflows_total", status="completed") == len(runs)
        assert studio.total("listener_events_total", listener="live_relay", outcome="delivered") > 0
        wait_until(lambda: studio.total("live_feed_clients") == 0)


def test_a_studio_without_a_live_feed_answers_that_there_is_none(new_studio: Callable[..., StudioProcess]) -> None:
    with new_studio(live="false") as studio:
        assert studio.client.get("/api/v1/events").status_code == 404
        assert studio.scrape("live_feed_clients") == []
