"""Every ASGI server that the bridge is tested with: how each is started, and what it can do."""

from __future__ import annotations

import gzip
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.support.wait import wait_until

ROOT = Path(__file__).parents[2]
APP = "tests.support.server_matrix_app:app"
LARGE = b"0123456789abcdef" * 200_000  # 3 MB: more than sockets buffer
LOST = re.compile(r"was destroyed but it is pending|was never (retrieved|awaited)|RuntimeWarning|receivers? failed")


@dataclass(frozen=True)
class ServerKind:
    """A server with its options, and what of the protocols it does not do by itself."""

    command: str
    http2: bool = False  # without TLS, by prior knowledge
    denial: bool = True  # of websockets, with a response of the application's
    close_codes: bool = True  # of clients that close a websocket are passed on; otherwise each is 1006
    cancels: bool = True  # tasks, without which Starlette's streams hang now and then, and always when they are left
    workers: int = 1
    variables: Mapping[str, str] = field(default_factory=dict)


HYPERCORN = "hypercorn {app} --graceful-timeout 1 --bind 127.0.0.1:{port}"

# fmt: off
SERVERS = {
    "uvicorn h11": ServerKind("uvicorn {app} --port {port} --http h11 --loop asyncio --ws websockets-sansio"),
    "uvicorn httptools": ServerKind("uvicorn {app} --port {port} --http httptools --loop uvloop --ws wsproto"),
    "hypercorn": ServerKind(HYPERCORN, http2=True, close_codes=False),
    "hypercorn uvloop": ServerKind(HYPERCORN + " -k uvloop", http2=True, close_codes=False),
    "hypercorn trio": ServerKind(HYPERCORN + " -k trio", http2=True, close_codes=False),
    "granian": ServerKind("granian --interface asgi --port {port} {app}", http2=True),
    "granian rust": ServerKind("granian --interface asgi --port {port} --task-impl rust --loop uvloop {app}",
                               http2=True, cancels=False),
    "gunicorn": ServerKind("gunicorn {app} -k uvicorn_worker.UvicornWorker -w 2 -b 127.0.0.1:{port}", workers=2,
                           variables={"METRICS_DIR": "{folder}"}),
    "daphne": ServerKind("daphne -p {port} {app}", denial=False),
}
# fmt: on


@dataclass(frozen=True)
class RunningServer:
    """A server that serves `tests.support.server_matrix_app`."""

    kind: ServerKind
    port: int
    log: Path

    @property
    def url(self) -> str:
        """Return its address."""
        return f"http://127.0.0.1:{self.port}"

    def samples(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """Return what it counted, by name without namespace and labels, as gzip and read without a redirect."""
        headers = {"Accept-Encoding": "gzip"}
        with httpx.stream("GET", f"{self.url}/metrics", headers=headers) as response:
            body = b"".join(response.iter_raw())
        assert (response.status_code, response.headers["content-encoding"]) == (200, "gzip")
        return {
            (sample.name.removeprefix("acme_"), tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(gzip.decompress(body).decode())
            for sample in family.samples
        }

    def counted(self, endpoint: str, name: str = "http_requests_total", by: str = "status_code") -> dict[str, float]:
        """Return the samples of an endpoint or a channel that are not zero, by the value of one label."""
        found: dict[str, float] = {}
        for (sample, labels), value in self.samples().items():
            values = dict(labels)
            if sample == name and value and endpoint in (values.get("endpoint"), values.get("channel")):
                found[values[by]] = found.get(values[by], 0) + value
        return found

    def until_counted(self, endpoint: str, expected: Mapping[str, float], **how: str) -> None:
        """Wait until these are the samples of an endpoint, for events that come after the client's last byte."""
        found: list[dict[str, float]] = []

        def as_expected() -> bool:
            found.append(self.counted(endpoint, **how))
            return found[-1] == expected

        try:
            wait_until(as_expected, within=5)
        except AssertionError:
            raise AssertionError(f"{endpoint}: {found[-1]}, not {expected}\n{self.log.read_text()[-1500:]}") from None

    def in_flight(self) -> tuple[float, float]:
        """Return the numbers of open requests and websockets."""
        samples = self.samples()
        return samples["http_active_requests", ()], samples["websocket_active_sessions", ()]


@contextmanager
def started(name: str, port: int, folder: Path) -> Iterator[RunningServer]:
    """Start a server and stop it when the block ends; whatever it logs of lost tasks and failures is an error."""
    kind = SERVERS[name]
    log, shared = folder / "log", folder / "shared"
    shared.mkdir()
    words = kind.command.format(app=APP, port=port).split()
    variables = {key: value.format(folder=shared) for key, value in kind.variables.items()}
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, **variables, "PYTHONPATH": path}
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *words], cwd=ROOT, env=environment, stdout=output, stderr=output
        )
    server = RunningServer(kind, port, log)
    with process:
        try:
            wait_until(lambda: is_up(server, process), within=30)
            yield server
            process.send_signal(signal.SIGTERM)
            process.wait(15)
        finally:
            process.kill()
    lost = LOST.search(log.read_text())
    assert not lost, log.read_text()


def is_up(server: RunningServer, process: subprocess.Popen[bytes]) -> bool:
    """Return whether every worker of a server answers."""
    assert process.poll() is None, server.log.read_text()
    try:
        answers: list[str] = [
            httpx.get(f"{server.url}/process").text for _ in range(8 if server.kind.workers > 1 else 1)
        ]
    except httpx.HTTPError:
        return False
    return len(set(answers)) == server.kind.workers
