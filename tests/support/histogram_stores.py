"""A real Prometheus that has the same histograms in several ways, as jobs: classic, native, or both."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from prometheus_client import CollectorRegistry

from metrics import scrape
from tests.support.ports import free_port
from tests.support.prometheus import NATIVE_HISTOGRAMS, Prometheus
from tests.support.wait import wait_until
from tools.monitor import programs

PACE = "2s"
TEXT = "text/plain;version=0.0.4"
"""What a scraper without native histograms asks for."""

SETTING_SINCE = (3, 9)
"""The version from which the job's own setting asks for native histograms."""
NEWEST = "timestamp(up)"

Config = dict[str, Any]


@dataclass(frozen=True)
class HistogramStores:
    """The Prometheus, and its jobs: each has the histograms of one registry in a way of its own."""

    prometheus: Prometheus
    jobs: tuple[str, ...]

    def wait_for_scrapes(self, number: int) -> None:
        """Wait until each target was scraped so many times more."""
        for _ in range(number):
            before = self.prometheus.query(NEWEST)
            wait_until(lambda: all(self.prometheus.query(NEWEST)[one] > at for one, at in before.items()), every=0.2)  # noqa: B023


@contextmanager
def histogram_stores(registry: CollectorRegistry, folder: Path, program: str) -> Iterator[HistogramStores]:
    """Serve a registry, and run a Prometheus that has scraped it in each way once."""
    version = programs.version_of(program)
    with served(registry) as address:
        jobs = [*jobs_of(address, version)]
        for job in jobs:
            job.setdefault("relabel_configs", [{"target_label": "job", "replacement": job["job_name"]}])
        text = json.dumps({"global": {"scrape_interval": PACE, "scrape_timeout": PACE}, "scrape_configs": jobs})
        (folder / "prometheus.yml").write_text(text)  # JSON is YAML
        with (
            programs.prometheus(folder, free_port(), NATIVE_HISTOGRAMS, program=program) as running,
            Prometheus.at(running.url) as prometheus,
        ):
            names = dict.fromkeys(job["relabel_configs"][0]["replacement"] for job in jobs)
            wait_until(lambda: len(prometheus.query("up == 1")) == len(names))
            yield HistogramStores(prometheus, tuple(names))


def jobs_of(address: str, version: tuple[int, ...]) -> Iterator[Config]:
    """Yield the jobs that a version of Prometheus can have."""
    since_setting: Config = {} if version < SETTING_SINCE else {"scrape_native_histograms": True}
    yield job("classic", address, "text")
    yield job("native", address, "asked", **since_setting)
    # Two targets of one job, as one that keeps both for a while has them; version 2 has no setting for that.
    for number, path in enumerate(("text", "asked")):
        settings = since_setting if path == "asked" else {}
        yield job(f"both-{number}", address, path, **settings) | {
            "relabel_configs": [
                {"target_label": "job", "replacement": "both"},
                {"target_label": "instance", "replacement": "one"},
            ]
        }
    if version[0] >= 3:
        yield job("custom buckets", address, "text", convert_classic_histograms_to_nhcb=True)
        yield job("both by setting", address, "asked", always_scrape_classic_histograms=True, **since_setting)


def job(name: str, address: str, path: str, **settings: object) -> Config:
    """Return the configuration of a job with one target."""
    return {"job_name": name, "metrics_path": f"/{path}", "static_configs": [{"targets": [address]}], **settings}


@contextmanager
def served(registry: CollectorRegistry) -> Iterator[str]:
    """Serve a registry at an address that is yielded: as text at /text, and as a scraper asks for it elsewhere."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = scrape(registry, TEXT if self.path == "/text" else self.headers["Accept"])
            self.send_response(200)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Print nothing of a scraper that went away."""

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
