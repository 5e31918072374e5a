"""The middleware: puts a tracker around each request and websocket, and passes everything else through."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any
from weakref import finalize, ref

from ...bus.announcements import add_announcer
from ...bus.failures import report_failure
from ...bus.pollers import add_poller
from ...http import http_request_finished
from ..asgi_types import SPEC_BEFORE_2_4, ASGIApp, Receive, Scope, Send, paths_of
from . import open_requests
from .declared_routes import announce_failures, find_router
from .middleware_arguments import check_application_name, excluded_paths
from .open_requests import read_in_flight
from .request import RequestTracker, RequestTrackerASGI24
from .routes import RouteTemplates
from .websocket import WebsocketTracker

_TRACKED = "events.http_request"  # key of the names of the applications, in a scope which has a tracker already
_TRACKED_TYPES = ("http", "websocket")

SCRAPES = ("/metrics",)
"""Where scrapers read the metrics: what the middleware excludes if it is not told what else."""

HEALTH_CHECKS = (
    "/health", "/healthz", "/health/live", "/health/ready", "/health/startup", "/livez", "/readyz", "/startupz",
    "/live", "/ready", "/ping", "/up",
)  # fmt: skip
"""Where orchestrators and load balancers ask, every few seconds, whether an application is well: the paths that
Kubernetes uses itself (kubernetes.io/docs/reference/using-api/health-checks) and those that frameworks are given."""


class HTTPEventsMiddleware:
    """ASGI middleware that emits one event for each request, when its response ends, and for each closed websocket.

    The event is emitted *just before* the last chunk goes to the server. So a client that has the whole response and
    then reads the metrics finds its own request counted. The price: should that very last write fail, the request still
    counts as answered. Work after the last chunk (background tasks) is not the client's waiting time and not measured.

    Status code: the one that was sent; 499 when the client disconnected first; 500 when the application raised, was
    cancelled or returned before it sent one. ``error`` is the class of the exception, also when the response had
    started by then.

    How many are open is read before each render of metrics, and emitted as `http_activity_read`.

    The lifespan passes untouched. Of several
    stacked middlewares, in mounted applications for example, only the outermost emits.

    Several applications of one process have names, ``HTTPEventsMiddleware(app, application="shop")``, and
    ``metrics.subscribe(..., application="shop")`` counts what that one serves. A request to a mounted application is
    one event, in whose ``applications`` are both.

    Args:
        app: The application.
        exclude: Paths that emit nothing, each exactly and with or without a slash at its end, such as
            ``(*SCRAPES, *HEALTH_CHECKS)``.
        application: The name of the application; without one its events are among all those of the process alone.

    Raises:
        TypeError: ``exclude`` is a string, which as an iterable would exclude each of its letters, or None, or
            ``application`` is no text.
        ValueError: ``exclude`` has something else than a path, such as a template or a pattern, or ``application`` has
            a slash, which joins the names of several.
    """

    def __init__(self, app: ASGIApp, exclude: Iterable[str] = SCRAPES, application: str = "") -> None:
        self.app = app
        self.exclude = excluded_paths(exclude)
        check_application_name(application)
        self.application = application
        if application:
            open_requests.add_application(self, application)
        self.route_templates = RouteTemplates()
        self._router: Any = None
        self._announces = True
        add_poller(read_in_flight)
        self._end = finalize(self, add_announcer(partial(announce_again, ref(self))))
        self._end.atexit = False

    def close(self) -> None:
        """Emit nothing from now on, and pass everything through; for a framework that builds its middlewares once.

        What is open now emits its end.
        """
        self._end()
        open_requests.remove_application(self)
        self._router = None
        self._tracker = _no_tracker  # type: ignore[method-assign,assignment]  # so that no request has to ask

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        tracker = self._tracker(scope, receive, send)
        if tracker is None:
            await self.app(scope, receive, send)
            return
        try:
            app = self.app  # a call of `self.app` would look for a method first
            await app(scope, tracker.receive, tracker.send)
        except BaseException as error:
            tracker.finish(error)
            raise
        tracker.finish(None)

    def _tracker(self, scope: Scope, receive: Receive, send: Send) -> RequestTracker | WebsocketTracker | None:
        try:
            kind = scope["type"]
            if self._announces:
                self.announce_routes(scope)
            tracker: type[RequestTracker | WebsocketTracker]
            if kind == "http":
                try:
                    is_older = scope["asgi"]["spec_version"] in SPEC_BEFORE_2_4  # most servers say it
                except (KeyError, TypeError):
                    is_older = False
                tracker = RequestTracker if is_older else RequestTrackerASGI24
            elif kind == "websocket":
                tracker = WebsocketTracker
            else:
                return None
            try:
                root_path = scope["root_path"]  # most servers say it, and `get` is a call
            except KeyError:
                root_path = ""
            if scope["path"] in self.exclude or (root_path and not self.exclude.isdisjoint(paths_of(scope))):
                return None
            application = self.application
            if _TRACKED in scope:
                if application and application not in scope[_TRACKED]:
                    scope[_TRACKED].append(application)
                return None
            names = scope[_TRACKED] = [application] if application else []
            return tracker(scope, receive, send, self.route_templates, names)
        except Exception as failure:  # a scope that breaks the specification: the application may refuse it
            report_failure(http_request_finished.name, "HTTPEventsMiddleware", failure)
            return None

    def announce_routes(self, scope: Scope | None = None) -> None:
        """Announce the failures of the routes that there are: as the application starts, and at its first request.

        Not those of an application inside another one, whose templates it does not know. Without a scope, announce
        again what was announced.
        """
        if scope is not None:
            if scope["type"] in _TRACKED_TYPES:
                self._announces = False
            if _TRACKED in scope or scope.get("app_root_path", scope.get("root_path")) != scope.get("root_path"):
                return
            self._router = find_router(scope.get("app")) or find_router(self.app)
        if self._router is not None:
            announce_failures(self._router, self.exclude, self.application)


def _no_tracker(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """Return no tracker, whatever it is that is served."""


def announce_again(middleware: ref[HTTPEventsMiddleware]) -> None:
    """Announce the failures of a middleware's routes to a new subscription, if both are there."""
    if (alive := middleware()) is not None:
        alive.announce_routes()
