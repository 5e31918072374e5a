"""The HTTP API: ``include(app)`` adds its routes, exception handlers and tags to an application.

``include_health(app)`` adds the health checks alone, for an application that executes runs and serves nothing else.

`EdgeMiddleware` sees each request before the routes do.

The routes use these attributes of the application's state: ``database``, ``llm``, ``workflows`` and ``keyring``, and
for the live feed ``live_feed`` and ``live_numbers``. ``llm`` is None where runs are executed elsewhere, the last two
where there is no feed. While ``draining`` is set, `/health` and `/health/ready` answer 503.
"""

from __future__ import annotations

from fastapi import APIRouter, FastAPI, HTTPException
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocketClose

from . import exception_handlers, openapi
from .edge import EdgeMiddleware
from .health_checks import HealthChecks, check_forever
from .keyring import open_keyring
from .login_attempts import LoginAttempts
from .routers import brands, event_feed, health, live, live_page, login, runs, start_page, workflows
from .static_files import STATIC, RevalidatedFiles

__all__ = ["EdgeMiddleware", "check_forever", "include", "include_health", "open_keyring"]

WORKER_SERVES = "This process executes runs (SPARKLIO_ROLE=worker): it serves /health and /metrics alone."

TAGS = [
    {"name": "workflows", "description": "The workflows that there are, and starting a run of one."},
    {"name": "runs", "description": "Started runs: their state, their output and the tokens and cost that they took."},
    {"name": "brands", "description": "The brands that the studio writes for."},
    {"name": "live", "description": "What happens just now, as events and as numbers."},
    {"name": "operation", "description": "Whether the studio works."},
]


def include(app: FastAPI, *, max_errors: int = 10, max_logins: int = 10) -> None:
    """Add the API, the health checks and the pages to an application.

    Args:
        app: The application.
        max_errors: The most errors that the answer to an invalid request lists.
        max_logins: The wrong keys that an address may try at the login in a minute.
    """
    # Operation ids are the functions' names: clients that are generated from OpenAPI read well.
    versioned = APIRouter(prefix="/api/v1", generate_unique_id_function=lambda route: route.name)
    for resource in (workflows, runs, brands, event_feed, live):
        versioned.include_router(resource.router)
    app.include_router(versioned)
    _include_health(app, max_errors)
    app.include_router(start_page.router)
    app.include_router(live_page.router)
    app.mount("/static", RevalidatedFiles(directory=STATIC), "static")
    app.include_router(login.router)
    app.openapi_tags = [*(app.openapi_tags or []), *TAGS]
    openapi.describe_refusals(app)
    app.state.login_attempts = LoginAttempts(max_logins)


def include_health(app: FastAPI) -> None:
    """Add the health checks to an application, and a 404 for all other paths that says what there is."""
    _include_health(app, max_errors=10)
    app.router.redirect_slashes = False
    app.router.default = _refuse_path


def _include_health(app: FastAPI, max_errors: int) -> None:
    app.include_router(health.router)
    app.state.health_checks, app.state.draining = HealthChecks(), False
    app.state.live_feed = app.state.live_numbers = None
    exception_handlers.register(app, max_errors)


async def _refuse_path(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await WebSocketClose()(scope, receive, send)
    else:
        raise HTTPException(404, WORKER_SERVES)
