"""An application that is set up by one call shares its numbers with its other workers, and runs on trio."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette

from events import build_read, worker_finished, worker_started
from events.bridges.asgi_types import Message
from metrics import instrument
from tests.support import ports
from tests.support.forks import in_child
from tests.support.server_process import running_server
from tests.support.wait import wait_until

SHOP = """
import os
from fastapi import FastAPI
from metrics import instrument

app = FastAPI()
instrument(app, namespace="acme", folder="shared", revision="abc")

@app.get("/who")
def who() -> int:
    return os.getpid()
"""
SHOP_OF_STARLETTE = """
import os
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from metrics import instrument

app = Starlette(routes=[Route("/who", lambda request: JSONResponse(os.getpid()))])
instrument(app, namespace="acme", folder="shared", version="0.1.0", revision="abc")
"""
"""The same: each worker of uvicorn's imports it, and FastAPI takes as long as everything else."""

UVICORN = ["uvicorn", "shop:app", "--workers", "2", "--port"]
GUNICORN = ["gunicorn", "shop:app", "-k", "uvicorn_worker.UvicornWorker", "-w", "2", "--preload", "-b"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "shop"), [(UVICORN, SHOP_OF_STARLETTE), (GUNICORN, SHOP)], ids=["uvicorn", "gunicorn that preloads"]
)
def test_each_worker_shows_the_numbers_of_all(command: Sequence[str], shop: str, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(shop)
    port = ports.free_port()
    url, log = f"http://127.0.0.1:{port}", tmp_path / "log"
    address = str(port) if command[0] == "uvicorn" else f"127.0.0.1:{port}"
    path = os.pathsep.join([str(tmp_path), *sys.path])
    with running_server(f"{url}/who", ["-m", *command, address], tmp_path, {**os.environ, "PYTHONPATH": path}, log):
        seen: list[int] = [1]  # by the request that told that the server is there

        def both_were_asked() -> bool:
            seen.append(httpx.get(f"{url}/who").json())
            return len({*seen}) == 3

        wait_until(both_were_asked)

        def samples() -> dict[str, float]:
            return {
                sample.name + "".join(sorted(sample.labels.values())): sample.value
                for family in text_string_to_metric_families(httpx.get(f"{url}/metrics").text)
                for sample in family.samples
            }

        wait_until(lambda: samples().get("acme_workers") == 2)
        for _ in range(5):  # whoever answers
            found = samples()
            assert found["acme_http_requests_total/who200GET"] == len(seen)
            assert found["acme_build_info0.1.0abc"] == 1
            assert found["process_open_fds"] > 0
            assert found["acme_workers_counting_alone"] == 0
    assert "numbers will be wrong" not in log.read_text()


@pytest.mark.slow
def test_workers_that_share_nothing_are_told_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SHOP_OF_STARLETTE.replace('folder="shared", ', ""))
    port, log = ports.free_port(), tmp_path / "log"
    path = os.pathsep.join([str(tmp_path), *sys.path])
    with running_server(
        f"http://127.0.0.1:{port}/who",
        ["-m", *UVICORN, str(port)],
        tmp_path,
        {**os.environ, "PYTHONPATH": path},
        log,
    ):
        wait_until(lambda: "(unshared_workers)" in log.read_text())
    assert "Give them a folder in common: instrument(app, folder='/run/acme')" in log.read_text()


def test_the_folder_is_left_when_it_is_closed(tmp_path: Path) -> None:
    handle = instrument(Starlette(), namespace="acme", folder=tmp_path, application="shop")
    assert [*tmp_path.glob("*.worker")]
    handle.close()
    assert [*handle.registry.collect()] == []
    with instrument(Starlette(), namespace="acme", folder=tmp_path, application="shop") as again:
        assert again.registry.get_sample_value("process_open_fds")


def test_a_forked_process_says_its_build_as_it_starts() -> None:
    """It inherits no gauge. The process that made the application has said it then."""
    with instrument(Starlette(), namespace="acme", version="1.2.3", revision="abc") as handle:

        async def start() -> list[tuple[str, str | float | None]]:
            with build_read.captured() as read, handle.lifespan():
                labels = {"version": "1.2.3", "revision": "abc"}
                shown = handle.registry.get_sample_value("acme_build_info", labels)
                return [*((event.version, event.revision) for event in read), ("shown", shown)]

        assert asyncio.run(start()) == [("shown", 1)]
        assert in_child(lambda: asyncio.run(start())) == "[('1.2.3', 'abc'), ('shown', 1.0)]"


def test_it_runs_on_trio() -> None:
    """Where there is no event loop to probe."""
    app = Starlette()
    sent: list[str] = []

    async def live() -> None:
        sender, receiver = trio.open_memory_channel[Message](1)

        async def send(message: Message) -> None:
            sent.append(message["type"])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                app, {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receiver.receive, send
            )
            for phase in ("startup", "shutdown"):
                await sender.send({"type": f"lifespan.{phase}"})

    with instrument(app, namespace="acme"), worker_started.captured() as started, worker_finished.captured() as ended:
        trio.run(live)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert (len(started), [event.status for event in ended]) == (1, ["success"])
