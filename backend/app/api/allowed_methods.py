"""The methods that a path has: a 405 names all of them, not only those of the first route that has the path."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from fastapi.exception_handlers import http_exception_handler
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


async def handle_http_exception(request: Request, error: Exception) -> Response:
    """Answer as FastAPI does; where the method is not allowed, name those that are."""
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for no other
    if error.status_code == 405 and (methods := allowed_methods(request)):
        error = HTTPException(405, error.detail, {**(error.headers or {}), "Allow": ", ".join(methods)})
    return await http_exception_handler(request, error)


def allowed_methods(request: Request) -> list[str]:
    """Return the methods with which a route of the application would take the request."""
    routes: list[Any] = request.app.router.routes
    scope = {key: value for key, value in request.scope.items() if key not in {"endpoint", "path_params", "route"}}
    return [
        method
        for method in METHODS
        if any(route.matches({**scope, "method": method})[0] is Match.FULL for route in routes)
    ]
