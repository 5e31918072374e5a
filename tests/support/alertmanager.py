"""A real Alertmanager with the repository's configuration, and the webhook that takes what it sends."""

from __future__ import annotations

import json
import signal
import subprocess
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any, Self

import httpx

from tests.support.shorter_windows import shortened
from tests.support.wait import wait_until

MONITORING = Path(__file__).parents[2] / "monitoring"


@dataclass(frozen=True)
class Notified:
    """An alert as one notification told of it.

    Attributes:
        receiver: The path that was posted to: ``pages`` or ``tickets``.
        name: The alert's name.
        status: ``firing`` or ``resolved``.
        labels: Its labels, in order.
        since: When it began to fire, as Alertmanager writes it.
        annotations: Its annotations.
    """

    receiver: str
    name: str
    status: str
    labels: tuple[tuple[str, str], ...]
    since: str
    annotations: tuple[tuple[str, str], ...]


class Webhook:
    """A server that takes the notifications: a ``with`` block runs it on a free port of this machine.

    Attributes:
        notified: The alerts of all notifications so far, in order; those of a group come again with each of its
            notifications.
        address: Host and port.
    """

    def __init__(self) -> None:
        notified = self.notified = list[Notified]()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                notified.extend(described(self.path.strip("/"), alert) for alert in body["alerts"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # the library's name
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def described(receiver: str, alert: dict[str, Any]) -> Notified:
    """Return an alert of a notification: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config"""
    labels, annotations = (tuple(sorted(alert[part].items())) for part in ("labels", "annotations"))
    return Notified(receiver, alert["labels"]["alertname"], alert["status"], labels, alert["startsAt"], annotations)


class AlertmanagerServer:
    """The server: a ``with`` block runs it, with ``monitoring/alertmanager.yml`` but for the webhook and the pace.

    Attributes:
        address: Host and port, as Prometheus is told.
    """

    def __init__(self, directory: Path, port: int, webhook: str, faster: float) -> None:
        self.address = f"127.0.0.1:{port}"
        self.directory = directory
        config = (MONITORING / "alertmanager.yml").read_text()
        assert "localhost:9095" in config
        (directory / "alertmanager.yml").write_text(shortened(config.replace("localhost:9095", webhook), faster))

    def __enter__(self) -> Self:
        self._log = (self.directory / "log").open("w")
        self.process = subprocess.Popen(
            [
                "prometheus-alertmanager",
                f"--config.file={self.directory / 'alertmanager.yml'}",
                f"--storage.path={self.directory / 'data'}",
                f"--web.listen-address={self.address}",
                "--cluster.listen-address=",
            ],
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        wait_until(self.is_ready, within=60)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(30)
        self._log.close()

    def is_ready(self) -> bool:
        """Return whether it answers.

        Raises:
            AssertionError: It has ended; the message is its log.
        """
        assert self.process.poll() is None, (self.directory / "log").read_text()
        try:
            return httpx.get(f"http://{self.address}/-/ready").status_code == 200
        except httpx.TransportError:
            return False
