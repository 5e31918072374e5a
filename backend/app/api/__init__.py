"""The HTTP API: ``include(app)`` adds every route, error and tag to an application.

The application's state holds the parts that the routes reach: ``database``, ``llm`` and ``studio``.
"""

from __future__ import annotations

from fastapi import APIRouter, FastAPI

from . import exception_handlers
from .routers import brands, health, page, runs, workflows

__all__ = ["include"]

TAGS = [
    {"name": "workflows", "description": "What the studio can do, and how to start it."},
    {"name": "runs", "description": "What was started: how it fares, what came of it, what it spent."},
    {"name": "brands", "description": "Whom the studio writes for."},
    {"name": "operation", "description": "Whether the studio works."},
]


def include(app: FastAPI) -> None:
    """Add the API, the health checks and the start page."""
    # Named by their functions: clients that are generated from the description read well.
    versioned = APIRouter(prefix="/api/v1", generate_unique_id_function=lambda route: route.name)
    for part in (workflows, runs, brands):
        versioned.include_router(part.router)
    app.include_router(versioned)
    app.include_router(health.router)
    app.include_router(page.router)
    app.openapi_tags = [*(app.openapi_tags or []), *TAGS]
    exception_handlers.register(app)
