"""Messages that are received for the application: none is lost, whatever `receive` returns, on asyncio and on trio."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from events import HTTPRequestFinished
from events.bridges.asgi import HTTPEventsMiddleware, disconnects
from events.bridges.asgi.inbox import Inbox, longest_wait
from tests.support.asgi_apps import minimal_app, receive_nothing, send_nowhere

BODY = {"type": "http.request", "body": b"abc", "more_body": True}
END = {"type": "http.request", "body": b"", "more_body": False}
GONE = {"type": "http.disconnect"}
SCOPE = {"type": "http", "method": "POST", "path": "/", "headers": [(b"content-length", b"3")]}


def receiver(*messages: Any) -> Callable[[], Awaitable[Any]]:
    left = list(messages)

    async def receive() -> Any:
        return left.pop(0) if left else await asyncio.Event().wait()

    return receive


def inbox_of(receive: Any) -> tuple[Inbox, list[Any]]:
    observed: list[Any] = []
    return Inbox(receive, observed.append), observed


async def test_a_message_that_is_there_is_observed_once_and_is_the_applications() -> None:
    inbox, observed = inbox_of(receiver(BODY, END, GONE))
    assert await inbox.look(0)
    assert (len(inbox), observed) == (1, [BODY])
    assert [await inbox.take(), await inbox.take()] == [BODY, END]
    assert observed == [BODY, END]


async def test_a_message_that_comes_after_the_look_is_the_applications_too() -> None:
    """A queue's `get` that is cancelled loses none, but not every server's `receive` is one."""
    futures: list[asyncio.Future[Any]] = []

    def receive() -> asyncio.Future[Any]:
        futures.append(asyncio.get_running_loop().create_future())
        return futures[-1]

    inbox, observed = inbox_of(receive)
    assert not await inbox.look(0.001)
    assert not await inbox.look(0.001)
    impatient = asyncio.create_task(inbox.take())
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.wait((impatient,))
    futures[0].set_result(GONE)
    assert await inbox.take() == GONE
    assert (len(futures), observed) == (1, [GONE])


async def test_a_server_in_threads_of_its_own_is_waited_for() -> None:
    def receive() -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        loop.call_later(0.01, future.set_result, GONE)
        return future

    inbox, _ = inbox_of(receive)
    assert await inbox.look(5)


async def test_what_receive_raises_is_raised_to_the_application_and_to_no_check() -> None:
    async def breaks() -> Any:
        raise LookupError

    inbox, observed = inbox_of(breaks)
    assert not await inbox.look(0)
    for _ in range(2):  # the second time by itself
        with pytest.raises(LookupError):
            await inbox.take()
    assert not observed


async def test_nothing_is_received_after_the_application_has_returned() -> None:
    inbox, _ = inbox_of(receive_nothing)
    assert not await inbox.look(0)
    inbox.close()
    assert inbox._receiving is not None
    await asyncio.wait((inbox._receiving,))
    assert inbox._receiving.cancelled()


async def test_a_body_that_comes_in_pieces_does_not_hide_the_disconnect(
    requests: list[HTTPRequestFinished], monkeypatch: pytest.MonkeyPatch
) -> None:
    """hypercorn and granian send a message for the body's end."""
    monkeypatch.setattr(disconnects, "CHECK_AFTER_SECONDS", 0.0)
    await HTTPEventsMiddleware(minimal_app)(dict(SCOPE), receiver(BODY, BODY, END, GONE), send_nowhere)
    assert [(request.outcome, request.request_size) for request in requests] == [("client_disconnect", 6)]


@pytest.mark.parametrize(
    ("messages", "outcome"), [([END], "ok"), ([END, GONE], "client_disconnect"), ([GONE], "client_disconnect")]
)
def test_on_trio_a_check_receives_what_is_there(
    messages: list[Any], outcome: str, requests: list[HTTPRequestFinished], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disconnects, "CHECK_AFTER_SECONDS", 0.0)

    async def serve() -> None:
        server, application = trio.open_memory_channel[Any](10)
        for message in messages:
            await server.send(message)
        await HTTPEventsMiddleware(minimal_app)(dict(SCOPE), application.receive, send_nowhere)

    trio.run(serve, clock=MockClock(autojump_threshold=0))  # a busy machine's time does not count
    assert [request.outcome for request in requests] == [outcome]


@pytest.mark.parametrize(("duration", "longest"), [(0.0, 0.0), (0.1, 0.004), (0.5, 0.02), (60.0, 0.02)])
def test_a_check_waits_for_a_share_of_the_time_that_the_answer_took(duration: float, longest: float) -> None:
    assert longest_wait(duration) == pytest.approx(longest)
