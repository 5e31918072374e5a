"""`instrument`: HTTP, database, models, own events and ``/metrics`` of an application, set up by one call."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Generator, Iterable, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from weakref import WeakSet

from prometheus_client import CollectorRegistry

from events import build_read
from events.bridges import event_loop
from events.bridges.asgi import SCRAPES, HTTPEventsMiddleware
from events.bridges.asgi.middleware_arguments import check_application_name, excluded_paths
from events.bridges.async_library import running_trio

from ..diagnostics.lifespan import process_lifespan
from ..exposition.endpoint import Endpoint
from ..multiprocess import Workers, is_supported
from ..rows import Metric
from ..subscription.named_rows import check_several, named_rows
from ..subscription.subscribe import Subscription, subscribe
from .application_middleware import ApplicationMiddleware
from .bridged_objects import engines_by_name, instrument_clients, instrument_engines, libraries_of
from .mistyped_labels import check_label_names
from .process_figures import register_process_figures
from .starlette_application import add_first_routes, add_middleware, check_application

ALWAYS = ("http", "process", "workers", "exposition")
"""The groups that every application feeds, beside the pipeline's own, which is in with any of them."""

WITH_ENGINE = ("database",)
WITH_CLIENTS = ("llm", "tools")

ADVICE = {
    "unshared_workers": (
        "several processes serve, and each counts for itself: /metrics shows what the one that answers has seen."
        " Give them a folder in common: instrument(app, folder='/run/acme')"
    ),
}


def instrument(
    app: Any,
    *,
    namespace: str,
    engine: Any = None,
    metadata: Any = None,
    clients: Iterable[Any] = (),
    rows: Iterable[Metric | str] = (),
    label_limits: Mapping[str, int] | None = None,
    label_values: Mapping[str, Iterable[str]] | None = None,
    shared_labels: Iterable[str] = (),
    path: str | None = "/metrics",
    token: str | None = None,
    password: str | None = None,
    exclude: Iterable[str] = (),
    folder: str | Path | None = None,
    application: str = "",
    version: str = "",
    revision: str = "unknown",
    registry: CollectorRegistry | None = None,
    native_histograms: bool = False,
) -> InstrumentedApplication:
    """Set up an application of Starlette or FastAPI: count what it does, and serve the metrics.

    ::

        instrument(app, namespace="acme", engine=engine, clients=[client], rows=ROWS)

    It adds `HTTPEventsMiddleware`, subscribes the groups that apply (``http``, ``pipeline``, ``process``, ``workers``
    and ``exposition``; ``database`` with an engine, ``llm`` and ``tools`` with clients), instruments the engine and the
    clients, registers ``process_*`` and its like, emits which build runs, and adds an `Endpoint` at ``/metrics``. From
    the application's start to its stop it runs `process_lifespan`, and probes the event loop. All of it can be done by
    hand: docs/instrument.md.

    Call it where the application is made, after its other middlewares: the last one is the outermost, and a request
    that an outer one refuses is not counted. Routes may be added later.

    Args:
        app: The application; it holds the handle, so that nobody else needs to.
        namespace: The first word of every metric's name, such as ``acme``.
        engine: An engine of SQLAlchemy, sync or async, or several by their names.
        metadata: The tables that are named; any other is ``other``. Without it every table is named.
        clients: Clients of the openai and anthropic SDKs, and models or agents of pydantic-ai. They stay what they are,
            and emit what they do. One that was instrumented by hand stays as it is.
        rows: Rows of the application's own, and further groups of the catalogue by their names; of `metrics.CATALOGUE`
            those that are not in yet.
        label_limits: As for `subscribe`: how many values an open label takes; each of the application's own needs one.
            A label that neither the rows nor the catalogue has is refused where it looks like one of theirs mistyped.
        label_values: As for `subscribe`.
        shared_labels: As for `subscribe`.
        path: Where the metrics are served; None adds no route, for an application that serves ``endpoint`` elsewhere.
        token: As for `Endpoint`: if given, ``Authorization: Bearer <token>`` is required.
        password: As for `Endpoint`: if given, Basic authorization with it is required; of the two either suffices.
        exclude: Paths whose requests are not counted, such as `events.bridges.asgi.HEALTH_CHECKS`, beside the
            metrics' own.
        folder: Where the worker processes of the application share their numbers; without one each shows its own. An
            empty text is none, as ``os.environ.get("METRICS_DIR", "")`` has it.
        application: The application's name, where several in one process are told apart.
        version: The version of the application for ``build_info``; FastAPI's own, unless given.
        revision: The commit that it was built from.
        registry: Where the metrics are registered, such as `prometheus_client.REGISTRY`; a new one by default.
        native_histograms: As for `subscribe`: whether histograms count in exponential buckets too.

    Returns:
        A handle. Its ``close()``, or the end of a ``with`` block, undoes all of it.

    Raises:
        TypeError: ``app`` is no application of Starlette, ``engine`` is no engine, there is no bridge for a client, or
            another argument is of a type that it does not take.
        RuntimeError: The application is instrumented already, or has started.
        ValueError: The path is taken, a path to exclude is none, ``application`` has a slash, a token is empty,
            ``label_limits`` has a mistyped label, or `subscribe` refuses the namespace, a row or a label.
    """
    check_application(app, ApplicationMiddleware, path)
    excluded = (*filter(None, excluded_paths(exclude)), *(SCRAPES if path is None else (path,)))
    check_application_name(application)
    check_several("rows", rows)
    engines, bridged = engines_by_name(engine), libraries_of(clients)
    groups = (*ALWAYS, *(WITH_ENGINE if engines else ()), *(WITH_CLIENTS if bridged else ()))
    taken = {id(row) for row in named_rows(groups)}
    further = (rows,) if isinstance(rows, str) else tuple(rows)
    subscribed = (*groups, *(each for each in further if each not in groups and id(each) not in taken))
    check_label_names(label_limits or (), named_rows(subscribed))
    with ExitStack() as parts:
        registry = CollectorRegistry() if registry is None else registry
        workers = None
        if folder not in (None, "") and is_supported():
            workers = Workers(folder, application=application)
            parts.callback(workers.close)
        subscription = subscribe(
            subscribed,
            registry,
            namespace=namespace,
            label_limits=label_limits,
            label_values=label_values,
            shared_labels=shared_labels,
            workers=workers,
            application=application,
            native_histograms=native_histograms,
        )
        parts.callback(subscription.close)
        parts.callback(register_process_figures(registry, workers).close)
        parts.callback(instrument_engines(engines, metadata).close)
        parts.callback(instrument_clients(bridged).close)
        endpoint = Endpoint(registry, token=token, password=password)
        build = {"version": version or str(getattr(app, "version", "")) or "unknown", "revision": revision}
        handle = InstrumentedApplication(subscription, endpoint, registry, workers, build)
        parts.callback(
            add_middleware(
                app,
                ApplicationMiddleware,
                exclude=excluded,
                application=application,
                created=handle.add_middleware,
                lifespan=handle.lifespan,
            )
        )
        if path is not None:
            parts.callback(add_first_routes(app, path, endpoint))
        build_read.emit(**build)
        handle.take(parts.pop_all())
        return handle


class InstrumentedApplication:
    """All that `instrument` has set up; `close` undoes it.

    Attributes:
        registry: The registry of the metrics.
        subscription: The subscription of the rows.
        endpoint: The ASGI application that serves the registry.
    """

    def __init__(
        self,
        subscription: Subscription,
        endpoint: Endpoint,
        registry: CollectorRegistry,
        workers: Workers | None,
        build: Mapping[str, str],
    ) -> None:
        self.subscription = subscription
        self.endpoint = endpoint
        self.registry = registry
        self._workers = workers
        self._build = build
        self._built_in = os.getpid()
        self._parts = ExitStack()
        self._middlewares: WeakSet[HTTPEventsMiddleware] = WeakSet()
        self._probes: dict[asyncio.AbstractEventLoop, event_loop.Instrumentation] = {}
        self._closed = False

    def take(self, parts: ExitStack) -> None:
        """Undo these parts when it is closed."""
        self._parts = parts

    def add_middleware(self, middleware: HTTPEventsMiddleware) -> None:
        """Close a middleware with the rest: an application that has started keeps it."""
        self._middlewares.add(middleware)
        if self._closed:
            middleware.close()

    @contextmanager
    def lifespan(self) -> Generator[None]:
        """Run the block as the application's life."""
        if self._closed:
            yield
            return
        with process_lifespan(self._workers, advice=ADVICE):  # type: ignore[arg-type]  # its keys are faults
            if self._built_in != os.getpid():  # a gauge is not inherited by a process that is forked
                build_read.emit(**self._build)
            loop = None if running_trio() is not None else asyncio.get_running_loop()
            if loop is not None:
                self._probes[loop] = event_loop.instrument(loop=loop)
            try:
                yield
            finally:
                if loop is not None and (probe := self._probes.pop(loop, None)) is not None:
                    probe.close()

    def close(self) -> None:
        """Undo all of it; doing it again does nothing. Call it while no statement is running.

        An application that has started goes on, without a route to the metrics; its middleware passes everything
        through.
        """
        self._closed = True
        while self._probes:
            loop, probe = self._probes.popitem()
            if not loop.is_closed():
                loop.call_soon_threadsafe(probe.close)
        for middleware in tuple(self._middlewares):
            middleware.close()
        self._parts.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
