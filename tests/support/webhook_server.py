"""A real HTTP server on a loopback port that takes webhooks and answers as a test says, even not at all."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from time import monotonic, time

from tests.support.loopback_server import LoopbackServer


@dataclass(frozen=True)
class Answer:
    """How the server answers one request: ``hangs`` never, ``closes`` the connection, or ``stalls`` before the body."""

    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    hangs: bool = False
    closes: bool = False
    stalls: bool = False


@dataclass(frozen=True)
class Delivery:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float
    """By the monotonic clock."""
    client: tuple[str, int]
    """The other end of the connection."""


class WebhookServer(LoopbackServer):
    """The server: a ``with`` block runs it. ``answers`` are given in turn, the last one again and again."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *answers: Answer) -> None:
        self.answers: Sequence[Answer] = answers or (Answer(),)
        self.deliveries: list[Delivery] = []
        super().__init__()
        self.url = f"http://127.0.0.1:{self.port}/hooks"

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        answer = self.answers[min(len(self.deliveries), len(self.answers) - 1)]
        self.deliveries.append(Delivery(handler.path, headers, body, monotonic(), handler.client_address))
        if answer.hangs:
            self.stopped.wait(60)
        if answer.hangs or answer.closes:
            handler.close_connection = True
            return
        handler.send_response(answer.status)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(answer.body)))
        handler.end_headers()
        if answer.stalls:
            self.stopped.wait(60)
        handler.wfile.write(answer.body)


def verify(secret: str, delivery: Delivery, tolerance: float = 300.0) -> bool:
    """Return whether a delivery is signed by a secret, as a receiver finds out.

    By the words of the specification alone, and none of the studio's code:
    https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#verifying-signatures
    """
    assert secret.startswith("whsec_")
    key = base64.b64decode(secret[len("whsec_") :])
    message_id, timestamp = delivery.headers["webhook-id"], delivery.headers["webhook-timestamp"]
    assert "." not in message_id
    if abs(time() - int(timestamp)) > tolerance:
        return False
    content = f"{message_id}.{timestamp}.".encode() + delivery.body
    expected = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    signatures = (entry.split(",", 1) for entry in delivery.headers["webhook-signature"].split(" "))
    return any(version == "v1" and hmac.compare_digest(value, expected) for version, value in signatures)
