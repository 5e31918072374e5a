"""What is logged of strangers: one line a minute."""

from __future__ import annotations

import logging

from app.logs import ClientFaultFilter


def record(message: str) -> logging.LogRecord:
    return logging.LogRecord("uvicorn.error", logging.WARNING, "", 0, message, (), None)


def test_a_fault_of_clients_is_logged_once_a_minute() -> None:
    throttled = ClientFaultFilter()
    passed = [throttled.filter(record("Invalid HTTP request received.")) for _ in range(1000)]
    assert passed == [True, *[False] * 999]
    assert throttled.filter(record("Unsupported upgrade request."))
    assert all(throttled.filter(record("Exception in ASGI application\n")) for _ in range(10))
