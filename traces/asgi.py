"""The spans of requests, under the trace that a request came with."""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.propagate import extract, get_global_textmap
from opentelemetry.trace import Span, SpanKind, TracerProvider, get_current_span, get_tracer, set_span_in_context

from events import http_request_finished
from events.bridges.asgi import SCRAPES
from events.bridges.asgi.middleware_arguments import excluded_paths
from events.bridges.asgi_types import ASGIApp, Receive, Scope, Send, header_text, paths_of
from events.bus.failures import report_failure

from .spans import INSTRUMENTATION_SCOPE, describe

request_span: ContextVar[Span | None] = ContextVar("traces.request_span", default=None)
"""The span of the request that is served, until it is answered."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})


class TraceContextMiddleware:
    """ASGI middleware that continues the trace which a request comes with, by its ``traceparent``, with a span of it.

    The span is current while the application runs, so that whatever is done for the request hangs under it. Put it
    outside of `events.bridges.asgi.HTTPEventsMiddleware`, whose event gives the span its route, its status and its end,
    as `traces.trace_events` passes it on. What the headers are called is for OpenTelemetry's propagators to say
    (``OTEL_PROPAGATORS``). Where OpenTelemetry's own middleware runs around it, this one does nothing.

    A websocket has no span: it continues the trace alone.

    Args:
        app: The application.
        exclude: Paths whose requests have no span, with or without a slash at the end.
        tracer_provider: Who makes the spans; by default the process's own.

    Raises:
        TypeError: ``exclude`` is a string, which as an iterable would exclude each of its letters, or None, or has
            something else than paths.
        ValueError: ``exclude`` has something else than a path, such as a template or a pattern.
    """

    def __init__(
        self, app: ASGIApp, exclude: Iterable[str] = SCRAPES, tracer_provider: TracerProvider | None = None
    ) -> None:
        self.app = app
        self.exclude = excluded_paths(exclude)
        self._tracer = get_tracer(INSTRUMENTATION_SCOPE, tracer_provider=tracer_provider)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        entered = self._enter(scope)
        if entered is None:
            await self.app(scope, receive, send)
            return
        try:
            await self.app(scope, receive, send)
        except BaseException as error:
            entered.leave(error)
            raise
        entered.leave(None)

    def _enter(self, scope: Scope) -> EnteredRequest | None:
        try:
            if scope["type"] not in ("http", "websocket") or has_server_span():
                return None
            if not self.exclude.isdisjoint(paths_of(scope)):
                return None
            context = continued_context(scope)
            span = None
            if scope["type"] == "http":
                method = scope["method"] if scope["method"] in METHODS else "_OTHER"
                span = self._tracer.start_span(
                    "HTTP" if method == "_OTHER" else method,
                    context,
                    SpanKind.SERVER,
                    # Without the path, which may have anything in it: its route comes with the answer.
                    {"http.request.method": method, "url.scheme": scope.get("scheme", "http")},
                )
                context = set_span_in_context(span, context)
            return EnteredRequest(span, context, attach(context), request_span.set(span))
        except Exception as failure:  # a scope that breaks the specification: the application may refuse it
            report_failure(http_request_finished.name, "TraceContextMiddleware", failure)
            return None


@dataclass(frozen=True, slots=True)
class EnteredRequest:
    """A request whose trace is continued: its span, the context in which that is current, and what was before."""

    span: Span | None
    context: Context
    token: Any
    span_token: Any

    def leave(self, error: BaseException | None) -> None:
        """End the span unless the answer has ended it, and have the context be what it was."""
        try:
            if self.span is not None and self.span.is_recording():
                if error is not None:
                    describe(self.span, "error" if isinstance(error, Exception) else "cancelled", type(error).__name__)
                self.span.end()
            if get_current() is self.context:
                detach(self.token)
                request_span.reset(self.span_token)
        except Exception as failure:
            report_failure(http_request_finished.name, "TraceContextMiddleware", failure)


def continued_context(scope: Scope) -> Context:
    """Return the context that the headers of a request say; an empty one where they say nothing."""
    headers = scope["headers"]
    carrier = {name: text for name in get_global_textmap().fields if (text := header_text(headers, name.encode()))}
    return extract(carrier)


def has_server_span() -> bool:
    """Return whether a span of this very request is current: another middleware has started it, or this one outside."""
    span = get_current_span()
    context = span.get_span_context()
    # One that is not sampled does not say of what kind it is.
    return context.is_valid and not context.is_remote and getattr(span, "kind", SpanKind.SERVER) is SpanKind.SERVER
