"""The composition root: the one place that knows every part of the studio and puts them together.

``python -m app`` runs it with a launcher around it; ``uvicorn app.main:app`` and any other ASGI server run it as well.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from dotenv import load_dotenv
from fastapi import FastAPI, Response
from fastapi_offline import FastAPIOffline
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from app import api
from app.database import Base, Database
from app.llm.factory import LLM, ModelUnavailable, open_model
from app.monitoring import prometheus_metrics
from app.monitoring.processes import DEPLOYMENT_ADVICE
from app.server.sockets import listening, serving
from app.settings import Settings, load_settings
from app.workflows.service import WorkflowService
from events.bridges import sqlalchemy as sqlalchemy_bridge
from events.bridges.asgi import HTTPEventsMiddleware, read_in_flight
from metrics import Endpoint, process_lifespan

log = logging.getLogger("app")

POOL = "main"  # what the studio's pool is called
DBOS_POOL = "dbos"  # and that of the workflow engine, of which nothing else is watched: its statements are its own

METRICS_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/plain": {}}, "description": "Prometheus's text, or OpenMetrics when asked for."}
}

app: FastAPI  # made when somebody asks for it: see __getattr__


def create_app(settings: Settings) -> FastAPI:
    """Put the studio together; its parts start with the application's lifespan."""
    made = FastAPIOffline(  # its /docs loads nothing from elsewhere
        title="Sparklio",
        description="AI agents that write marketing content. What they do is counted at /metrics.",
        redoc_url=None,
        lifespan=lifespan,
    )
    made.state.settings = settings
    api.include(made)
    scrapes = Endpoint(
        prometheus_metrics.registry, path="/metrics", token=settings.metrics_token, password=settings.metrics_password
    )
    made.state.metrics = scrapes
    if settings.metrics_port is None:
        add_metrics(made, scrapes)
    made.add_middleware(HTTPEventsMiddleware)
    return made


def add_metrics(app: FastAPI, scrapes: Endpoint) -> None:
    """Serve the metrics on the studio's own port: the documented route, then every other method, and the slash."""

    class Handed(Response):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await scrapes(scope, receive, send)

    async def metrics() -> Response:
        """Everything counted so far, as Prometheus reads it; `name[]` keeps these samples or families alone."""
        return Handed()

    app.add_api_route(
        "/metrics", metrics, methods=["GET"], response_class=Response, responses=METRICS_ANSWER, tags=["operation"]
    )
    for path in ("/metrics", "/metrics/"):
        app.router.routes.append(Route(path, scrapes, include_in_schema=False))


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Start the database, the model and the studio, in this order; stop them in the other."""
    settings: Settings = app.state.settings
    async with AsyncExitStack() as parts:
        parts.callback(prometheus_metrics.subscription.poll(read_in_flight))
        if settings.metrics_port is not None:
            listener = getattr(app.state, "metrics_listener", None)  # the launcher's, where there is one
            if listener is None:
                held = listening(settings.host, settings.metrics_port, "SPARKLIO_METRICS_PORT")
                listener = parts.enter_context(held)
            await parts.enter_async_context(serving(app.state.metrics, listener))

        database = Database(settings)
        parts.push_async_callback(database.close)
        watch_database(database, settings, parts)
        await database.upgrade()
        parts.enter_context(
            process_lifespan(prometheus_metrics.workers, await database.ahead(), advice=DEPLOYMENT_ADVICE)
        )

        log.info("loading the model (%s)", settings.llm)
        llm = await open_model(settings, getattr(app.state, "lent_model", None))
        parts.push_async_callback(llm.close)
        prometheus_metrics.subscription.initialize(model=llm.names)

        studio = WorkflowService(database, llm, settings)
        watch_dbos(studio, parts)
        await studio.start()
        parts.push_async_callback(studio.stop)
        parts.callback(prometheus_metrics.subscription.poll(studio.emit_oldest_runs))

        checking = asyncio.create_task(warn_without(llm))
        parts.callback(checking.cancel)

        app.state.database, app.state.llm, app.state.studio = database, llm, studio
        yield


def watch_database(database: Database, settings: Settings, parts: AsyncExitStack) -> None:
    """Have the database's events told, its pool read at each scrape, and the details counted if they are wanted."""
    watched = sqlalchemy_bridge.instrument(database.engine, POOL, Base.metadata, slow_seconds=settings.slow_query)
    parts.callback(watched.close)
    prometheus_metrics.subscription.initialize(pool=[POOL])
    parts.callback(prometheus_metrics.subscription.poll(watched.read_pool))
    if settings.database_details:
        parts.callback(prometheus_metrics.count_database_details(POOL).close)


def watch_dbos(studio: WorkflowService, parts: AsyncExitStack) -> None:
    """Have the workflow engine's connections told, for as long as it lives.

    The handle is not closed: DBOS does not wait for its last threads, which may be going through the listeners.
    """
    watched = sqlalchemy_bridge.instrument(studio.dbos_engine, DBOS_POOL, statements=False)
    prometheus_metrics.subscription.initialize(pool=[DBOS_POOL])
    parts.callback(prometheus_metrics.subscription.poll(watched.read_pool))


async def warn_without(llm: LLM) -> None:
    """Say so when there is no model; the studio starts all the same, and `/health` goes on telling."""
    try:
        await llm.check()
    except ModelUnavailable as reason:
        log.warning("%s", reason)


def __getattr__(name: str) -> Any:
    # Not at import time: the launcher imports this module with settings of its own.
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    load_dotenv(".env")
    made = globals()["app"] = create_app(load_settings())
    return made
