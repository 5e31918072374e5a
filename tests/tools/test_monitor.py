"""`make monitor` runs the real programs on a running server, and says what is missing."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
import yaml  # type: ignore[import-untyped]
from prometheus_client import CollectorRegistry, Counter, start_http_server

from tests.support.wait import wait_until
from tools.monitor.command import main, parse, start
from tools.monitor.configuration import Server, alertmanager_config, prometheus_config
from tools.monitor.programs import Program


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


def test_a_password_is_in_the_configuration_alone(
    free_port: Callable[[], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither a label, nor what is printed has it; the file is its owner's alone."""
    monkeypatch.setattr(Program, "__enter__", lambda program: program)
    monkeypatch.setattr(Program, "stop", lambda _: None)
    monkeypatch.setattr("tools.monitor.programs.find_program", lambda name: name if name == "prometheus" else None)
    url = f"http://any:h%2Fsh%22@127.0.0.1:{free_port()}/m%20x?name[]=a&name[]=b&key=c"
    file = tmp_path / "prometheus.yml"
    file.write_text("of before")
    options = parse([url, "--port", str(free_port()), "--data", str(tmp_path)])
    with ExitStack() as resources:
        start(options, resources)
    (job,) = yaml.safe_load(file.read_text())["scrape_configs"]
    assert job["basic_auth"] == {"username": "any", "password": 'h/sh"'}
    assert job["params"] == {"name[]": ["a", "b"], "key": ["c"]}
    assert job["metrics_path"] == "/m x"
    (target,) = job["static_configs"][0]["targets"]
    assert target.startswith("127.0.0.1:")
    assert file.stat().st_mode & 0o777 == 0o600
    shown = capsys.readouterr().out
    assert f"scraped       http://{target}/m x" in shown
    assert not any(secret in shown for secret in ("any:", "h/sh", "h%2Fsh", "key=c"))
    assert server_asked(url) == ("/m%20x?name%5B%5D=a&name%5B%5D=b&key=c", "Basic YW55Omgvc2gi")


def server_asked(url: str) -> tuple[str, str]:
    server = Server.of(url)
    return server.without_login.removeprefix(f"http://{server.host}"), server.headers["Authorization"]


@pytest.mark.parametrize(
    "url",
    [
        "http://any:hu/sh@127.0.0.1:8000/metrics",
        "http://any:12/hush@127.0.0.1:8000/metrics",
        "http://any:12?hush@127.0.0.1:8000/metrics",
        "http://any:12#hush@127.0.0.1:8000/metrics",
        "any:hush@127.0.0.1:8000/metrics",
        "ftp://any:hush@127.0.0.1:8000/metrics",
        "http://127.0.0.1:hush/metrics",
    ],
)
def test_an_address_that_cannot_be_read_is_refused_without_its_password(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([url]) == 2
    error = capsys.readouterr().err
    assert "127.0.0.1" in error
    assert "any" not in error
    assert "12/" not in error


def test_a_password_and_a_token_are_one_too_many(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    token = tmp_path / "token"
    token.write_text("secret")
    assert main(["http://any:hush@127.0.0.1:8000/metrics", "--token-file", str(token)]) == 2
    assert "has a password and there is a token: give one of them" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--port", "--alertmanager-port", "--webhook-port"])
def test_a_port_that_is_taken_is_named_before_anything_starts(
    option: str, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tools.monitor.programs.find_program", lambda name: f"/nowhere/{name}")
    ports = {name: str(free_port()) for name in ("--port", "--alertmanager-port", "--webhook-port")}
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        ports[option] = str(taken.getsockname()[1])
        assert main([word for pair in ports.items() for word in pair]) == 2
    error = capsys.readouterr().err
    assert f"port {ports[option]}, of " in error
    assert f"address already in use; end what listens there, or give another port by {option}\n" in error
    same = ["--port", ports["--port"], "--alertmanager-port", ports["--port"]]
    if option == "--webhook-port":
        assert main(same) == 2
        assert "by --alertmanager-port\n" in capsys.readouterr().err


def test_what_is_no_port_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for port in ("0", "65536", "-1", "x"):
        with pytest.raises(SystemExit):
            main([f"--port={port}"])
        assert f"{port!r} is no port: give a number from 1 to 65535" in capsys.readouterr().err


def test_what_cannot_begin_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tools.monitor.programs.find_program", lambda name: f"/nowhere/{name}")
    assert main(["studio:8000", "--data", str(tmp_path)]) == 2
    assert "studio:8000 is no web address" in capsys.readouterr().err
    assert main(["--token-file", str(tmp_path / "none")]) == 2
    assert "none is not there: it is to hold the token alone" in capsys.readouterr().err
    monkeypatch.setattr("tools.monitor.programs.find_program", lambda name: f"/nowhere/{name}")
    assert main(["--token-file", str(tmp_path)]) == 2
    assert f"{tmp_path} cannot be read (is a directory): it is to hold the token alone" in capsys.readouterr().err
    (tmp_path / "token").write_bytes(b"\n")
    assert main(["--token-file", str(tmp_path / "token")]) == 2
    assert "token is empty" in capsys.readouterr().err
    (tmp_path / "token").write_bytes(b"\xff")
    assert main(["--token-file", str(tmp_path / "token")]) == 2
    assert "token cannot be read (not text)" in capsys.readouterr().err
    monkeypatch.undo()
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
    (tmp_path / "prometheus").write_text("in the place of its folder")
    ports = {name: str(free_port()) for name in ("--port", "--alertmanager-port", "--webhook-port")}
    options = [word for pair in ports.items() for word in pair]
    before = set(threading.enumerate())
    assert main([metrics_url, "--data", str(tmp_path), *options]) == 1
    error = capsys.readouterr().err
    assert "prometheus ended with " in error
    assert "query_logger" in error
    wait_until(lambda: before.issuperset(threading.enumerate()))
