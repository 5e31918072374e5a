"""The studio's `/metrics`: documented, and if the settings say so, protected or on a port of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from app.settings import Settings
from app.settings_loading import InvalidSettings, load_settings
from tests.backend.server.test_launcher import error_line_of
from tests.support.studio import StudioProcess, run_studio

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(free_port: Callable[[], int]) -> dict[str, str]:
    """Settings of a model that no server serves: scrapes need none."""
    return {"llm": "openai:any", "llm_base_url": f"http://127.0.0.1:{free_port()}/v1"}


@pytest.fixture(scope="module")
def studio(
    model: dict[str, str], tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[StudioProcess]:
    """A studio that requires a token for scrapes."""
    with StudioProcess(tmp_path_factory.mktemp("studio"), free_port(), metrics_token="geheim", **model) as started:
        yield started


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/metrics", 200),
        ("GET", "/metrics/", 200),
        ("HEAD", "/metrics", 200),
        ("HEAD", "/metrics/", 200),
        ("POST", "/metrics", 405),
        ("DELETE", "/metrics/", 405),
    ],
)
def test_scrapes_need_the_token(studio: StudioProcess, method: str, path: str, status: int) -> None:
    answer = studio.client.request(method, path, headers={"Authorization": "Bearer geheim"})
    assert answer.status_code == status
    assert bool(answer.content) == (method != "HEAD")
    assert studio.client.request(method, path).status_code == 401
    assert "geheim" not in studio.output


def test_metrics_are_documented_once_and_left_out_of_the_http_families(studio: StudioProcess) -> None:
    described = studio.client.get("/openapi.json").json()["paths"]
    assert {path: [*methods] for path, methods in described.items() if "metrics" in path} == {"/metrics": ["get"]}
    for _ in range(2):  # a scrape has how long earlier ones took
        text = studio.client.get("/metrics", headers={"Authorization": "Bearer geheim"}).text
    assert 'endpoint="/metrics' not in text
    assert 'sparklio_metrics_render_duration_seconds_count{format="text"}' in text


def test_a_port_of_its_own_serves_the_metrics_and_nothing_else(
    model: dict[str, str], tmp_path: Path, free_port: Callable[[], int]
) -> None:
    port, metrics_port = free_port(), free_port()
    with StudioProcess(tmp_path, port, metrics_port=metrics_port, **model) as studio, httpx.Client() as client:
        assert f"http://127.0.0.1:{metrics_port}/metrics" in studio.output
        assert studio.client.get("/metrics").status_code == 404
        assert "/metrics" not in studio.client.get("/openapi.json").json()["paths"]
        assert "sparklio_http_requests_total" in client.get(f"http://127.0.0.1:{metrics_port}/metrics").text
        assert client.get(f"http://127.0.0.1:{metrics_port}/health").status_code == 404
        assert studio.stop() == 0


def test_a_taken_metrics_port_is_named_before_anything_is_touched(tmp_path: Path, free_port: Callable[[], int]) -> None:
    metrics_port = free_port()
    with socket.create_server(("127.0.0.1", metrics_port)):
        line = error_line_of(run_studio(tmp_path, port=free_port(), metrics_port=metrics_port))
    assert f"127.0.0.1:{metrics_port}" in line
    assert "SPARKLIO_METRICS_PORT" in line
    assert list(tmp_path.iterdir()) == []


def test_metrics_endpoint_returns_a_response() -> None:
    """In a process of its own, because importing the module subscribes the process for good."""
    script = """
from app.monitoring.prometheus_metrics import metrics_endpoint
answer = metrics_endpoint()
print(answer.status_code, b"sparklio_events_total" in answer.body, answer.headers["content-type"])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "200 True text/plain; version=0.0.4; charset=utf-8\n"


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(metrics_token="geheim", metrics_password="auch geheim")
    assert "geheim" not in f"{settings!r} {settings}"
    for name in ("TOKEN", "PASSWORD"):
        monkeypatch.setenv(f"SPARKLIO_METRICS_{name}", "  ")
    with pytest.raises(InvalidSettings, match="not shown"):
        load_settings()
