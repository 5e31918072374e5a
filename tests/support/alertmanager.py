"""A real Alertmanager with the repository's configuration, and the webhook that takes what it sends."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any, Self

from tests.support.shorter_windows import shortened
from tools.monitor import programs
from tools.monitor.configuration import alertmanager_config
from tools.monitor.programs import Program


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
        port: The port.
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
        self.port = self._server.server_port

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


def alertmanager(directory: Path, port: int, webhook: int, faster: float) -> Program:
    """Return Alertmanager with ``monitoring/alertmanager.yml`` but for the port of the webhook and the pace."""
    (directory / "alertmanager.yml").write_text(shortened(alertmanager_config(webhook), faster))
    return programs.alertmanager(directory, port)
