"""The files of the pages are in the package, and browsers ask for them anew each time."""

from __future__ import annotations

import subprocess
from pathlib import Path

import httpx
import pytest

from app.api.static_files import STATIC
from tests.backend.api.conftest import on_sqlite

ROOT = Path(__file__).parents[3]


@on_sqlite
async def test_a_file_is_asked_for_each_time_and_sent_where_it_is_another_one(client: httpx.AsyncClient) -> None:
    first = await client.get("/static/live/main.js")
    assert first.headers["content-type"].split(";")[0] in {"text/javascript", "application/javascript"}
    assert first.headers["cache-control"] == "no-cache"
    again = await client.get("/static/live/main.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    changed = await client.get("/static/live/main.js", headers={"If-None-Match": '"another"'})
    assert changed.status_code == 200


@on_sqlite
async def test_no_other_file_is_served(client: httpx.AsyncClient) -> None:
    for path in (
        "/static/",
        "/static/live",
        "/static/../keyring.py",
        "/static/%2e%2e/keyring.py",
        "/static/nothing.js",
    ):
        assert (await client.get(path)).status_code == 404, path
    assert (await client.post("/static/live/main.js")).status_code == 405


def test_the_chart_library_has_its_licence_beside_it() -> None:
    assert "MIT License" in (STATIC / "uplot" / "LICENSE").read_text()
    assert "v1.6.32" in (STATIC / "uplot" / "uPlot.iife.min.js").read_text()[:100]


def test_the_files_are_in_the_repository() -> None:
    """The studio is run from a checkout: what git ignores would be missing in one."""
    listed = subprocess.run(["git", "ls-files", str(STATIC)], cwd=ROOT, capture_output=True, text=True, check=True)
    files = {path.relative_to(ROOT).as_posix() for path in STATIC.rglob("*") if path.is_file()}
    assert files
    assert files <= set(listed.stdout.split())


@pytest.mark.parametrize("path", [path for path in STATIC.rglob("*.*s*") if path.parent.name != "uplot"], ids=str)
def test_files_are_short(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) < 250
