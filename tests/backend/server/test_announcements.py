"""The launcher says when the studio starts, is ready, stops and has stopped."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from app.server.announcements import Announcements
from app.server.sockets import Listeners, listen
from app.server.uvicorn_server import stop_on_signals
from app.settings import Role, Settings


@pytest.fixture
def listeners(caplog: pytest.LogCaptureFixture) -> Iterator[Listeners]:
    caplog.set_level(logging.INFO, "app")
    with ExitStack() as sockets:
        api = sockets.enter_context(listen("127.0.0.1", 0))
        yield Listeners(api, api)


def test_a_studio_that_drains_says_for_how_long(listeners: Listeners, caplog: pytest.LogCaptureFixture) -> None:
    announcements = Announcements(Settings(drain_time=6.0), listeners)
    announcements.starting()
    announcements.ready()
    announcements.stopping()
    announcements.stopping()
    announcements.stopped()
    assert [record.getMessage() for record in caplog.records] == [
        f"starting on 127.0.0.1:{listeners.api.getsockname()[1]}",
        "stopping, draining for 6 s: /health/ready answers 503; a second signal ends it",
        "stopped",
    ]


@pytest.mark.parametrize(("drain_time", "is_ready"), [(0.0, True), (6.0, False)])
def test_a_studio_that_does_not_drain_stops(
    listeners: Listeners, caplog: pytest.LogCaptureFixture, drain_time: float, is_ready: bool
) -> None:
    announcements = Announcements(Settings(drain_time=drain_time), listeners)
    if is_ready:
        announcements.ready()
    announcements.stopping()
    announcements.stopped()
    assert [record.getMessage() for record in caplog.records] == ["stopping", "stopped"]


def test_a_studio_that_could_not_start_has_not_stopped(listeners: Listeners, caplog: pytest.LogCaptureFixture) -> None:
    Announcements(Settings(), listeners).stopped()
    assert caplog.records == []


@pytest.mark.parametrize("role", ["all", "api", "worker"])
def test_the_role_is_announced(
    role: Role, listeners: Listeners, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    announcements = Announcements(Settings(role=role, database_url="postgresql://u:p@host/name"), listeners)
    announcements.starting()
    announcements.ready()
    address = f"127.0.0.1:{listeners.api.getsockname()[1]}"
    assert caplog.messages == [f"starting on {address}" + ("" if role == "all" else f" as {role}")]
    ready, first = {
        "all": ("Sparklio is", f"API http://{address}/docs"),
        "api": ("Sparklio's API, whose runs workers execute, is", f"API http://{address}/docs"),
        "worker": ("Sparklio's worker, which executes runs, is", f"health http://{address}/health"),
    }[role]
    assert capsys.readouterr().out.splitlines() == [
        f"{ready} ready at http://{address}",
        f"  {first}   metrics http://{address}/metrics   stop with Ctrl-C",
    ]


async def test_a_signal_is_announced_before_it_stops_anything() -> None:
    done = asyncio.Event()
    order: list[str] = []

    def stop() -> None:
        order.append("stop")
        done.set()

    with stop_on_signals(stop, lambda: order.append("announced")):
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(done.wait(), 60)
    assert order == ["announced", "stop"]
