"""What is logged: one line a minute of the faults of strangers, and nothing that an exception says."""

from __future__ import annotations

import io
import logging
import sqlite3

import pytest
from sqlalchemy.exc import IntegrityError

from app.logs import AccessLogFilter, ClientFaultFilter, PrivateFormatter


def record(message: str) -> logging.LogRecord:
    return logging.LogRecord("uvicorn.error", logging.WARNING, "", 0, message, (), None)


def test_a_fault_of_clients_is_logged_once_a_minute() -> None:
    throttled = ClientFaultFilter()
    passed = [throttled.filter(record("Invalid HTTP request received.")) for _ in range(1000)]
    assert passed == [True, *[False] * 999]
    assert throttled.filter(record("Unsupported upgrade request."))
    assert all(throttled.filter(record("Exception in ASGI application\n")) for _ in range(10))


CANARY = "canary-in-the-log"


def logged(message: str, *arguments: object, error: BaseException | None = None) -> str:
    """Return what the studio's formatter makes of a record."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(PrivateFormatter("%(levelname)s %(message)s"))
    exception = None if error is None else (type(error), error, error.__traceback__)
    handler.handle(logging.LogRecord("test", logging.ERROR, "", 0, message, arguments, exception))
    return stream.getvalue()


def raised(error: Exception, cause: Exception | None = None) -> Exception:
    def fail() -> None:
        raise error from cause

    try:
        fail()
    except Exception as caught:
        return caught
    raise AssertionError


def test_a_traceback_has_places_and_classes_and_nothing_that_was_said() -> None:
    cause = raised(sqlite3.IntegrityError(CANARY))
    group = raised(ExceptionGroup(CANARY, [ValueError(CANARY), raised(KeyError(CANARY), cause)]))
    text = logged("failed", error=raised(RuntimeError(CANARY), group))
    assert CANARY not in text
    assert text.startswith("ERROR failed\n")
    for expected in ("sqlite3.IntegrityError", "KeyError", "ValueError", "ExceptionGroup", "RuntimeError", "in fail"):
        assert expected in text


def test_an_exception_that_leads_to_itself_is_described_once() -> None:
    error = RuntimeError(CANARY)
    error.__cause__ = ValueError()
    error.__cause__.__cause__ = error
    assert logged("failed", error=error).count("RuntimeError") == 1


@pytest.mark.parametrize(
    "said",
    [
        f'duplicate key value violates "x"\nDETAIL:  Key (name)=({CANARY}) already exists.',
        f"null value\nDETAIL:  Failing row contains (1,\n{CANARY}\n\n[x], null).\nCONTEXT:  {CANARY}",
        f'invalid input syntax for type json: "{CANARY}"',
    ],
)
def test_what_a_driver_says_is_left_out_of_a_message(said: str) -> None:
    """SQLAlchemy hides parameters, but not the text of the driver."""

    class Driver(Exception):
        """An error with the module of a driver's."""

    Driver.__module__, Driver.__qualname__ = "psycopg.errors", "UniqueViolation"
    error = IntegrityError("INSERT INTO steps VALUES (%s)", {"text": CANARY}, Driver(said), hide_parameters=True)
    text = logged("the statement failed: %s", error)
    assert CANARY not in text
    assert "psycopg.errors" in text
    assert "INSERT INTO steps" in text


def test_the_access_log_has_no_queries() -> None:
    line = logging.LogRecord(
        "uvicorn.access", 20, "", 0, '%s - "%s %s HTTP/%s" %d', ("1:2", "GET", f"/a?b={CANARY}", "1.1", 200), None
    )
    assert AccessLogFilter().filter(line)
    assert line.getMessage() == '1:2 - "GET /a HTTP/1.1" 200'
    scrape = logging.LogRecord("uvicorn.access", 20, "", 0, "", ("1:2", "GET", "/metrics?x=1", "1.1", 200), None)
    assert not AccessLogFilter().filter(scrape)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            f"with URL: postgresql://u:{CANARY}@h:1/d?password={CANARY} (schema: x)",
            "with URL: postgresql://h:1/d?... (schema: x)",
        ),
        (f"postgresql+psycopg:///d?host=%2Frun&options={CANARY}, and more", "postgresql+psycopg:///d?... and more"),
        (f"'mysql://u:{CANARY}/{CANARY}@h/d' is", "'mysql://h/d' is"),
        (f"GET https://{CANARY}@h/a/b@c?key={CANARY}", "GET https://h/a/b@c?..."),
        ("http://127.0.0.1:8000/docs, sqlite:////srv/a.db", "http://127.0.0.1:8000/docs, sqlite:////srv/a.db"),
    ],
)
def test_a_url_is_logged_without_user_and_query(message: str, expected: str) -> None:
    assert logged("%s", message) == f"ERROR {expected}\n"


def test_a_long_message_with_much_that_looks_like_a_url_is_logged_whole() -> None:
    message = "a.b:" * 20_000 + "://" + "c:" * 20_000
    assert logged("%s", message) == f"ERROR {message}\n"


def test_a_record_without_an_exception_is_a_line() -> None:
    assert logged("%s (psycopg is here)", "fine") == "ERROR fine (psycopg is here)\n"
