"""One small FastAPI application behind uvicorn, counted in several ways.

``python -m benchmarks.served <way> <fd>`` serves it on an open socket; with ``slowed`` behind that, the bridge does not
take a fast answer for a slow one, whose clients it asks after.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from math import inf
from pathlib import Path
from time import perf_counter
from typing import Any, Self

import uvicorn
from fastapi import APIRouter, FastAPI
from prometheus_client import CollectorRegistry, Counter, Histogram

from events.bridges.asgi import HTTPEventsMiddleware, disconnects
from metrics import CATALOGUE, OPTIONAL, subscribe

REQUEST = b"GET /api/v1/things/7 HTTP/1.1\r\nHost: bench\r\nAccept: */*\r\nUser-Agent: bench\r\n\r\n"


def application() -> FastAPI:
    """Make an application with some routes, one of which is asked for."""
    app = FastAPI()
    router = APIRouter(prefix="/things")
    for number in range(9):
        router.add_api_route(f"/special{number}", thing)
    router.add_api_route("/{thing_id}", thing)
    app.include_router(router, prefix="/api/v1")
    return app


async def thing(thing_id: int = 0) -> dict[str, int]:
    """Answer as soon as can be: the more an endpoint does, the smaller a share the measuring has."""
    return {"id": thing_id}


def nothing(_: FastAPI) -> None:
    """Measure nothing."""


def ours(app: FastAPI) -> None:
    """Count by the whole catalogue."""
    subscribe(CATALOGUE + OPTIONAL, CollectorRegistry(), namespace="sparklio")
    app.add_middleware(HTTPEventsMiddleware)


def by_hand(app: FastAPI) -> None:
    """Count as tutorials do."""
    registry = CollectorRegistry()
    requests = Counter("http_requests_total", "Requests.", ["method", "endpoint", "status_code"], registry=registry)
    durations = Histogram("http_request_duration_seconds", "Time.", ["method", "endpoint"], registry=registry)

    @app.middleware("http")
    async def count(request: Any, call_next: Any) -> Any:
        began = perf_counter()
        response = await call_next(request)
        endpoint = request.scope["route"].path
        requests.labels(method=request.method, endpoint=endpoint, status_code=response.status_code).inc()
        durations.labels(method=request.method, endpoint=endpoint).observe(perf_counter() - began)
        return response


def fastapi_instrumentator(app: FastAPI) -> None:
    """Count by prometheus-fastapi-instrumentator."""
    import_module("prometheus_fastapi_instrumentator").Instrumentator(registry=CollectorRegistry()).instrument(app)


def starlette_exporter(app: FastAPI) -> None:
    """Count by starlette-exporter."""
    app.add_middleware(import_module("starlette_exporter").PrometheusMiddleware)


def opentelemetry(app: FastAPI) -> None:
    """Count by OpenTelemetry's instrumentation of FastAPI."""
    instrumentation = import_module("opentelemetry.instrumentation.fastapi")
    instrumentation.FastAPIInstrumentor.instrument_app(app, meter_provider=meters())


def fastapi_native(_: FastAPI) -> None:
    """Count by what FastAPI itself tells OpenTelemetry."""
    import_module("opentelemetry.metrics").set_meter_provider(meters())


def meters() -> Any:
    """Make OpenTelemetry's way to Prometheus."""
    reader = import_module("opentelemetry.exporter.prometheus").PrometheusMetricReader(registry=CollectorRegistry())
    return import_module("opentelemetry.sdk.metrics").MeterProvider([reader])


WAYS: dict[str, Callable[[FastAPI], None]] = {
    "nothing": nothing,
    "ours": ours,
    "by hand": by_hand,
    "prometheus-fastapi-instrumentator": fastapi_instrumentator,
    "starlette-exporter": starlette_exporter,
    "OpenTelemetry": opentelemetry,
    "FastAPI's own": fastapi_native,
}


class Served:
    """The application in a process of its own, and one connection to it."""

    def __init__(self, way: str, around: tuple[str, ...] = ()) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            fd = listener.fileno()
            slowed = ["slowed"] if around else []
            command = [*around, sys.executable, "-m", "benchmarks.served", way, str(fd), *slowed]
            environment = {**os.environ, "PYTHONHASHSEED": "0"}
            self.process = subprocess.Popen(command, pass_fds=[fd], env=environment)
            self.connection = socket.create_connection(listener.getsockname()[:2], timeout=120)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._size = len(self._answer())

    def _answer(self) -> bytes:
        self.connection.sendall(REQUEST)
        answer = b""
        while not answer.endswith(b'{"id":7}'):
            if not (more := self.connection.recv(65536)):
                raise RuntimeError(f"the server answered {answer!r} and went away")
            answer += more
        return answer

    def ask(self, times: int) -> None:
        """Make so many requests, one after the other."""
        for _ in range(times):
            self.connection.sendall(REQUEST)
            left = self._size
            while left > 0:
                left -= len(self.connection.recv(left))

    def cpu(self) -> float:
        """Give the seconds that the server has computed so far."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(30)
        self.process.kill()
        self.process.wait()


def serve(way: str, fd: int) -> None:
    """Serve until told to stop."""
    app = application()
    WAYS[way](app)
    config = uvicorn.Config(app, log_level="critical", access_log=False)
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=fd)])


if __name__ == "__main__":
    if "slowed" in sys.argv[3:]:
        disconnects.CHECK_AFTER_SECONDS = inf
    serve(sys.argv[1], int(sys.argv[2]))
