"""The tutorial, done as a reader does it: its files, its servers, a real Prometheus, and each of its queries."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.page_snippets import code_blocks
from tests.support.prometheus import Labels, Prometheus
from tests.support.server_process import running_server
from tests.support.wait import wait_until
from tools.monitor import programs

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"
pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the files of the page."""
    for language in ("python", "yaml"):
        for block in code_blocks(language, PAGE):
            (tmp_path / block.split()[1]).write_text(block)
    [project] = code_blocks("toml", PAGE)
    (tmp_path / "pyproject.toml").write_text(project)
    return tmp_path


@pytest.fixture
def environment(sparklio_path: Path) -> Mapping[str, str]:
    return os.environ | {"PYTHONPATH": str(sparklio_path)}


@contextmanager
def served(application: str, folder: Path, port: int, environment: Mapping[str, str]) -> Iterator[httpx.Client]:
    """Serve an application of the folder by the page's command, on another port."""
    assert f"uvicorn {application}" in "".join(code_blocks("sh", PAGE)).splitlines()
    url = f"http://127.0.0.1:{port}"
    command = ["-m", "uvicorn", application, "--port", str(port)]
    log = folder / f"{port}.log"
    with running_server(f"{url}/metrics", command, folder, environment, log), httpx.Client(base_url=url) as client:
        yield client


def test_after_an_order_the_metrics_are_those_that_the_page_shows(
    folder: Path, environment: Mapping[str, str], free_port: Callable[[], int]
) -> None:
    [shown] = code_blocks("text", PAGE)
    with served("shop_measured:app", folder, free_port(), environment) as client:
        assert client.post("/orders/KR").text == "1"
        assert {*shown.splitlines()} <= {*client.get("/metrics").text.splitlines()}


@pytest.mark.needs("prometheus")
def test_each_query_has_an_answer_in_a_real_prometheus(
    folder: Path, environment: Mapping[str, str], free_port: Callable[[], int]
) -> None:
    port, prometheus_port = free_port(), free_port()
    configuration = folder / "prometheus.yml"
    text = configuration.read_text()
    assert "127.0.0.1:8000" in text
    configuration.write_text(text.replace("127.0.0.1:8000", f"127.0.0.1:{port}").replace("5s", "1s"))
    queries = code_blocks("promql", PAGE)
    assert len(queries) == 5
    with (
        served("shop_events:app", folder, port, environment) as client,
        programs.prometheus(folder, prometheus_port) as program,
        Prometheus.at(program.url) as prometheus,
        subprocess.Popen([sys.executable, "load.py", "120", str(client.base_url)], cwd=folder) as load,
    ):
        try:
            for query in queries:
                values = wait_until(lambda: some_above_zero(prometheus.query(query)))  # noqa: B023  # it returns in the loop
                assert all(0 < value < 60_000 for value in values), query
            countries = {dict(labels)["country"] for labels in prometheus.query(queries[0])}
            assert countries == {"KR", "DE"}
        finally:
            load.kill()


def some_above_zero(found: Mapping[Labels, float]) -> list[float]:
    """Return the values that are above 0."""
    return [value for value in found.values() if value > 0]


def test_the_check_passes_and_names_the_rows_that_nothing_feeds(folder: Path, environment: Mapping[str, str]) -> None:
    def check() -> tuple[int, str]:
        command = [sys.executable, "-m", "sparklio.metrics", "check"]
        ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        return ran.returncode, ran.stdout + ran.stderr

    status, found = check()
    assert (status, "\nok: " in found) == (0, True), found
    shop = folder / "shop_events.py"
    shop.write_text(re.sub(r"\n *order_placed\.emit.*", "", shop.read_text()))
    status, found = check()
    assert status == 1
    assert "orders_total" in found
    assert "revenue_usd_total" in found
