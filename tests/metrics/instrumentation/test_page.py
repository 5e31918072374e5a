"""The page on `instrument` is true: ten lines, what they serve, and the same by hand."""

from __future__ import annotations

import os
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from metrics import GROUPS
from metrics.instrumentation.instrument_application import ALWAYS, WITH_CLIENTS, WITH_ENGINE, instrument
from tests.support.openai_server import OpenAIServer, says
from tests.support.page_snippets import code_blocks, run_snippet
from tests.support.preloaded import LIBRARIES, run_preloaded

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "instrument.md"
MARK = "  # metrics\n"

DRIVER = """
import asyncio, httpx
from APPLICATION import app, engine

async def drive():
    async with lifespan():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as browser:
            answered = await browser.post("/orders/KR")
            assert (answered.status_code, answered.json()) == (200, "Thanks."), answered.text
            print((await browser.get("/metrics")).text)
    await engine.dispose()

class lifespan:
    '''The life of the application, as a server drives it.'''

    async def __aenter__(self):
        self.sent, self.to_send, self.started = asyncio.Queue(), asyncio.Queue(), asyncio.Event()
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        self.life = asyncio.create_task(app(scope, self.to_send.get, self.sent.put))
        await self.to_send.put({"type": "lifespan.startup"})
        assert (await self.sent.get())["type"] == "lifespan.startup.complete"

    async def __aexit__(self, *_):
        await self.to_send.put({"type": "lifespan.shutdown"})
        await self.life

asyncio.run(drive())
"""

pytestmark = pytest.mark.slow


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer(says("Thanks.")) as server:
        yield server


@pytest.fixture
def pages(tmp_path: Path) -> dict[str, str]:
    """Return the two applications of the page; the first is in a folder."""
    files = {block.split()[1]: block for block in code_blocks("python", PAGE)}
    shop, by_hand = files["shop.py"], files["by_hand.py"]
    (tmp_path / "shop.py").write_text(shop)
    return {"shop": shop, "by_hand": by_hand}


def business_code(shop: str) -> str:
    """Return the application without the lines for its metrics."""
    return "".join(line for line in shop.splitlines(keepends=True) if not line.endswith(MARK))


def served(module: str, folder: Path, server: OpenAIServer, sparklio_path: Path) -> str:
    """Return what an application prints at /metrics after an order."""
    driver = DRIVER.replace("APPLICATION", module)
    ran = run_snippet(
        driver, sparklio_path, "-W", "error", folder=folder, environment={"OPENAI_BASE_URL": server.base_url}
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout


def test_it_takes_ten_lines_beside_the_business_code(pages: dict[str, str]) -> None:
    assert sum(line.endswith(MARK) for line in pages["shop"].splitlines(keepends=True)) <= 10


def test_the_business_code_runs_without_them(
    pages: dict[str, str], tmp_path: Path, server: OpenAIServer, sparklio_path: Path
) -> None:
    assert "sparklio" not in business_code(pages["shop"])
    (tmp_path / "plain.py").write_text(business_code(pages["shop"]))
    assert served("plain", tmp_path, server, sparklio_path) == '{"detail":"Not Found"}\n'


def test_the_application_serves_what_the_page_shows(
    pages: dict[str, str], tmp_path: Path, server: OpenAIServer, sparklio_path: Path
) -> None:
    [shown] = code_blocks("text", PAGE)
    assert {*shown.splitlines()} <= {*served("shop", tmp_path, server, sparklio_path).splitlines()}


def series(text: str) -> set[str]:
    """Return the series of an exposition, but those of own events, of compression and of unstable values."""
    found = {line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")}
    return {name for name in found if "order" not in name.replace("/orders", "")}


def test_the_same_by_hand_serves_the_same_series(
    pages: dict[str, str], tmp_path: Path, server: OpenAIServer, sparklio_path: Path
) -> None:
    shop = pages["shop"]
    route = business_code(shop[shop.index("@app.post") :])
    (tmp_path / "by_hand.py").write_text(f"from sqlalchemy import text\n{pages['by_hand']}\n{route}")
    in_one_call, by_hand = (series(served(name, tmp_path, server, sparklio_path)) for name in ("shop", "by_hand"))
    assert by_hand == in_one_call


def test_the_application_passes_the_check_with_the_configuration_of_its_page(
    pages: dict[str, str], tmp_path: Path, sparklio_path: Path
) -> None:
    [text] = code_blocks("toml", PAGE)
    (tmp_path / "pyproject.toml").write_text(text)
    checked = check(tmp_path, sparklio_path)
    assert checked.startswith("ok: "), checked
    shop = pages["shop"].replace(", clients=[client]", "")
    (tmp_path / "shop.py").write_text(shop)
    assert "sparklio.metrics:LLM: nothing feeds any of its " in check(tmp_path, sparklio_path)


def check(folder: Path, sparklio_path: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(sparklio_path), *sys.path])}
    command = ("-m", "sparklio.metrics", "check")
    return run_preloaded(*command, modules=LIBRARIES, cwd=folder, env=environment, timeout=100).stdout


def test_the_readme_has_the_same_lines() -> None:
    shop, *_ = code_blocks("python", PAGE)
    marked = [line.removesuffix(MARK) for line in shop.splitlines(keepends=True) if line.endswith(MARK)]
    [shown] = code_blocks("py", ROOT / "README.md")
    assert [line.strip() for line in shown.splitlines() if line.strip() and "..." not in line] == [
        line.strip() for line in marked
    ]


def test_each_argument_and_group_is_on_the_page() -> None:
    page = PAGE.read_text()
    arguments = {*instrument.__annotations__} - {"app", "return"}
    table = page[page.index("## What it takes") : page.index("## What it returns")]
    named = {
        name for cell in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", cell)
    }
    assert named == arguments
    assert {*ALWAYS, *WITH_ENGINE, *WITH_CLIENTS} <= GROUPS.keys()
    for group in (*ALWAYS, *WITH_ENGINE, *WITH_CLIENTS, "pipeline"):
        assert f"`{group}`" in table
    [configured] = code_blocks("toml", PAGE)
    catalogue = tomllib.loads(configured)["tool"]["sparklio"]["metrics"]["catalogue"]
    assert catalogue[:-1] == [*ALWAYS, *WITH_ENGINE, *WITH_CLIENTS]
