"""The routes that an application declares, and the announcement of their failures before the first request fails."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from inspect import isclass
from typing import Any, NamedTuple, get_args

from ...http import Method, http_request_finished, websocket_finished
from .routes import flatten, routes_of

METHODS = [method for method in get_args(Method) if method != "other"]
ABNORMAL_CLOSURE = 1006  # RFC 6455, section 7.4.1: the connection ended without a Close frame
_MOST_LAYERS = 50


class DeclaredRoute(NamedTuple):
    """A route: its full template, and its methods, or none for that of a websocket."""

    template: str
    methods: tuple[str, ...]


def announce_failures(router: Any, exclude: Collection[str], application: str) -> None:
    """Announce the failure of each route of a router, and the lost connection of each websocket.

    Of a router with more routes than the labels have room for nothing is announced: which of them get a label's room
    is for the requests to say.
    """
    routes = [route for route in declared_routes(router) if route.template.removesuffix("/{path}") not in exclude]
    http_request_finished.announce_failures(
        {
            "method": method,
            "endpoint": route.template,
            "status_code": 500,
            "outcome": "server_error",
            "applications": application,
        }
        for route in routes
        for method in route.methods or ("GET",)  # a websocket's handshake is a GET
    )
    announce_closure([route.template for route in routes if not route.methods], application)


def announce_closure(channels: Collection[str], applications: str) -> None:
    """Announce that connections of websockets may be lost."""
    if channels:
        websocket_finished.announce_failures(
            {"channel": channel, "close_code": str(ABNORMAL_CLOSURE), "applications": applications}
            for channel in channels
        )


def find_router(app: Any) -> Any:
    """Return the application or router that declares routes, behind the middlewares around it; None without one."""
    for _ in range(_MOST_LAYERS):
        if app is None or routes_of(app):
            return app
        app = getattr(app, "app", None)
    return None


def declared_routes(router: Any, prefix: str = "") -> Iterator[DeclaredRoute]:
    """Yield the routes of a router, and of what it mounts, by the templates that `RouteTemplates` finds for them."""
    for route in flatten(routes_of(router)):
        if hasattr(route, "host_regex"):
            yield from declared_routes(route, prefix)
        elif hasattr(route, "endpoint"):
            yield DeclaredRoute(f"{prefix}{route.path}", methods_of(route))
        elif hasattr(route, "path_regex"):
            if routes_of(route):
                yield from declared_routes(route, f"{prefix}{route.path}")
            else:
                yield DeclaredRoute(f"{prefix}{route.path}/{{path}}", ("GET",))


def methods_of(route: Any) -> tuple[str, ...]:
    """Return the methods of a route but HEAD, which comes with GET; none of a websocket's."""
    methods = getattr(route, "methods", ())
    if methods is None:  # a class, which has a function for each
        methods = {method for method in METHODS if hasattr(route.endpoint, method.lower())}
        if not methods or not isclass(route.endpoint):
            return ("GET",)
    return tuple(sorted(method for method in methods if method in METHODS and (method != "HEAD" or len(methods) == 1)))
