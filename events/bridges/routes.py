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

from collections.abc import Iterable, Iterator, MutableMapping
from typing import Any

from ..fields import UNKNOWN

UNMATCHED = "unmatched"

Trail = tuple[str, tuple[Any, ...]]
"""The template of the mounts on the way to a route, and those mounts."""


class Templates:
    """Finds templates; remembers the mounts that have no parameters."""

    def __init__(self) -> None:
        self._plain: dict[str, Trail] = {}

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
            path = declared_path(scope, endpoint, mounts)
        return UNKNOWN if path is None else prefix + path

    def _trail(self, scope: MutableMapping[str, Any]) -> Trail:
        root: str = scope["app_root_path"]
        literal = scope["root_path"].removeprefix(root)
        trail = self._plain.get(literal)
        if trail is None:
            path = scope["path"].removeprefix(root)
            trail = explained(routes_of(scope.get("router")), path, literal) or ("", ())
            if trail[0] == literal:  # no parameters: as many as there are declarations
                self._plain[literal] = trail
        return trail


def matched_path(scope: MutableMapping[str, Any], endpoint: Any) -> str | None:
    """Read the path of the matched route where the framework left it; a router around it may have left another."""
    context = (scope.get("fastapi") or {}).get("effective_route_context")
    for route in (getattr(context, "starlette_route", None) or context, scope.get("route")):
        if getattr(route, "endpoint", None) is endpoint:
            path: str = getattr(route, "path")  # noqa: B009  # what has an endpoint has a path, whatever its type
            return path
    return None


def declared_path(scope: MutableMapping[str, Any], endpoint: Any, mounts: tuple[Any, ...]) -> str | None:
    """Search the routes: FastAPI leaves no trace of plain Starlette ones, such as its own ``/docs``."""
    here = scope["path"].removeprefix(scope.get("root_path") or "")
    routers = [*reversed(mounts)] or [scope.get("router")]
    for router in routers:
        for route in flat(routes_of(router)):
            if getattr(route, "endpoint", None) is endpoint and route.path_regex.match(here):
                path: str = route.path
                return path
    return None


def frontend(scope: MutableMapping[str, Any]) -> str | None:
    """Name the directory of files that FastAPI's ``frontend()`` answered from: it notes the path inside that alone."""
    inside = (scope.get("fastapi") or {}).get("frontend_path")
    path: str = scope["path"].removeprefix(scope.get("root_path") or "")
    if inside is None or not path.endswith(inside):
        return None
    return path.removesuffix(inside).rstrip("/")


def explained(routes: Iterable[Any], path: str, literal: str) -> Trail | None:
    """Find the mounts that took ``literal`` off ``path``, as the routers did: the first that matches, then inside it.

    None where mounts do not explain it all, as when a proxy's prefix was written into the scope on the way.
    """
    for mount in flat(routes):
        if hasattr(mount, "host_regex"):
            inside = explained(routes_of(mount), path, literal)
            if inside is not None:
                return inside
        match = mount.path_regex.match(path) if is_mount(mount) else None
        if match is None:
            continue
        rest = "/" + match["path"]
        taken = path[: len(path) - len(rest)]
        if not literal.startswith(taken):
            continue
        inside = explained(routes_of(mount), rest, literal.removeprefix(taken))
        if inside is not None:
            return mount.path + inside[0], (mount, *inside[1])
        if taken == literal:
            return mount.path, (mount,)
    return None


def routes_of(router: Any) -> Iterable[Any]:
    """Give the routes of a router, an application or a mount; none where it is something else."""
    return getattr(router, "routes", None) or ()


def is_mount(route: Any) -> bool:
    """Tell a mount from a route: both have a path, a mount has no endpoint."""
    return hasattr(route, "path_regex") and not hasattr(route, "endpoint")


def flat(routes: Iterable[Any]) -> Iterator[Any]:
    """Go through routes; those of FastAPI's included routers come with their prefixes."""
    for route in routes:
        contexts = getattr(route, "effective_route_contexts", None)
        if contexts is None:
            yield route
        else:
            for context in contexts():
                yield context.starlette_route or context
