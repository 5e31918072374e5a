"""The same application on every ASGI server, each a process of its own: what its clients saw is what was counted."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import httpx
import pytest
import websockets

from tests.support.asgi_apps import request_and_disconnect
from tests.support.asgi_servers import LARGE, SERVERS, RunningServer, started
from tests.support.wait import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.servers("granian", "hypercorn", "h2", "daphne", "uvloop", "httptools")]


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[ExitStack, dict[str, RunningServer]]]:
    with ExitStack() as stack:
        yield stack, {}


@pytest.fixture(scope="module", params=SERVERS)
def server(
    request: pytest.FixtureRequest,
    running: tuple[ExitStack, dict[str, RunningServer]],
    free_port: Callable[[], int],
    tmp_path_factory: pytest.TempPathFactory,
) -> RunningServer:
    """Return a server, started once and stopped with the last of them, whatever the order of the tests."""
    stack, servers = running
    if request.param not in servers:
        servers[request.param] = stack.enter_context(
            started(request.param, free_port(), tmp_path_factory.mktemp("server"))
        )
    return servers[request.param]


@pytest.fixture
async def client(server: RunningServer) -> Any:
    async with httpx.AsyncClient(base_url=server.url, timeout=10) as client:
        yield client


async def test_responses_of_any_duration_come_and_count_once(server: RunningServer, client: httpx.AsyncClient) -> None:
    responses = await asyncio.gather(*(client.get(f"/slow/{milliseconds}") for milliseconds in (1, 60, 120, 300, 1100)))
    assert [(response.status_code, response.text) for response in responses] == [(200, "slow")] * 5
    endpoint = "/slow/{milliseconds:int}"
    server.until_counted(endpoint, {"200": 5})
    assert server.counted(endpoint, name="http_request_outcomes_total", by="outcome") == {"ok": 5}
    total = server.counted(endpoint, name="http_request_duration_seconds_sum", by="method")["GET"]
    assert 1.581 <= total < 3


async def test_heads_and_paths_that_there_are_not(server: RunningServer, client: httpx.AsyncClient) -> None:
    before = server.counted("unmatched").get("404", 0)
    assert (await client.head("/plain")).status_code == 200
    assert (await client.get("/plain")).text == "plain"
    assert (await client.get("/empty")).status_code == 204
    assert [(await client.get(f"/absent/{number}")).status_code for number in range(3)] == [404] * 3
    server.until_counted("/plain", {"GET": 1, "HEAD": 1}, by="method")
    server.until_counted("/empty", {"204": 1})
    assert server.counted("unmatched")["404"] - before == 3


async def test_bodies_of_any_size_arrive_however_slow_the_response(
    server: RunningServer, client: httpx.AsyncClient
) -> None:
    """What a check read ahead of the application is still the application's."""
    sizes = [0, 3, 60_000, 3_000_000]
    responses = await asyncio.gather(*(client.post("/slow-read", content=b"x" * size) for size in sizes))
    assert [int(response.text) for response in responses] == sizes
    assert int((await client.post("/read", content=LARGE)).text) == len(LARGE)
    assert (await client.get("/large")).content == LARGE
    server.until_counted("/slow-read", {"200": 4})
    server.until_counted("/read", {"200": 1})
    server.until_counted("/large", {"200": 1})


async def test_a_slow_response_to_a_body_that_was_not_read_comes(
    server: RunningServer, client: httpx.AsyncClient
) -> None:
    for size in (0, 3, 60_000):
        assert (await client.post("/slow-unread", content=b"x" * size)).text == "unread"
    assert (await client.get("/slow-unread")).text == "unread"
    server.until_counted("/slow-unread", {"200": 4})


async def test_streams(server: RunningServer, client: httpx.AsyncClient) -> None:
    if not server.kind.cancels:
        return
    responses = await asyncio.gather(*(client.get("/stream") for _ in range(5)))
    assert [response.text for response in responses] == ["chunk" * 5] * 5
    server.until_counted("/stream", {"200": 5})
    [streams] = server.counted("/stream", name="http_stream_duration_seconds_count", by="endpoint").values()
    assert streams == 5


async def test_errors_of_the_application(server: RunningServer, client: httpx.AsyncClient) -> None:
    alone = {"Connection": "close"}  # most servers close a connection whose application raised
    assert [(await client.get("/broken", headers=alone)).status_code for _ in range(2)] == [500] * 2
    server.until_counted("/broken", {"server_error": 2}, name="http_request_outcomes_total", by="outcome")
    if not server.kind.cancels:
        return
    with suppress(httpx.HTTPError):  # or cut it, so that the client sees that something is missing; daphne does nothing
        await client.get("/broken-stream", headers=alone, timeout=1)
    server.until_counted("/broken-stream", {"stream_aborted": 1}, name="http_request_outcomes_total", by="outcome")


async def test_a_client_that_disconnects_before_the_response_is_a_499(server: RunningServer) -> None:
    """Once the application has its request: a server may see both at once, and then calls no application."""
    writers = []
    for body in ("", "abc") * 2:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        method = "POST" if body else "GET"
        writer.write(f"{method} /work HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        writers.append(writer)
    await asyncio.to_thread(wait_until, lambda: server.kind.workers > 1 or server.in_flight()[0] >= 4)
    await asyncio.sleep(0.2 if server.kind.workers > 1 else 0)
    for writer in writers:
        writer.close()
        await writer.wait_closed()
    await asyncio.to_thread(server.until_counted, "/work", {"499": 4})


async def test_a_client_that_disconnects_during_a_stream_is_a_499(server: RunningServer) -> None:
    if not server.kind.cancels:
        return
    await request_and_disconnect(server.url, "GET /ticks HTTP/1.1\nHost: x\n\n", wait_for=b"tick")
    server.until_counted("/ticks", {"499": 1})
    server.until_counted("/ticks", {"client_disconnect": 1}, name="http_request_outcomes_total", by="outcome")


async def test_many_at_once(server: RunningServer, client: httpx.AsyncClient) -> None:
    responses = await asyncio.gather(*(client.get(f"/many/{1 + number % 4 * 30}") for number in range(200)))
    assert {response.status_code for response in responses} == {200}
    server.until_counted("/many/{milliseconds:int}", {"200": 200})


async def test_nothing_is_open_afterwards(server: RunningServer, client: httpx.AsyncClient) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(client.get("/open/700"))
        await asyncio.to_thread(wait_until, lambda: server.in_flight() == (1, 0))
    await asyncio.to_thread(wait_until, lambda: server.in_flight() == (0, 0))  # other workers see it within a second


async def test_websockets_that_either_side_closes(server: RunningServer) -> None:
    address = server.url.replace("http", "ws") + "/socket/echo"
    async with websockets.connect(address) as socket:  # closed by the client
        await socket.send("one")
        assert await socket.recv() == "one"
    async with websockets.connect(address) as socket:  # by the application
        await socket.send("4001")
        with pytest.raises(websockets.ConnectionClosed):
            await socket.recv()
    async with websockets.connect(address) as socket:  # by nobody
        socket.transport.abort()
    expected = Counter(["1000" if server.kind.close_codes else "1006", "4001", "1006"])

    def as_expected() -> bool:
        codes = server.counted("/socket/echo", name="websocket_sessions_total", by="close_code")
        codes["1006"] = codes.pop("1005", 0) + codes.get("1006", 0)  # some servers call a lost connection 1005
        return codes == expected

    await asyncio.to_thread(wait_until, as_expected)
    messages = server.counted("/socket/echo", name="websocket_messages_total", by="direction")
    assert messages == {"received": 2, "sent": 1}


async def test_websockets_that_are_refused(server: RunningServer) -> None:
    base = server.url.replace("http", "ws")
    for path in ("refuse", "deny"):
        with pytest.raises(websockets.InvalidHandshake):
            async with websockets.connect(f"{base}/socket/{path}"):
                pass
    server.until_counted("/socket/refuse", {"403": 1})
    server.until_counted("/socket/deny", {"425": 1} if server.kind.denial else {"500": 1})


async def test_websockets_that_break(server: RunningServer) -> None:
    base = server.url.replace("http", "ws")
    async with websockets.connect(f"{base}/socket/broken", close_timeout=1) as socket:
        await socket.send("go")
        with suppress(websockets.ConnectionClosed, TimeoutError):  # daphne leaves it open
            await asyncio.wait_for(socket.recv(), 1)
    server.until_counted("/socket/broken", {"1006": 1}, name="websocket_sessions_total", by="close_code")


async def test_a_websocket_that_only_sends_ends_with_its_client(server: RunningServer) -> None:
    """hypercorn and granian drop what is sent to a client that is gone, and the application never ends."""
    async with websockets.connect(server.url.replace("http", "ws") + "/socket/sending", close_timeout=2) as socket:
        await socket.recv()
        await socket.close(4002)

    def codes() -> dict[str, float]:
        return server.counted("/socket/sending", name="websocket_sessions_total", by="close_code")

    await asyncio.to_thread(wait_until, codes)
    # daphne's `send` may fail before the close is looked for.
    assert codes() in ([{"1006": 1}] if not server.kind.close_codes else [{"other": 1}, {"1006": 1}])


async def test_http_2_with_early_hints_pushes_and_trailers(server: RunningServer) -> None:
    async with httpx.AsyncClient(base_url=server.url, http1=not server.kind.http2, http2=server.kind.http2) as client:
        response = await client.get("/extensions")
        assert (response.status_code, response.text) == (200, "extended")
        assert response.http_version == ("HTTP/2" if server.kind.http2 else "HTTP/1.1")
    server.until_counted("/extensions", {"200": 1})
