"""The example of what takes Alertmanager's alerts prints a line for each."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from threading import Thread

import httpx
import pytest

from metrics.kit.webhook import Handler
from tests.support.ports import free_port
from tests.support.wait import wait_until

# https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
NOTIFICATION = {
    "version": "4",
    "receiver": "pager",
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "SparklioDown", "severity": "page"},
            "annotations": {"summary": "Nothing answers.", "runbook_url": "https://example.com/down"},
        },
        {"status": "resolved", "labels": {"alertname": "SparklioSlow"}},
    ],
}
LINES = [
    "pager: firing page SparklioDown Nothing answers. https://example.com/down",
    "pager: resolved SparklioSlow",
]


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/pager"
        server.shutdown()


def test_each_alert_of_a_notification_is_a_line(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert httpx.post(url, json=NOTIFICATION).status_code == 200
    assert httpx.post(f"{url}/", json={"alerts": []}).status_code == 200
    output = capsys.readouterr()
    assert output.out.splitlines() == LINES
    assert output.err == ""


@pytest.mark.parametrize("body", [b"", b"not JSON", b"[]", b'"text"', b'{"alerts": ["firing"]}', b'{"alerts": 3}'])
def test_what_is_no_notification_is_refused(url: str, body: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    response = httpx.post(url, content=body)
    assert response.status_code == 400
    assert "not a notification of Alertmanager" in response.text
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow
def test_the_command_listens_until_it_is_interrupted() -> None:
    port = free_port()
    command = [sys.executable, "-m", "metrics.kit.webhook", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_until(lambda: answers(port))
        finally:
            process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=30)
    assert output == ("".join(f"{line}\n" for line in LINES), "")
    assert process.returncode == 0


def answers(port: int) -> bool:
    try:
        return httpx.post(f"http://127.0.0.1:{port}/pager", json=NOTIFICATION).status_code == 200
    except httpx.ConnectError:
        return False
