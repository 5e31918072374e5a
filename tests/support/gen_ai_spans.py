"""Spans made by hand, by OpenTelemetry's SDK or without it, for a span processor to see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from time import time_ns
from types import MappingProxyType, SimpleNamespace
from typing import Any, Protocol

OPENAI = "opentelemetry.instrumentation.genai.openai"
"""The name of a scope, as that of the official instrumentation of openai."""


class SpanMaker(Protocol):
    """A maker of spans."""

    def start(
        self,
        name: str = "chat m",
        attributes: Mapping[str, Any] | None = None,
        *,
        library: str = OPENAI,
        parent: Any = None,
        start_time: int | None = None,
        kind: str = "CLIENT",
    ) -> Any:
        """Start a span; a ``parent`` is one that was made before."""

    def end(
        self,
        span: Any,
        attributes: Mapping[str, Any] | None = None,
        *,
        ok: bool = False,
        error: str | None = None,
        raised: tuple[str, str] | None = None,
        events: Sequence[str] = (),
        end_time: int | None = None,
    ) -> None:
        """End a span; ``error`` is the description of its status, ``raised`` the class and text of an exception."""


class SDKSpans:
    """Makes spans by a provider of the SDK."""

    def __init__(self, provider: Any) -> None:
        self.provider = provider

    def start(
        self,
        name: str = "chat m",
        attributes: Mapping[str, Any] | None = None,
        *,
        library: str = OPENAI,
        parent: Any = None,
        start_time: int | None = None,
        kind: str = "CLIENT",
    ) -> Any:
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind, set_span_in_context

        context = Context() if parent is None else set_span_in_context(parent, Context())
        tracer = self.provider.get_tracer(library)
        return tracer.start_span(name, context, SpanKind[kind], attributes, start_time=start_time)

    def end(
        self,
        span: Any,
        attributes: Mapping[str, Any] | None = None,
        *,
        ok: bool = False,
        error: str | None = None,
        raised: tuple[str, str] | None = None,
        events: Sequence[str] = (),
        end_time: int | None = None,
    ) -> None:
        from opentelemetry.trace import StatusCode

        span.set_attributes(attributes or {})
        for event in events:
            span.add_event(event)
        if raised is not None:
            span.add_event("exception", {"exception.type": raised[0], "exception.message": raised[1]})
        if ok:
            span.set_status(StatusCode.OK)
        if error is not None:
            span.set_status(StatusCode.ERROR, error)
        span.end(end_time)


@dataclass
class LightSpan:
    """A span with what a span processor reads of the SDK's."""

    name: str
    context: Any
    parent: Any
    library: str
    kind: Any
    start_time: int
    own: dict[str, Any]
    end_time: int | None = None
    events: list[Any] = field(default_factory=list)
    status: Any = None

    @property
    def instrumentation_scope(self) -> Any:
        return SimpleNamespace(name=self.library)

    @property
    def attributes(self) -> Any:
        return MappingProxyType(self.own)

    def set_attribute(self, name: str, value: Any) -> None:
        self.own[name] = value

    def get_span_context(self) -> Any:
        return self.context


class LightSpans:
    """Makes spans without the SDK, and passes them to a processor as it does."""

    def __init__(self, processor: Any) -> None:
        self.processor = processor
        self._ids = count(1)

    def start(
        self,
        name: str = "chat m",
        attributes: Mapping[str, Any] | None = None,
        *,
        library: str = OPENAI,
        parent: Any = None,
        start_time: int | None = None,
        kind: str = "CLIENT",
    ) -> Any:
        number = next(self._ids)
        around = None if parent is None else parent.get_span_context()
        context = SimpleNamespace(span_id=number, trace_id=number if around is None else around.trace_id)
        span = LightSpan(
            name, context, around, library, SimpleNamespace(name=kind), start_time or time_ns(), dict(attributes or {})
        )
        self.processor.on_start(span, parent_context=None)
        return span

    def end(
        self,
        span: Any,
        attributes: Mapping[str, Any] | None = None,
        *,
        ok: bool = False,
        error: str | None = None,
        raised: tuple[str, str] | None = None,
        events: Sequence[str] = (),
        end_time: int | None = None,
    ) -> None:
        span.own.update(attributes or {})
        span.events = [SimpleNamespace(name=event, attributes={}) for event in events]
        if raised is not None:
            recorded = {"exception.type": raised[0], "exception.message": raised[1]}
            span.events.append(SimpleNamespace(name="exception", attributes=recorded))
        code = "ERROR" if error is not None else "OK" if ok else "UNSET"
        span.status = SimpleNamespace(status_code=SimpleNamespace(name=code), description=error)
        span.end_time = end_time or time_ns()
        self.processor.on_end(span)
