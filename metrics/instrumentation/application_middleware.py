"""The middleware of an application that `instrument` sets up: it emits its requests, and follows its life."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractContextManager

from events.bridges.asgi import HTTPEventsMiddleware
from events.bridges.asgi_types import ASGIApp, Receive, Scope, Send


class ApplicationMiddleware(HTTPEventsMiddleware):
    """`HTTPEventsMiddleware` that also runs the application's life inside of a context manager.

    Args:
        app: The application.
        exclude: As for `HTTPEventsMiddleware`.
        application: As for `HTTPEventsMiddleware`.
        created: Called with each middleware that the framework makes.
        lifespan: Returns the context manager of a life.
    """

    def __init__(
        self,
        app: ASGIApp,
        exclude: Iterable[str],
        application: str,
        *,
        created: Callable[[HTTPEventsMiddleware], object],
        lifespan: Callable[[], AbstractContextManager[object]],
    ) -> None:
        super().__init__(app, exclude, application)
        self._lifespan = lifespan
        created(self)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:  # type: ignore[override]  # one coroutine less for each request
        """Serve one connection."""
        if scope["type"] == "lifespan":
            return self._live(scope, receive, send)
        return super().__call__(scope, receive, send)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._lifespan():
            await super().__call__(scope, receive, send)
