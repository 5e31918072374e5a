"""A studio that works all the time, and a server of its newest scrape in each format, for any number of targets."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from threading import Event, Thread
from urllib.request import Request, urlopen

from tests.support.in_process_studio import matching_reply
from tests.support.openai_server import ChatRequest, OpenAIServer, Reply
from tests.support.ports import free_port
from tests.support.studio import WORKFLOWS, StudioProcess

ACCEPT = {
    "text": "text/plain;version=0.0.4",
    "openmetrics": "application/openmetrics-text;version=1.0.0",
    "protobuf": (
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=1,text/plain;q=0.1"
    ),
}
"""The formats, by the path at which they are served here, and how a scraper asks for each."""

RUNS_OF_EACH = 2
"""Runs of each workflow before anything is measured, so that the series of a studio that has worked are there."""

UNDER_WAY = 2
"""Runs that are under way at a time while targets are scraped."""

FASTEST_REPLY, SLOWEST_REPLY = 0.02, 2.0  # seconds


@dataclass(frozen=True)
class Page:
    """An answer of the studio's ``/metrics``: its content type, and its body as it came, which is gzip."""

    content_type: str
    body: bytes

    def content(self) -> bytes:
        """Return the body, decompressed."""
        return gzip.decompress(self.body)


@dataclass
class WorkingStudio:
    """A studio, the newest page in each format, and how many runs have ended."""

    studio: StudioProcess
    pages: dict[str, Page] = field(default_factory=dict)
    runs: int = 0

    def scrape(self) -> None:
        """Take the newest page in each format."""
        self.pages.update({name: page_of(f"{self.studio.url}/metrics", accept) for name, accept in ACCEPT.items()})

    def execute(self, workflow: str) -> None:
        """Execute a run.

        Raises:
            RuntimeError: it has not completed.
        """
        run = self.studio.wait_for_end(self.studio.submit(workflow), within=120)
        if run["status"] != "completed":
            raise RuntimeError(f"a run of {workflow} is {run['status']}: {run}")
        self.runs += 1


def page_of(url: str, accept: str) -> Page:
    """Return what is answered to a scrape that takes gzip."""
    request = Request(url, headers={"Accept": accept, "Accept-Encoding": "gzip"})  # noqa: S310
    with urlopen(request, timeout=30) as answer:  # noqa: S310 - it has just been started
        return Page(answer.headers["Content-Type"], answer.read())


def scripted(random: Random) -> Callable[[ChatRequest], Reply]:
    """Return a model whose replies take as different times as those of real ones."""

    def reply(request: ChatRequest) -> Reply:
        delay = FASTEST_REPLY * (SLOWEST_REPLY / FASTEST_REPLY) ** random.random()
        return replace(matching_reply(request), delay=delay)

    return reply


@contextmanager
def working_studio(directory: Path) -> Iterator[WorkingStudio]:
    """Run a studio that has executed each workflow twice."""
    with OpenAIServer(scripted(Random(1))) as model:
        settings = {"llm": "openai:scripted", "llm_base_url": model.base_url, "native_histograms": True}
        with StudioProcess(directory, free_port(), **settings) as studio:
            working = WorkingStudio(studio)
            for workflow in WORKFLOWS * RUNS_OF_EACH:
                working.execute(workflow)
            working.scrape()
            yield working


@contextmanager
def served(working: WorkingStudio, every: float) -> Iterator[str]:
    """Serve the newest pages at an address that is yielded, while the studio works and is scraped all the time."""
    stop = Event()

    def scrape() -> None:
        while not stop.wait(every):
            working.scrape()

    def work(first: int) -> None:
        for number in range(first, 1_000_000, UNDER_WAY):
            if stop.is_set():
                return
            working.execute(WORKFLOWS[number % len(WORKFLOWS)])

    server = Server(("127.0.0.1", 0), handler_of(working.pages))
    threads = [Thread(target=server.serve_forever), Thread(target=scrape)]
    threads += [Thread(target=work, args=(first,)) for first in range(UNDER_WAY)]
    for thread in threads:
        thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        stop.set()
        server.shutdown()
        for thread in threads:
            thread.join(120)
        server.server_close()


class Server(ThreadingHTTPServer):
    """A server that says nothing of scrapers that go away."""

    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        """Do nothing: a store says how many of its scrapes have failed."""


def handler_of(pages: Mapping[str, Page]) -> type[BaseHTTPRequestHandler]:
    """Return a handler that answers with the page that a path names, as a studio's own ``/metrics`` does."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # connections are kept, as by the studio

        def do_GET(self) -> None:
            page = pages[self.path.strip("/")]
            self.send_response(200)
            self.send_header("Content-Type", page.content_type)
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(page.body)))
            self.end_headers()
            self.wfile.write(page.body)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    return Handler
