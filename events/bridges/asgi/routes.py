"""Finds the template of the route that responded, from what FastAPI and Starlette leave in the ASGI scope.

It is read *after* the application ran: routers write into the scope that they are called with. What is read, and since
which version it is there:

- ``scope["endpoint"]``: what was matched last, on every version; a route with another endpoint is a stale entry.
- ``scope["fastapi"]["effective_route_context"]``: FastAPI 0.137 and newer, for routes of included routers; its path
  has every prefix, whereas ``scope["route"].path`` silently lost them.
- ``scope["route"]``: FastAPI's own routes always, Starlette's since 1.7.
- ``scope["root_path"]`` past ``scope["app_root_path"]``: the literal text that mounts took off the path.

No framework is imported, so any is optional: a key that is absent is skipped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from typing import Any, NamedTuple

from ...bus.failures import report_failure
from ...bus.fields import UNKNOWN
from ...http import http_request_finished

UNMATCHED = "unmatched"


class MountPath(NamedTuple):
    """The mounts that lead to a route, outermost first, and their templates joined."""

    template: str
    mounts: tuple[Any, ...]


NO_MOUNTS = MountPath("", ())


class RouteTemplates:
    """Finds the templates of routes, and caches what takes a search: one look-up a request, however many routes.

    Frameworks leave most of what is needed in the scope. A search is needed for plain Starlette routes inside FastAPI,
    by their endpoint, and for the mounts that a path went through.
    """

    def __init__(self) -> None:
        self._mount_paths: dict[str, MountPath] = {}
        self._indexes: dict[int, RouterIndex] = {}

    def endpoint(self, scope: MutableMapping[str, Any], status: int | None = None) -> str:
        """Return the full template of the route that responded with ``status``, for the event's field ``endpoint``.

        Without a status it is that of the route that has not responded yet, or that accepted a websocket.

        It consists of what the application declares and never of text from the client: the number of its values is
        bounded. `UNMATCHED` where no route matches, inside mounts too; "unknown" where one did but has no template that
        can be found. It never raises: a change inside a framework may cost the label, but no request.
        """
        try:
            # `matched_path`, inlined for what FastAPI leaves where no mount is on the way: most requests.
            endpoint = scope.get("endpoint")
            if endpoint is not None and "app_root_path" not in scope:
                fastapi = scope.get("fastapi")
                if fastapi and (context := fastapi.get("effective_route_context")) is not None:
                    route: Any = context.starlette_route or context
                else:
                    route = scope.get("route")
                if route is not None and route.endpoint is endpoint:
                    path: str = route.path
                    return path
        except Exception:  # noqa: S110 - `_find` reads the same, and reports what it cannot read
            pass  # a mount, which has no endpoint, or a change inside a framework
        try:
            return self._find(scope, status)
        except Exception as failure:
            report_failure(http_request_finished.name, "HTTPEventsMiddleware", failure)
            return UNKNOWN

    def _find(self, scope: MutableMapping[str, Any], status: int | None) -> str:
        endpoint = scope.get("endpoint")
        prefix, mounts = self._mount_path(scope) if "app_root_path" in scope else NO_MOUNTS
        last = next((mount for mount in mounts if mount.app is endpoint), None)
        if endpoint is None or last is not None:  # no route: no match, or static files, or a foreign application
            if status == 404:
                return UNMATCHED
            if last is not None and not routes_of(last):
                return f"{prefix}/{{path}}"
            directory = frontend_directory(scope)
            return UNMATCHED if directory is None else f"{prefix}{directory}/{{path}}"
        path = matched_path(scope, endpoint)
        if path is None:
            path = self._search_routes(scope, endpoint, mounts)
        return UNKNOWN if path is None else prefix + path

    def _mount_path(self, scope: MutableMapping[str, Any]) -> MountPath:
        root: str = scope["app_root_path"]
        literal = scope["root_path"].removeprefix(root)
        mount_path = self._mount_paths.get(literal)
        if mount_path is None:
            path = scope["path"].removeprefix(root)
            if path == literal:  # a mount that answers its own path, as that of `metrics.Endpoint` does
                path += "/"
            router = scope.get("router")
            mount_path = self._match_mounts(router, path, literal)
            if mount_path is None and self._clear_indexes():  # a mount may have been added since
                mount_path = self._match_mounts(router, path, literal)
            mount_path = mount_path or NO_MOUNTS
            if mount_path.template == literal:  # without parameters there are only as many as declared: safe to cache
                self._mount_paths[literal] = mount_path
        return mount_path

    def _match_mounts(self, router: Any, path: str, literal: str) -> MountPath | None:
        """Return the mounts that took ``literal`` off ``path``, as the routers do: the first that matches, then inside.

        None where mounts do not explain all of it, as when a middleware wrote a proxy's prefix into the scope.
        """
        for mount in self._index(router).mounts:
            if hasattr(mount, "host_regex"):
                inside = self._match_mounts(mount, path, literal)
                if inside is not None:
                    return inside
                continue
            match = mount.path_regex.match(path)
            if match is None:
                continue
            rest = "/" + match["path"]
            taken = path[: len(path) - len(rest)]
            if not literal.startswith(taken):
                continue
            inside = self._match_mounts(mount, rest, literal.removeprefix(taken))
            if inside is not None:
                return MountPath(mount.path + inside.template, (mount, *inside.mounts))
            if taken == literal:
                return MountPath(mount.path, (mount,))
        return None

    def _search_routes(self, scope: MutableMapping[str, Any], endpoint: Any, mounts: tuple[Any, ...]) -> str | None:
        """Return the path of the declared route: FastAPI notes nothing of plain Starlette ones, such as ``/docs``."""
        here = scope["path"].removeprefix(scope.get("root_path") or "")
        for _ in range(2):
            for router in (*reversed(mounts), scope.get("router")):
                for route in self._routes_with(router, endpoint):
                    if route.path_regex.match(here):
                        path: str = route.path
                        return path
            if not self._clear_indexes():
                break
        return None

    def _routes_with(self, router: Any, endpoint: Any) -> Iterator[Any]:
        index = self._index(router)
        yield from index.routes_with(endpoint)
        for mount in index.mounts:
            if hasattr(mount, "host_regex"):  # takes nothing off the path: its routes are as good as the router's own
                yield from self._routes_with(mount, endpoint)

    def _index(self, router: Any) -> RouterIndex:
        index = self._indexes.get(id(router))
        if index is None or index.router is not router or index.size != len(routes_of(router)):
            index = self._indexes[id(router)] = RouterIndex(router)
        return index

    def _clear_indexes(self) -> bool:
        """Drop the indexes, since routers may have got more routes; return whether there were any."""
        had_any = bool(self._indexes)
        self._indexes.clear()
        return had_any


class RouterIndex:
    """The declarations of a router: its mounts and hosts, and its routes by endpoint."""

    def __init__(self, router: Any) -> None:
        routes = routes_of(router)
        self.router = router  # a reference, so that its id() is not used again
        self.size = len(routes)
        self.mounts: list[Any] = []
        self._by_endpoint: dict[int, list[Any]] = {}
        for route in flatten(routes):
            if hasattr(route, "endpoint"):
                self._by_endpoint.setdefault(id(route.endpoint), []).append(route)
            elif hasattr(route, "path_regex") or hasattr(route, "host_regex"):
                self.mounts.append(route)

    def routes_with(self, endpoint: Any) -> Iterable[Any]:
        """Return the routes of an endpoint."""
        return self._by_endpoint.get(id(endpoint), ())


def matched_path(scope: MutableMapping[str, Any], endpoint: Any) -> str | None:
    """Return the path of the matched route if it is in the scope; a route around it may be there instead."""
    fastapi = scope.get("fastapi")
    if fastapi and (context := fastapi.get("effective_route_context")) is not None:
        try:
            route: Any = context.starlette_route or context
            if route.endpoint is endpoint:
                path: str = route.path
                return path
        except AttributeError:
            pass  # a mount, which has no endpoint
    route = scope.get("route")
    if getattr(route, "endpoint", None) is endpoint:
        path = route.path  # whatever has an endpoint has a path
        return path  # noqa: RET504  # typed above
    return None


def frontend_directory(scope: MutableMapping[str, Any]) -> str | None:
    """Return the path of the ``frontend()`` directory that FastAPI responded from; it notes only the path inside."""
    inside = (scope.get("fastapi") or {}).get("frontend_path")
    path: str = scope["path"].removeprefix(scope.get("root_path") or "")
    if inside is None or not path.endswith(inside):
        return None
    return path.removesuffix(inside).rstrip("/")


def routes_of(router: Any) -> Sequence[Any]:
    """Return the routes of a router, an application or a mount; none for anything else."""
    return getattr(router, "routes", None) or ()


def flatten(routes: Iterable[Any]) -> Iterator[Any]:
    """Yield each route; those of routers that FastAPI included come with their prefixes."""
    for route in routes:
        contexts = getattr(route, "effective_route_contexts", None)
        if contexts is None:
            yield route
        else:
            for context in contexts():
                yield context.starlette_route or context
