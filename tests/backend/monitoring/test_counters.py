"""The counters of a server are read where it is told, with its secret and without quoting it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest

from app.monitoring.counters import CountersUnreadable, read_counters

TEXT = """\
process_start_time_seconds 1700000000.5
sparklio_workflows_total{status="completed",workflow_type="campaign"} 3.0
sparklio_workflows_total{status="failed",workflow_type="campaign"} 1.0
sparklio_workflows_total{status="failed",workflow_type="content_review"} 2.0
"""


@contextmanager
def server(text: str) -> Iterator[tuple[str, list[BaseHTTPRequestHandler]]]:
    """Serve a text at every path; yield the address and the requests."""
    requests: list[BaseHTTPRequestHandler] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = Thread(target=listening.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{listening.server_port}/metrics", requests
        finally:
            listening.shutdown()
            thread.join()


def test_what_is_asked_for_is_added_up_by_the_labels_that_are_named() -> None:
    with server(TEXT) as (address, requests):
        counters = read_counters(f"http://{address}", {}, ["workflows_total"])
        asked = parse_qs(urlsplit(requests[0].path).query)
    assert asked == {"name[]": ["process_start_time_seconds", "sparklio_workflows_total"]}
    assert counters.address == f"http://{address}"
    assert counters.started_at == 1700000000.5
    assert counters.sent_at <= counters.received_at
    assert counters.by("workflows_total", ("status",)) == {("completed",): 3, ("failed",): 3}
    assert counters.by("workflows_total", ("workflow_type", "status"))["campaign", "failed"] == 1
    assert counters.by("tool_calls_total", ("status",)) == {}
    assert counters.total("workflows_total", status="failed") == 3
    assert counters.total("tool_calls_total") == 0


def test_a_password_in_the_address_takes_the_place_of_the_header_and_is_not_shown() -> None:
    with server(TEXT) as (address, requests):
        counters = read_counters(f"http://any:hush@{address}", {"Authorization": "Bearer other"}, ["workflows_total"])
        read_counters(f"http://{address}?name[]=x", {"Authorization": "Bearer token"}, ["workflows_total"])
    sent = [request.headers["Authorization"] for request in requests]
    assert sent == ["Basic YW55Omh1c2g=", "Bearer token"]
    assert "hush" not in counters.address
    assert requests[1].path.endswith("?name[]=x")


def test_what_is_no_url_is_named_without_it() -> None:
    with pytest.raises(CountersUnreadable, match="An address is no URL") as caught:
        read_counters("http://any:hush@[::1", {}, ["workflows_total"])
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sparklio_workflows_total 1.0\n", "when its process started"),
        ("<html>\n", "not with metrics"),
        ("", "not with metrics"),
    ],
)
def test_what_is_no_studio_is_named(text: str, words: str) -> None:
    with server(text) as (address, _), pytest.raises(CountersUnreadable, match=words) as caught:
        read_counters(f"http://any:hush@{address}", {}, ["workflows_total"])
    assert f"http://{address} " in str(caught.value)
    assert "hush" not in str(caught.value)
    assert "name" not in str(caught.value)


def test_a_server_that_is_not_there_is_named_without_its_password(free_port: Callable[[], int]) -> None:
    with pytest.raises(CountersUnreadable, match="start the server") as caught:
        read_counters(f"http://any:hush@127.0.0.1:{free_port()}/metrics", {}, [])
    assert "hush" not in str(caught.value)
