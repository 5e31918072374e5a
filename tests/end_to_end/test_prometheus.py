"""A real Prometheus scrapes a running studio and answers by PromQL what the studio's API says."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.scripted_studio import scripted_studios
from tests.support.studio import StudioProcess
from tests.support.wait import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.needs("prometheus", "promtool"), pytest.mark.timeout(180)]

CONFIG = Path(__file__).parents[2] / "monitoring" / "prometheus.yml"


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[StudioProcess]:
    with scripted_studios(tmp_path_factory.mktemp("studio"), free_port) as make, make() as running:
        yield running


@pytest.fixture(scope="module")
def prometheus(
    studio: StudioProcess, tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[Callable[[str], dict[tuple[str, ...], float]]]:
    """Start a Prometheus with the repository's own configuration, but for the port and the pace."""
    place = tmp_path_factory.mktemp("prometheus")
    config = CONFIG.read_text()
    for ours, test in (("localhost:8000", studio.url.removeprefix("http://")), ("15s", "1s")):
        assert ours in config
        config = config.replace(ours, test)
    (place / "prometheus.yml").write_text(config)
    url = f"http://127.0.0.1:{free_port()}"
    with (place / "log").open("w") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={place / 'prometheus.yml'}",
                f"--storage.tsdb.path={place / 'data'}",
                f"--web.listen-address={url.removeprefix('http://')}",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )

    def query(expression: str) -> dict[tuple[str, ...], float]:
        """Evaluate PromQL; the answer is by the label values, in the order of the label names."""
        answer = httpx.get(f"{url}/api/v1/query", params={"query": expression}).json()
        assert answer["status"] == "success", answer
        return {
            tuple(value for name, value in sorted(series["metric"].items()) if name != "__name__"): float(
                series["value"][1]
            )
            for series in answer["data"]["result"]
        }

    def ready() -> bool:
        assert process.poll() is None, (place / "log").read_text()
        try:
            return httpx.get(f"{url}/-/ready").status_code == 200
        except httpx.TransportError:
            return False

    wait_until(ready)
    yield query
    process.terminate()
    process.wait(15)


def settled(prometheus: Callable[[str], Any], expression: str, expected: Any) -> None:
    """Wait for the scrape that holds the expected answer."""
    wait_until(lambda: prometheus(expression) == expected, within=20, every=0.3)


def test_the_target_is_up(prometheus: Callable[[str], Any]) -> None:
    wait_until(lambda: prometheus('sum(up{job="sparklio-backend"})') == {(): 1.0}, within=20, every=0.3)


def test_counts_by_promql_are_those_of_the_api(studio: StudioProcess, prometheus: Callable[[str], Any]) -> None:
    runs = [
        studio.wait_for_end(studio.submit(kind)) for kind in ("product_content", "content_review", "product_content")
    ]
    settled(prometheus, 'max(sparklio_last_event_timestamp_seconds{signal="workflow_finished"}) > bool 0', {(): 1.0})
    settled(
        prometheus,
        "sum by (workflow_type, status) (sparklio_workflows_total) > 0",
        {(status, kind): n for (kind, status), n in Counter((r["workflow_type"], r["status"]) for r in runs).items()},
    )
    tokens = {(kind,): float(sum(run["tokens"][kind] for run in runs)) for kind in ("completion", "prompt")}
    settled(prometheus, "sum by (token_type) (sparklio_llm_tokens_total)", tokens)
    settled(
        prometheus,
        "sum by (agent_name) (sparklio_agent_executions_total) > 0",
        dict(Counter((step["agent_name"],) for run in runs for step in run["steps"])),
    )
    settled(prometheus, "sum(sparklio_active_workflows)", {(): 0.0})


def test_the_configuration_is_valid() -> None:
    checked = subprocess.run(["promtool", "check", "config", str(CONFIG)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
