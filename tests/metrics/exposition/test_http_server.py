"""A registry is served on a port of its own, in a process that is no web application."""

from __future__ import annotations

import gzip
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from time import sleep

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest

from events import metrics_rendered
from metrics import MetricsServer, serve
from metrics.exposition import http_server
from tests.support.forks import in_child
from tests.support.wait import wait_until

ROOT = Path(__file__).parents[3]


@pytest.fixture
def counted() -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("jobs", "Jobs.", registry=registry).inc(3)
    return registry


@pytest.fixture
def server(counted: CollectorRegistry) -> Iterator[MetricsServer]:
    with serve(counted) as running:
        yield running


def test_it_answers_as_an_endpoint_does(server: MetricsServer, counted: CollectorRegistry) -> None:
    assert server.url == f"http://127.0.0.1:{server.port}/metrics"
    with metrics_rendered.captured() as rendered:
        response = httpx.get(server.url, headers={"Accept-Encoding": "identity"})
    assert (response.status_code, response.content) == (200, generate_latest(counted))
    assert [event.size for event in rendered] == [len(response.content)]
    with httpx.stream("GET", server.url, headers={"Accept-Encoding": "gzip"}) as compressed:
        assert gzip.decompress(b"".join(compressed.iter_raw())) == generate_latest(counted)
    asked = httpx.get(server.url, params={"name[]": "jobs_total"}, headers={"Accept": "application/openmetrics-text"})
    assert asked.headers["content-type"].startswith("application/openmetrics-text")
    assert asked.text == "# HELP jobs Jobs.\n# TYPE jobs counter\njobs_total 3.0\n# EOF\n"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("HEAD", "/metrics", 200),
        ("GET", "/metrics/", 200),
        ("GET", "/%6detrics", 200),
        ("GET", "/", 404),
        ("POST", "/metrics", 405),
        ("DELETE", "/metrics", 405),
        ("BREW", "/metrics", 501),
    ],
)
def test_other_paths_and_methods_are_refused(server: MetricsServer, method: str, path: str, status: int) -> None:
    response = httpx.request(method, f"http://127.0.0.1:{server.port}{path}")
    assert response.status_code == status
    if method == "HEAD":
        assert (response.content, int(response.headers["content-length"]) > 0) == (b"", True)


def test_it_says_neither_its_program_nor_a_version(server: MetricsServer) -> None:
    assert "server" not in httpx.get(server.url).headers


def test_a_token_or_a_password_is_asked_for(counted: CollectorRegistry) -> None:
    with serve(counted, token="t0ken", password="passw0rd") as server:
        assert httpx.get(server.url).status_code == 401
        assert httpx.get(server.url, headers={"Authorization": "Bearer t0ken"}).status_code == 200
        assert httpx.get(server.url, auth=("any", "passw0rd")).status_code == 200


@pytest.mark.parametrize(
    "sent", [b"GET /metrics\r\n\r\n", b"nonsense\r\n\r\n", b"GET /metrics HTTP/1.1\r\n\xff: \xfe\r\n\r\n", b"", b"\r\n"]
)
def test_whatever_is_sent_it_answers_the_next_scrape(server: MetricsServer, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(sent)
    assert httpx.get(server.url).status_code == 200


def test_past_so_many_connections_the_next_is_closed(server: MetricsServer) -> None:
    with ExitStack() as open_connections:
        for _ in range(http_server.MAX_CONNECTIONS):
            open_connections.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        with socket.create_connection(("127.0.0.1", server.port)) as refused:
            assert refused.recv(1) == b""
    # The others were closed by their client, which their threads see one after the other.
    with httpx.Client() as client:
        assert eventually_answers(client, server.url)


def test_without_descriptors_it_waits_until_there_are_some(
    server: MetricsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that cannot be accepted stays in the queue, so the loop would go round without end."""
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        sleep(0.001)

    monkeypatch.setattr(http_server, "sleep", pause)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as client:
        lowest = os.dup(0)
        os.close(lowest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
        try:
            client.connect(("127.0.0.1", server.port))
            wait_until(lambda: len(pauses) >= 3)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.0 200")


def eventually_answers(client: httpx.Client, url: str) -> bool:
    """Return whether a server answers, at the latest when all connections that were open have ended."""
    for _ in range(200):
        try:
            return client.get(url).status_code == 200
        except httpx.TransportError:
            continue
    return False


def test_without_a_port_each_takes_a_free_one(server: MetricsServer, counted: CollectorRegistry) -> None:
    with serve(counted) as other:
        assert httpx.get(other.url).status_code == 200
        assert {server.port, other.port}.isdisjoint(range(1024))
        assert other.port != server.port


def test_closing_frees_the_port_and_doing_it_again_does_nothing(counted: CollectorRegistry) -> None:
    with serve(counted) as server:
        assert httpx.get(server.url).status_code == 200
    server.close()
    with serve(counted, server.port) as again:
        assert again.port == server.port
        assert httpx.get(server.url).status_code == 200


def test_a_port_that_another_has_is_named(server: MetricsServer, counted: CollectorRegistry) -> None:
    with pytest.raises(OSError, match=f"metrics cannot be served at 127.0.0.1:{server.port}"):
        serve(counted, server.port)


def test_an_address_of_version_6_is_served(counted: CollectorRegistry) -> None:
    with serve(counted, host="::1") as server:
        assert server.url == f"http://[::1]:{server.port}/metrics"
        assert httpx.get(server.url).status_code == 200


def test_a_forked_process_holds_no_port_of_its_parents(
    counted: CollectorRegistry, free_port: Callable[[], int]
) -> None:
    """As a pool's child that outlives its parent, which is to start again on the same port."""
    with serve(counted) as server:

        def close_there() -> int:
            server.close()
            return server._server.socket.fileno()

        assert in_child(close_there) == "-1"
        assert httpx.get(server.url).status_code == 200
        read, write = os.pipe()
        child = os.fork()
        if not child:
            os.read(read, 1)
            os._exit(0)
        server.close()
        try:
            with serve(counted, server.port) as again:
                assert httpx.get(again.url).status_code == 200
        finally:
            os.write(write, b"x")
            os.waitpid(child, 0)
            os.close(read)
            os.close(write)


FORGETFUL = """
from prometheus_client import CollectorRegistry
from metrics import serve
import socket
server = serve(CollectorRegistry())
slow = socket.create_connection(("127.0.0.1", server.port))
slow.sendall(b"GET /metrics HTTP/1.1")
"""


@pytest.mark.slow
def test_a_process_ends_that_does_not_close_it() -> None:
    """With a client that has not sent its request."""
    ended = subprocess.run([sys.executable, "-c", FORGETFUL], cwd=ROOT, timeout=30, check=False)
    assert ended.returncode == 0
