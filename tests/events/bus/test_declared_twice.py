"""One file that is run under two names declares its events once; two classes of one name are an error that helps."""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module, invalidate_caches
from pathlib import Path
from typing import Any

import httpx
import pytest
from blinker import Namespace, default_namespace
from prometheus_client import CollectorRegistry

from events import Signal, receiver_failed
from metrics import counter, subscribe
from tests.support.ports import free_port
from tests.support.wait import wait_until

ROOT = Path(__file__).parents[3]

MAIN = """
import sys
from dataclasses import dataclass
from enum import Enum

from fastapi import FastAPI

from events import Label, Signal
from metrics import counter, instrument

class Channel(Enum):
    WEB = "web"
    PHONE = "phone"

@dataclass(frozen=True, slots=True, kw_only=True)
class WreathBound:
    country: Label
    channel: Channel = Channel.WEB

wreath_bound = Signal(WreathBound)
ROWS = (counter("wreaths_total", "Wreaths.", wreath_bound, labels=("country", "channel")),)
app = FastAPI()
instrument(app, namespace="acme", rows=ROWS, label_limits={"country": 5})

@app.post("/wreaths/{country}")
def bind(country: str) -> str:
    wreath_bound.emit(country=country, channel=Channel.PHONE)
    for name in ("__main__", "__mp_main__"):  # the other run of this file, whose class is another one
        other = sys.modules[name]
        if hasattr(other, "wreath_bound") and other is not sys.modules[__name__]:
            other.wreath_bound.send(other.WreathBound(country=country, channel=other.Channel.PHONE))
            return name
    return "none"

if __name__ == "__main__":
    import uvicorn
    uvicorn.run("main:app", port=int(sys.argv[1]), **eval(sys.argv[2]))
"""

ROWS_OF_SHOP = '''
from dataclasses import dataclass
from enum import Enum

from events import Label, Signal

class Channel(Enum):
    WEB = "web"
    PHONE = "phone"

class Box:
    """Context, which is no label."""

@dataclass(frozen=True, slots=True, kw_only=True)
class GarlandHung:
    country: Label
    channel: Channel = Channel.WEB
    box: Box | None = None

garland_hung = Signal(GarlandHung)
'''


@contextmanager
def program(folder: Path, port: int, options: str) -> Iterator[Path]:
    """Run ``python main.py`` with options for uvicorn until the block ends; yield its log."""
    (folder / "main.py").write_text(MAIN)
    log = folder.parent / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "main.py", str(port), options],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    with process:
        try:
            wait_until(lambda: "startup complete" in log.read_text() or process.poll() is not None)
            yield log
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "first_run"), [({}, "__main__"), ({"workers": 2}, "__mp_main__"), ({"reload": True}, "__mp_main__")]
)
def test_a_program_whose_server_imports_it_again_counts_each_event_once(
    tmp_path: Path, options: dict[str, Any], first_run: str
) -> None:
    folder, port = tmp_path / "app", free_port()
    folder.mkdir()
    with program(folder, port, repr(options)) as log, httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        answer = wait_until(lambda: post(client, log))
        assert answer.json() in (first_run, "__main__")  # a child has its first run under both names
        served = client.get("/metrics").text  # of the same worker, whose connection it is
    counted = re.findall(r'^acme_wreaths_total\{channel="phone",country="KR"\} (\S+)$', served, re.MULTILINE)
    assert counted == ["2.0"], served  # one emitted, one sent
    assert "declared twice" not in log.read_text()
    assert "Traceback" not in log.read_text(), log.read_text()


def post(client: httpx.Client, log: Path) -> httpx.Response | None:
    """Return the answer to a request that emits, None while nobody listens yet."""
    assert "Traceback" not in log.read_text(), log.read_text()
    try:
        return client.post("/wreaths/KR")
    except httpx.ConnectError:
        return None


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a folder on the import path with ``src/garlands/rows.py``; its events are forgotten when the test ends."""
    folder = tmp_path / "src" / "garlands"
    folder.mkdir(parents=True)
    (folder / "rows.py").write_text(ROWS_OF_SHOP)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "src")
    monkeypatch.setattr(sys, "path", [*sys.path])
    invalidate_caches()
    before, modules = {*default_namespace}, {*sys.modules}
    yield tmp_path
    for name in {*sys.modules} - modules:
        del sys.modules[name]
    for name in {*default_namespace} - before:
        del default_namespace[name]


@pytest.mark.usefixtures("shop")
def test_one_file_under_two_import_paths_is_one_declaration(caplog: pytest.LogCaptureFixture) -> None:
    first: Any = import_module("garlands.rows")
    registry, received = CollectorRegistry(), list[Any]()
    rows = (
        counter("garlands_total", "Garlands.", first.garland_hung, labels=("country", "channel")),
        counter("phoned_total", "By phone.", first.garland_hung, where={"channel": first.Channel.PHONE}),
    )
    with (
        subscribe(rows, registry, namespace="acme", label_limits={"country": 5}),
        receiver_failed.captured() as failures,
        caplog.at_level(logging.WARNING, "events"),
    ):
        emit = first.garland_hung.bind("country", channel=first.Channel.PHONE)
        emit(("KR",))
        second: Any = import_module("src.garlands.rows")
        assert second.garland_hung is first.garland_hung
        assert second.GarlandHung is not first.GarlandHung
        with second.garland_hung.captured() as received:
            emit(("KR",))
            for module in (first, second):
                module.garland_hung.emit(country="KR", channel=module.Channel.PHONE)
                module.garland_hung.send(module.GarlandHung(country="KR", channel=module.Channel.PHONE))
        assert len(received) == 5
        for name, labels in (("garlands_total", {"country": "KR", "channel": "phone"}), ("phoned_total", {})):
            assert registry.get_sample_value(f"acme_{name}", labels) == 6
    assert (failures, caplog.text) == ([], "")


@pytest.mark.usefixtures("shop")
def test_a_listener_annotated_with_either_class_is_accepted() -> None:
    first: Any = import_module("garlands.rows")
    second: Any = import_module("src.garlands.rows")
    received: list[Any] = []
    for module in (first, second):

        def listener(event: Any) -> None:
            received.append(event)

        listener.__annotations__["event"] = module.GarlandHung
        second.garland_hung.connect(listener)
    first.garland_hung.emit(country="KR")
    assert len(received) == 2


def test_a_copy_of_the_file_with_the_same_class_is_refused_with_the_way_out(shop: Path) -> None:
    copy = shop / "garland_copy.py"
    copy.write_text(ROWS_OF_SHOP)
    import_module("garlands.rows")
    with pytest.raises(
        ValueError,
        match=r"'garland_hung' is declared twice: for <class 'garlands\.rows\.GarlandHung'> and for <class"
        r" 'garland_copy\.GarlandHung'>: rename one of the classes; if they are one class, import its module from one"
        r" place and under one name only; .* Signal\(GarlandHung, blinker\.Namespace\(\)\)",
    ):
        import_module("garland_copy")


def test_a_name_of_the_library_s_own_is_said_to_be_that(shop: Path) -> None:
    (shop / "own_tools.py").write_text(ROWS_OF_SHOP.replace("GarlandHung", "ToolCalled"))
    with pytest.raises(ValueError, match=r"is declared twice: .* the name is the library's own: rename ToolCalled"):
        import_module("own_tools")


@pytest.mark.usefixtures("shop")
def test_another_namespace_is_a_way_out() -> None:
    first: Any = import_module("garlands.rows")
    other: Signal[..., Any] = Signal(first.GarlandHung, Namespace())
    assert other is not first.garland_hung
