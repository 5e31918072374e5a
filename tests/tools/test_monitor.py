"""`make monitor` runs the real programs on a running server, and says what is missing."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import yaml  # type: ignore[import-untyped]
from prometheus_client import CollectorRegistry, Counter, start_http_server

from tests.support.wait import wait_until
from tools.monitor.__main__ import main
from tools.monitor.configuration import alertmanager_config, prometheus_config


@pytest.fixture
def metrics_url() -> Iterator[str]:
    registry = CollectorRegistry()
    Counter("acme_calls_total", "Calls.", registry=registry).inc()
    server, thread = start_http_server(0, "127.0.0.1", registry)
    yield f"http://127.0.0.1:{server.server_port}/metrics"
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_configuration_is_the_repositorys_with_other_addresses(tmp_path: Path) -> None:
    config = yaml.safe_load(prometheus_config("https://studio.example/m", 9999, tmp_path / "token"))
    (job,) = config["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["studio.example"]}]
    assert (job["job_name"], job["scheme"], job["metrics_path"]) == ("sparklio-backend", "https", "/m")
    assert job["authorization"] == {"credentials_file": str(tmp_path / "token")}
    assert config["alerting"]["alertmanagers"] == [{"static_configs": [{"targets": ["localhost:9999"]}]}]
    assert Path(config["rule_files"][0]).parent.is_dir()
    assert "alerting" not in yaml.safe_load(prometheus_config("http://localhost:8000/metrics"))
    receivers = yaml.safe_load(alertmanager_config(7777))["receivers"]
    assert all(":7777/" in hook["url"] for receiver in receivers for hook in receiver["webhook_configs"])


def test_what_cannot_begin_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["studio:8000", "--data", str(tmp_path)]) == 2
    assert "studio:8000 is no web address" in capsys.readouterr().err
    assert main(["--token-file", str(tmp_path / "none")]) == 2
    assert "none is not there: it is to hold the token alone" in capsys.readouterr().err
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main([]) == 2
    assert "prometheus is not installed: apt install prometheus prometheus-alertmanager" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.needs("prometheus")
@pytest.mark.needs("prometheus-alertmanager")
def test_prometheus_and_alertmanager_run_until_they_are_interrupted(
    metrics_url: str, free_port: Callable[[], int], tmp_path: Path
) -> None:
    prometheus, alertmanager, webhook = (free_port() for _ in range(3))
    options = ["--port", prometheus, "--alertmanager-port", alertmanager, "--webhook-port", webhook, "--data", tmp_path]
    command = [sys.executable, "-m", "tools.monitor", metrics_url, *map(str, options)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as monitor:
        assert monitor.stdout is not None
        lines = []
        for line in monitor.stdout:
            lines.append(line)
            if "Ctrl-C ends it" in line:
                break
        shown = "".join(lines)
        assert f"http://localhost:{prometheus}/alerts" in shown
        assert "nothing yet" not in shown

        def ask(path: str) -> httpx.Response:
            return httpx.get(f"http://localhost:{prometheus}/api/v1/{path}")

        wait_until(lambda: ask("query?query=acme_calls_total").json()["data"]["result"], within=60)
        assert len(ask("rules?type=alert").json()["data"]["groups"]) > 1
        notified = ask("alertmanagers").json()["data"]["activeAlertmanagers"]
        assert notified == [{"url": f"http://localhost:{alertmanager}/api/v2/alerts"}]
        alert = [{"labels": {"alertname": "Tried", "severity": "page", "job": "x"}, "annotations": {"summary": "Hm."}}]
        assert httpx.post(f"http://localhost:{alertmanager}/api/v2/alerts", json=alert).status_code == 200
        assert monitor.stdout.readline() == "pages: firing page Tried Hm.\n"
        monitor.send_signal(signal.SIGINT)
        assert monitor.wait(60) == 0
    for port in (prometheus, alertmanager):
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://localhost:{port}/-/ready")


@pytest.mark.slow
@pytest.mark.needs("prometheus")
def test_a_program_that_does_not_start_is_shown_with_its_log(
    metrics_url: str, free_port: Callable[[], int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        others = ["--alertmanager-port", str(free_port()), "--webhook-port", str(free_port())]
        assert main([metrics_url, "--port", str(port), "--data", str(tmp_path), *others]) == 1
    error = capsys.readouterr().err
    assert "prometheus ended with 1" in error
    assert "address already in use" in error
