"""The routes that an application declares, and the announcement of their failures before the first request fails."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from inspect import isclass
from typing import Any, NamedTuple, get_args

from ...http import Method, http_request_finished, websocket_finished
from .routes import flatten, routes_of

METHODS = [method for method in get_args(Method) if method != "other"]
ABNORMAL_CLOSURE = 1006  # RFC 6455, section 7.4.1: the connection ended without a Close frame
_MOST_LAYERS = 50


class DeclaredRoute(NamedTuple):
    """A route: its full template, and its methods, or none for that of a websocket.

    ``path`` is what an exclusion names: of an application that declares no routes it is where that is mounted.
    ``applications`` are the names of those that it is in, from the outermost.
    """

    template: str
    methods: tuple[str, ...]
    path: str
    applications: tuple[str, ...] = ()


def announce_failures(router: Any, exclude: Collection[str], application: str) -> None:
    """Announce the failure of each route of a router, and the lost connection of each websocket.

    Of a router with more routes than the labels have room for nothing is announced: which of them get a label's room
    is for the requests to say.
    """
    outer = (application,) if application else ()
    routes = [route for route in declared_routes(router, applications=outer) if route.path not in exclude]
    http_request_finished.announce_failures(
        {
            "method": method,
            "endpoint": route.template,
            "status_code": 500,
            "outcome": "server_error",
            "applications": "/".join(route.applications),
        }
        for route in routes
        for method in route.methods or ("GET",)  # a websocket's handshake is a GET
    )
    announce_closure((route.template, route.applications) for route in routes if not route.methods)


def announce_closure(channels: Iterable[tuple[str, Sequence[str]]]) -> None:
    """Announce that connections of websockets may be lost, each by its channel and the names of its applications."""
    lost = [
        {"channel": channel, "close_code": str(ABNORMAL_CLOSURE), "applications": "/".join(applications)}
        for channel, applications in channels
    ]
    if lost:
        websocket_finished.announce_failures(lost)


def find_router(app: Any) -> Any:
    """Return the application or router that declares routes, behind the middlewares around it; None without one."""
    for _ in range(_MOST_LAYERS):
        if app is None or routes_of(app):
            return app
        app = getattr(app, "app", None)
    return None


def declared_routes(router: Any, prefix: str = "", applications: tuple[str, ...] = ()) -> Iterator[DeclaredRoute]:
    """Yield the routes of a router, and of what it mounts, by the templates that `RouteTemplates` finds for them."""
    for route in flatten(routes_of(router)):
        if hasattr(route, "host_regex"):
            yield from declared_routes(route, prefix, applications)
        elif hasattr(route, "endpoint"):
            path = f"{prefix}{route.path}"
            yield DeclaredRoute(path, methods_of(route), path, applications)
        elif hasattr(route, "path_regex"):
            path, mounted = f"{prefix}{route.path}", getattr(route, "app", None)
            inside = applications + names_of(mounted)
            if (inner := route if routes_of(route) else find_router(mounted)) is not None:
                yield from declared_routes(inner, path, inside)
            else:
                yield DeclaredRoute(f"{path}/{{path}}", ("GET",), path, inside)


def names_of(app: Any) -> tuple[str, ...]:
    """Return the names that an application's middlewares of this bridge give it: those around it, and those it adds."""
    names = []
    for _ in range(_MOST_LAYERS):
        if hasattr(app, "announce_routes"):
            names.append(app.application)
        added = (each for each in getattr(app, "user_middleware", ()) if hasattr(each.cls, "announce_routes"))
        names += [each.kwargs.get("application", "") for each in added]
        app = getattr(app, "app", None)
        if app is None:
            break
    return tuple(name for name in dict.fromkeys(names) if name)


def methods_of(route: Any) -> tuple[str, ...]:
    """Return the methods of a route but HEAD, which comes with GET; none of a websocket's."""
    methods = getattr(route, "methods", ())
    if methods is None:  # a class, which has a function for each
        methods = {method for method in METHODS if hasattr(route.endpoint, method.lower())}
        if not methods or not isclass(route.endpoint):
            return ("GET",)
    return tuple(sorted(method for method in methods if method in METHODS and (method != "HEAD" or len(methods) == 1)))
