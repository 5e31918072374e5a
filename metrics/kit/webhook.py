"""``python -m metrics.kit.webhook``: an example of what takes Alertmanager's alerts, to be written over.

It prints a line for each alert, firing or resolved. The form of the body:
https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def describe_alerts(receiver: str, body: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each alert of a notification."""
    for alert in body.get("alerts", ()):
        labels, annotations = alert.get("labels", {}), alert.get("annotations", {})
        words = (alert.get("status"), labels.get("severity"), labels.get("alertname"), annotations.get("summary"))
        text = " ".join(str(word) for word in (*words, annotations.get("runbook_url")) if word)
        yield f"{receiver}: {text}"


class Handler(BaseHTTPRequestHandler):
    """Prints the alerts of each POST; the path is the receiver's name."""

    def do_POST(self) -> None:
        """Answer 200 to a notification, 400 to what is none."""
        try:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            lines = list(describe_alerts(self.path.strip("/"), body))
        except (ValueError, AttributeError, TypeError):
            self.send_error(400, "not a notification of Alertmanager's")
            return
        for line in lines:
            print(line, flush=True)  # noqa: T201  # it is what the command is for
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # the library's name
        """Log nothing: the alerts are the output."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until it is interrupted."""
    parser = argparse.ArgumentParser(prog="python -m metrics.kit.webhook", description="Print Alertmanager's alerts.")
    parser.add_argument("--port", type=int, default=9095, help="port to listen on, on this machine (default: 9095)")
    address = "127.0.0.1", parser.parse_args(arguments).port
    with suppress(KeyboardInterrupt), ThreadingHTTPServer(address, Handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
