"""Names the route that answered a request, from what FastAPI and Starlette leave in its ASGI scope.

Read *after* the application ran: routers write into the very scope that they were given. What is read, and since when:

- ``scope["endpoint"]``: what was matched last, on every version; it tells a stale entry from a true one.
- ``scope["fastapi"]["effective_route_context"]``: FastAPI 0.137 and newer, for routes of included routers; its path
  has every prefix, whereas ``scope["route"].path`` silently lost them.
- ``scope["route"]``: FastAPI's own routes always, Starlette's since 1.7.
- ``scope["root_path"]`` past ``scope["app_root_path"]``: the literal text that mounts took off the path.

No framework is imported, so any is optional; what is not there is simply not found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from typing import Any

from ...bus.failures import report_failure
from ...bus.fields import UNKNOWN
from ...http import http_request_finished

UNMATCHED = "unmatched"

Trail = tuple[str, tuple[Any, ...]]
"""The template of the mounts on the way to a route, and those mounts."""


class Templates:
    """Finds templates, and remembers what it took a search to find: one look-up, however many routes there are.

    Frameworks leave most of what is needed in the scope. Searched for once is what they do not: plain routes by what
    answers, and the mounts of a router.
    """

    def __init__(self) -> None:
        self._trails: dict[str, Trail] = {}
        self._indexes: dict[int, Index] = {}

    def name(self, scope: MutableMapping[str, Any], status: int) -> str:
        """Give the template as `of` does; a framework that changed its ways costs a label, not a request."""
        try:
            if "app_root_path" not in scope:  # no mount on the way: most of them
                endpoint = scope.get("endpoint")
                path = None if endpoint is None else matched_path(scope, endpoint)
                if path is not None:
                    return path
            return self.of(scope, status)
        except Exception as failure:
            report_failure(http_request_finished.name, "HTTPEventsMiddleware", failure)
            return UNKNOWN

    def of(self, scope: MutableMapping[str, Any], status: int) -> str:
        """Give the full template of the route that answered with ``status``.

        It is made of what the application declares and never of text from the client: the number of its values is
        bounded. `UNMATCHED` where no route fits, inside mounts too; "unknown" where one did but cannot be named.
        """
        endpoint = scope.get("endpoint")
        prefix, mounts = self._trail(scope) if "app_root_path" in scope else ("", ())
        last = next((mount for mount in mounts if mount.app is endpoint), None)
        if endpoint is None or last is not None:  # no route: nothing fits, or files, or an application of another kind
            if status == 404:
                return UNMATCHED
            if last is not None and not routes_of(last):
                return f"{prefix}/{{path}}"
            directory = frontend(scope)
            return UNMATCHED if directory is None else f"{prefix}{directory}/{{path}}"
        path = matched_path(scope, endpoint)
        if path is None:
            path = self._declared_path(scope, endpoint, mounts)
        return UNKNOWN if path is None else prefix + path

    def _trail(self, scope: MutableMapping[str, Any]) -> Trail:
        root: str = scope["app_root_path"]
        literal = scope["root_path"].removeprefix(root)
        trail = self._trails.get(literal)
        if trail is None:
            path = scope["path"].removeprefix(root)
            router = scope.get("router")
            trail = self._explained(router, path, literal)
            if trail is None and self._forget():  # a mount may have come since
                trail = self._explained(router, path, literal)
            trail = trail or ("", ())
            if trail[0] == literal:  # no parameters: as many as there are declarations
                self._trails[literal] = trail
        return trail

    def _explained(self, router: Any, path: str, literal: str) -> Trail | None:
        """Find the mounts that took ``literal`` off ``path``, as the routers did: the first that matches, then inside.

        None where mounts do not explain it all, as when a proxy's prefix was written into the scope on the way.
        """
        for mount in self._index(router).mounts:
            if hasattr(mount, "host_regex"):
                inside = self._explained(mount, path, literal)
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
            inside = self._explained(mount, rest, literal.removeprefix(taken))
            if inside is not None:
                return mount.path + inside[0], (mount, *inside[1])
            if taken == literal:
                return mount.path, (mount,)
        return None

    def _declared_path(self, scope: MutableMapping[str, Any], endpoint: Any, mounts: tuple[Any, ...]) -> str | None:
        """Search the routes: FastAPI leaves no trace of plain Starlette ones, such as its own ``/docs``."""
        here = scope["path"].removeprefix(scope.get("root_path") or "")
        for _ in range(2):
            for router in (*reversed(mounts), scope.get("router")):
                for route in self._answering(router, endpoint):
                    if route.path_regex.match(here):
                        path: str = route.path
                        return path
            if not self._forget():
                break
        return None

    def _answering(self, router: Any, endpoint: Any) -> Iterator[Any]:
        index = self._index(router)
        yield from index.answering(endpoint)
        for mount in index.mounts:
            if hasattr(mount, "host_regex"):  # takes nothing off the path: its routes are as good as the router's own
                yield from self._answering(mount, endpoint)

    def _index(self, router: Any) -> Index:
        index = self._indexes.get(id(router))
        if index is None or index.router is not router or index.size != len(routes_of(router)):
            index = self._indexes[id(router)] = Index(router)
        return index

    def _forget(self) -> bool:
        """Drop what was remembered of routers, if anything was: they may have got more routes."""
        remembered = bool(self._indexes)
        self._indexes.clear()
        return remembered


class Index:
    """What a router declares, gone through once: its mounts and hosts, and its routes by what answers."""

    def __init__(self, router: Any) -> None:
        routes = routes_of(router)
        self.router = router  # kept, so that its identity is nobody else's
        self.size = len(routes)
        self.mounts: list[Any] = []
        self._routes: dict[int, list[Any]] = {}
        for route in flat(routes):
            if hasattr(route, "endpoint"):
                self._routes.setdefault(id(route.endpoint), []).append(route)
            elif hasattr(route, "path_regex") or hasattr(route, "host_regex"):
                self.mounts.append(route)

    def answering(self, endpoint: Any) -> Iterable[Any]:
        """Give the routes, with regular expressions, that an endpoint stands behind."""
        return self._routes.get(id(endpoint), ())


def matched_path(scope: MutableMapping[str, Any], endpoint: Any) -> str | None:
    """Read the path of the matched route where the framework left it; a router around it may have left another."""
    fastapi = scope.get("fastapi")
    if fastapi:
        context = fastapi.get("effective_route_context")
        route = getattr(context, "starlette_route", None) or context
        if getattr(route, "endpoint", None) is endpoint:
            path: str = getattr(route, "path")  # noqa: B009  # what has an endpoint has a path, whatever its type
            return path
    route = scope.get("route")
    if getattr(route, "endpoint", None) is endpoint:
        path = getattr(route, "path")  # noqa: B009  # the same
        return path  # noqa: RET504  # typed above
    return None


def frontend(scope: MutableMapping[str, Any]) -> str | None:
    """Name the directory of files that FastAPI's ``frontend()`` answered from: it notes the path inside that alone."""
    inside = (scope.get("fastapi") or {}).get("frontend_path")
    path: str = scope["path"].removeprefix(scope.get("root_path") or "")
    if inside is None or not path.endswith(inside):
        return None
    return path.removesuffix(inside).rstrip("/")


def routes_of(router: Any) -> Sequence[Any]:
    """Give the routes of a router, an application or a mount; none where it is something else."""
    return getattr(router, "routes", None) or ()


def flat(routes: Iterable[Any]) -> Iterator[Any]:
    """Go through routes; those of FastAPI's included routers come with their prefixes."""
    for route in routes:
        contexts = getattr(route, "effective_route_contexts", None)
        if contexts is None:
            yield route
        else:
            for context in contexts():
                yield context.starlette_route or context
