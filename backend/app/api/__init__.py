"""The HTTP API: ``include(app)`` adds its routes, exception handlers and tags to an application.

`EdgeMiddleware` sees each request before the routes do.

The routes use these attributes of the application's state: ``database``, ``llm``, ``workflows`` and ``keyring``, and
for the live feed ``live_feed`` and ``live_numbers``, which are None where there is none. While ``draining`` is set,
`/health` and `/health/ready` answer 503.
"""

from __future__ import annotations

from fastapi import APIRouter, FastAPI

from . import exception_handlers, openapi
from .edge import EdgeMiddleware
from .health_checks import HealthChecks, check_forever
from .keyring import open_keyring
from .login_attempts import LoginAttempts
from .routers import brands, event_feed, health, live, live_page, login, runs, start_page, workflows
from .static_files import STATIC, RevalidatedFiles

__all__ = ["EdgeMiddleware", "check_forever", "include", "open_keyring"]

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
    app.include_router(health.router)
    app.include_router(start_page.router)
    app.include_router(live_page.router)
    app.mount("/static", RevalidatedFiles(directory=STATIC), "static")
    app.include_router(login.router)
    app.openapi_tags = [*(app.openapi_tags or []), *TAGS]
    openapi.describe_refusals(app)
    app.state.login_attempts = LoginAttempts(max_logins)
    app.state.health_checks, app.state.draining = HealthChecks(), False
    app.state.live_feed = app.state.live_numbers = None
    exception_handlers.register(app, max_errors)
