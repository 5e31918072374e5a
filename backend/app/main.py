"""The composition root: the one module that knows every part of the studio and puts them together.

``python -m app`` runs it by the launcher; ``uvicorn app.main:app`` and any other ASGI server run it as well.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from math import inf
from typing import Any

from dotenv import load_dotenv
from fastapi import FastAPI, Response
from fastapi.telemetry import TelemetryConfig
from fastapi_offline import FastAPIOffline
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from app import api
from app.build import emit_build
from app.database import Base, Database, DatabaseUnavailable
from app.listeners import start_listeners
from app.llm.embedded.remote import RemoteEmbeddedServer
from app.llm.factory import LLM, ModelUnavailable, open_model
from app.monitoring import prometheus_metrics
from app.monitoring.event_log import log_events
from app.monitoring.live_tables import open_live_numbers
from app.monitoring.processes import DEPLOYMENT_ADVICE
from app.server.metrics_server import serve_metrics
from app.server.sockets import listen
from app.server.startup_error import StartupError
from app.settings import Settings
from app.settings_loading import load_settings
from app.workflows.service import WorkflowService
from app.workflows.workflow_errors import WorkflowEngineUnavailable
from events.bridges import event_loop as event_loop_bridge
from events.bridges import sqlalchemy as sqlalchemy_bridge
from events.bridges.asgi import HEALTH_CHECKS, SCRAPES, HTTPEventsMiddleware
from metrics import Endpoint, process_lifespan
from traces import TraceContextMiddleware, current_exemplar

log = logging.getLogger("app")

STUDIO_POOL = "main"  # the label value of the studio's connection pool
DBOS_POOL = "dbos"  # and that of DBOS's, whose statements are not instrumented: they are its own business

METRICS_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/plain": {}}, "description": "Prometheus's text, or OpenMetrics when asked for."}
}

app: FastAPI  # created on first access: see __getattr__


def create_app(
    settings: Settings,
    *,
    metrics_listener: socket.socket | None = None,
    model_server: RemoteEmbeddedServer | None = None,
) -> FastAPI:
    """Return the application; its parts start and stop with its lifespan.

    Args:
        settings: The settings.
        metrics_listener: The listening socket of the metrics' own port, if the caller has bound it.
        model_server: The server of the embedded model, if the caller has one for several processes.
    """
    # FastAPI's own spans have paths and queries in them, and there is one of each scrape.
    telemetry: TelemetryConfig = {"tracing": not settings.traces}
    app: FastAPI
    if settings.serves_api:
        app = FastAPIOffline(  # its /docs loads nothing from elsewhere
            title="Sparklio",
            description="AI agents that write marketing content. What they do is counted at /metrics.",
            redoc_url=None,
            lifespan=lifespan,
            telemetry=telemetry,
        )
        api.include(app, max_errors=settings.max_errors, max_logins=settings.max_logins)
    else:
        app = FastAPI(openapi_url=None, lifespan=lifespan, telemetry=telemetry)
        api.include_health(app)
    endpoint = Endpoint(
        prometheus_metrics.registry, path="/metrics", token=settings.metrics_token, password=settings.metrics_password
    )
    app.state.settings = settings
    app.state.keyring = keyring = api.open_keyring(settings)
    app.state.metrics = endpoint
    app.state.metrics_listener = metrics_listener
    app.state.model_server = model_server
    if settings.metrics_port is None:
        add_metrics_routes(app, endpoint)
    # The last one is the outermost: what the edge refuses is a request as well.
    app.add_middleware(
        api.EdgeMiddleware,
        hosts=settings.host_names if settings.serves_api else ("*",),  # a worker has nothing to protect by them
        own_hosts=settings.own_addresses,
        keyring=keyring,
        max_body=settings.max_body,
        receive_timeout=settings.receive_timeout,
    )
    app.add_middleware(HTTPEventsMiddleware)
    if settings.traces:
        app.add_middleware(TraceContextMiddleware, exclude=(*SCRAPES, *HEALTH_CHECKS))
    return app


def add_metrics_routes(app: FastAPI, endpoint: Endpoint) -> None:
    """Serve the metrics on the studio's own port: GET with documentation, and then every method, with or without /."""

    class MetricsResponse(Response):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await endpoint(scope, receive, send)

    async def metrics() -> Response:
        """Everything counted so far, as Prometheus reads it; `name[]` keeps these samples or families alone."""
        return MetricsResponse()

    app.add_api_route(
        "/metrics", metrics, methods=["GET"], response_class=Response, responses=METRICS_RESPONSES, tags=["operation"]
    )
    for path in ("/metrics", "/metrics/"):
        app.router.routes.append(Route(path, endpoint, include_in_schema=False))


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Start the parts of the studio, and stop them in reverse order.

    Raises:
        StartupError: The database, the model or the workflow engine cannot be used.
    """
    async with AsyncExitStack() as resources:
        try:
            await start(app, resources)
        except (DatabaseUnavailable, ModelUnavailable, WorkflowEngineUnavailable) as error:
            raise StartupError(str(error)) from error
        yield


async def start(app: FastAPI, resources: AsyncExitStack) -> None:
    """Start the metrics' own port, the database, the listeners, the model and the workflow service, in this order."""
    settings: Settings = app.state.settings
    subscription = prometheus_metrics.subscription
    resources.enter_context(log_events(lambda: app.state.draining))
    if settings.metrics_port is not None:
        listener = app.state.metrics_listener or resources.enter_context(
            listen(settings.host, settings.metrics_port, "SPARKLIO_METRICS_PORT")
        )
        await resources.enter_async_context(serve_metrics(app.state.metrics, listener, settings))

    database = Database(settings)
    resources.push_async_callback(database.close)
    instrument_database(database, settings, resources)
    await database.upgrade()
    app.state.live_feed = await start_listeners(settings, database, resources)
    if settings.traces:
        resources.callback(subscription.add_exemplars(current_exemplar))
    clock_skew = await database.clock_skew()
    resources.enter_context(process_lifespan(prometheus_metrics.workers, clock_skew, advice=DEPLOYMENT_ADVICE))
    await asyncio.to_thread(emit_build, settings.revision)
    resources.callback(event_loop_bridge.instrument().close)

    llm: LLM | None = None
    if settings.executes_runs:
        log.info("loading the model (%s)", settings.llm)
        llm = await open_model(settings, app.state.model_server)
        resources.push_async_callback(llm.close)
        subscription.initialize(model=llm.names)

    workflows = WorkflowService(database, llm, settings)
    instrument_dbos(workflows)
    await workflows.start()
    resources.push_async_callback(workflows.stop)
    resources.callback(subscription.poll(workflows.emit_oldest_runs))

    app.state.database, app.state.llm, app.state.workflows = database, llm, workflows
    if settings.live and settings.serves_api:
        app.state.live_numbers = resources.enter_context(open_live_numbers(prometheus_metrics.registry, subscription))
    checks = partial(check_components, app)
    for work in (api.check_forever(settings.health_interval, checks), app.state.keyring.follow()):
        resources.callback(asyncio.create_task(work).cancel)


async def check_components(app: FastAPI) -> None:
    """Check what the studio needs to work, and emit it, as a request for `/health` does."""
    state = app.state
    await state.health_checks.check_all(state.database, state.llm, state.workflows, draining=state.draining)


def instrument_database(database: Database, settings: Settings, resources: AsyncExitStack) -> None:
    """Emit the database's events, and count the details if the settings say so."""
    instrumentation = sqlalchemy_bridge.instrument(
        database.engine, STUDIO_POOL, Base.metadata, settings.slow_query, hold_seconds=settings.long_hold
    )
    resources.callback(instrumentation.close)
    prometheus_metrics.subscription.initialize(pool=[STUDIO_POOL])
    if settings.database_details:
        resources.callback(prometheus_metrics.count_database_details(STUDIO_POOL).close)


def instrument_dbos(workflows: WorkflowService) -> None:
    """Emit the events of DBOS's engine, whose statements are counted by pool alone.

    The instrumentation is not closed: DBOS does not wait for its last threads, which may be iterating over the
    listeners.
    """
    # How long it holds a connection is its own business too: it waits in transactions.
    sqlalchemy_bridge.instrument(workflows.dbos_engine, DBOS_POOL, hold_seconds=inf, own=False)
    prometheus_metrics.subscription.initialize(pool=[DBOS_POOL])


def __getattr__(name: str) -> Any:
    # Not at import time: the launcher imports this module and calls `create_app` with settings of its own.
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    load_dotenv(".env")
    created = globals()["app"] = create_app(load_settings())
    return created
