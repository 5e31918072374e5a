"""One small FastAPI application behind uvicorn, with one of several instrumentations.

``python -m benchmarks.http_server <variant> <fd>`` serves it on an open socket. With a third argument,
``slowed``, the bridge never polls for a disconnected client: under valgrind every response takes long enough for that.
"""

from __future__ import annotations

import gc
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
    """Return an application with some routes, one of which is requested."""
    app = FastAPI()
    router = APIRouter(prefix="/things")
    for number in range(9):
        router.add_api_route(f"/special{number}", thing)
    router.add_api_route("/{thing_id}", thing)
    app.include_router(router, prefix="/api/v1")
    return app


async def thing(thing_id: int = 0) -> dict[str, int]:
    """Respond at once: the more an endpoint does, the smaller is the share of the instrumentation."""
    return {"id": thing_id}


def nothing(_: FastAPI) -> None:
    """Leave the application without metrics."""


def ours(app: FastAPI) -> None:
    """Instrument with the bridge and subscribe the whole catalogue."""
    app.state.subscription = subscribe(CATALOGUE + OPTIONAL, CollectorRegistry(), namespace="sparklio")
    app.add_middleware(HTTPEventsMiddleware)


def by_hand(app: FastAPI) -> None:
    """Instrument with a middleware as tutorials write it."""
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
    """Instrument with prometheus-fastapi-instrumentator."""
    import_module("prometheus_fastapi_instrumentator").Instrumentator(registry=CollectorRegistry()).instrument(app)


def starlette_exporter(app: FastAPI) -> None:
    """Instrument with starlette-exporter."""
    app.add_middleware(import_module("starlette_exporter").PrometheusMiddleware)


def opentelemetry(app: FastAPI) -> None:
    """Instrument with OpenTelemetry's package for FastAPI."""
    instrumentation = import_module("opentelemetry.instrumentation.fastapi")
    instrumentation.FastAPIInstrumentor.instrument_app(app, meter_provider=new_meter_provider())


def fastapi_native(_: FastAPI) -> None:
    """Record what FastAPI itself reports to OpenTelemetry."""
    import_module("opentelemetry.metrics").set_meter_provider(new_meter_provider())


def new_meter_provider() -> Any:
    """Return an OpenTelemetry meter provider that exports to a Prometheus registry."""
    reader = import_module("opentelemetry.exporter.prometheus").PrometheusMetricReader(registry=CollectorRegistry())
    return import_module("opentelemetry.sdk.metrics").MeterProvider([reader])


VARIANTS: dict[str, Callable[[FastAPI], None]] = {
    "nothing": nothing,
    "ours": ours,
    "by hand": by_hand,
    "prometheus-fastapi-instrumentator": fastapi_instrumentator,
    "starlette-exporter": starlette_exporter,
    "OpenTelemetry": opentelemetry,
    "FastAPI's own": fastapi_native,
}


class ServerProcess:
    """The application in a process of its own, and one connection to it."""

    def __init__(self, name: str, wrapper: tuple[str, ...] = ()) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            fd = listener.fileno()
            slowed = ["slowed"] if wrapper else []
            command = [*wrapper, sys.executable, "-m", "benchmarks.http_server", name, str(fd), *slowed]
            environment = {**os.environ, "PYTHONHASHSEED": "0"}
            self.process = subprocess.Popen(command, pass_fds=[fd], env=environment)
            self.connection = socket.create_connection(listener.getsockname()[:2], timeout=120)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._size = len(self._first_response())

    def _first_response(self) -> bytes:
        self.connection.sendall(REQUEST)
        response = b""
        while not response.endswith(b'{"id":7}'):
            if not (chunk := self.connection.recv(65536)):
                raise RuntimeError(f"the server closed the connection after {response!r}")
            response += chunk
        return response

    def request(self, times: int) -> None:
        """Make that many requests, one after the other."""
        for _ in range(times):
            self.connection.sendall(REQUEST)
            remaining = self._size
            while remaining > 0:
                if not (chunk := self.connection.recv(remaining)):
                    raise RuntimeError("the server closed the connection")
                remaining -= len(chunk)

    def cpu_seconds(self) -> float:
        """Return the seconds of CPU time that the server has used so far."""
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


def serve(name: str, fd: int) -> None:
    """Serve the application on a socket until a signal stops the process."""
    app = application()
    VARIANTS[name](app)
    # The connection is idle while other servers start and are measured.
    config = uvicorn.Config(app, log_level="critical", access_log=False, timeout_keep_alive=3600)
    # Else a search for garbage in all that was imported falls among the measured requests, or not: some thousand
    # instructions of each.
    gc.collect()
    gc.freeze()
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=fd)])


if __name__ == "__main__":
    if "slowed" in sys.argv[3:]:
        disconnects.CHECK_AFTER_SECONDS = inf
    serve(sys.argv[1], int(sys.argv[2]))
