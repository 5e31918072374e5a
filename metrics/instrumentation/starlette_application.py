"""The parts that all applications of Starlette and FastAPI have: nothing else is asked of one, and none is imported."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from events.bridges.asgi.declared_routes import declared_routes
from events.bridges.asgi.middleware_arguments import NO_PATH

NEEDED = ("add_middleware", "add_route", "router", "user_middleware", "middleware_stack")


def check_application(app: Any, middleware: type[Any], path: str | None) -> None:
    """Raise an error for what cannot be instrumented.

    Raises:
        TypeError: It is no application of Starlette, or the path is no text.
        RuntimeError: It is instrumented already, or has started.
        ValueError: The path is none, or the application has a route there.
    """
    missing = [name for name in NEEDED if not hasattr(app, name)]
    if isinstance(app, type) or missing:
        raise TypeError(
            f"instrument() takes an application of Starlette or FastAPI, not {app!r:.80}. Around another ASGI"
            " application put HTTPEventsMiddleware(app) by hand: docs/http.md"
        )
    if any(getattr(each, "cls", None) is middleware for each in app.user_middleware):
        raise RuntimeError(
            "this application is instrumented already: close() the handle that instrument() returned first"
        )
    if app.middleware_stack is not None:
        raise RuntimeError(
            "this application has started, so no middleware can be added any more: call instrument() where the"
            " application is made, before its server starts; not in its lifespan"
        )
    if path is None:
        return
    if not isinstance(path, str):
        raise TypeError(f"path={path!r:.60}: it is a text, such as '/metrics', or None for no route")
    if not path.startswith("/") or not path.rstrip("/"):
        raise ValueError(f"path={path!r}: it begins with a slash and names something, as in '/metrics'")
    if not NO_PATH.isdisjoint(path):
        raise ValueError(f"path={path!r}: the metrics have one path, such as '/metrics', and no template or pattern")
    declared = (*(route.path for route in declared_routes(app.router)), *(path_of(each) for each in app.router.routes))
    if taken := next((each for each in declared if each.rstrip("/") == path.rstrip("/")), None):
        raise ValueError(
            f"the application has a route at {taken!r} already: choose another path for the metrics, as in"
            " instrument(path='/internal/metrics')"
        )


def path_of(route: Any) -> str:
    """Return the path of a route or a mount, empty where it has none."""
    path = getattr(route, "path", "")
    return path if isinstance(path, str) else ""


def add_middleware(app: Any, middleware: type[Any], **options: Any) -> Callable[[], None]:
    """Add a middleware, and return how to take it out; once the application has started, that changes nothing more."""
    before = list(app.user_middleware)
    app.add_middleware(middleware, **options)
    return lambda: take_out(app.user_middleware, new_ones(app.user_middleware, before))


def add_first_routes(app: Any, path: str, endpoint: Any) -> Callable[[], None]:
    """Add routes to an endpoint, with and without a slash at the end, and return how to take them out.

    They come before all others: one for any path, such as a mount at ``/``, would be in their way.
    """
    routes = app.router.routes
    before = list(routes)
    for each in (path.rstrip("/"), path.rstrip("/") + "/"):
        app.add_route(each, endpoint, include_in_schema=False)
    added = new_ones(routes, before)
    take_out(routes, added)
    routes[:0] = added
    return lambda: take_out(app.router.routes, added)


def new_ones(values: list[Any], before: list[Any]) -> list[Any]:
    """Return those of a list that were not in it before, which may be equal to others."""
    known = {id(value) for value in before}
    return [value for value in values if id(value) not in known]


def take_out(values: list[Any], unwanted: list[Any]) -> None:
    """Take some objects out of a list, as far as they are in it."""
    for each in unwanted:
        with suppress(StopIteration):
            del values[next(place for place, value in enumerate(values) if value is each)]
