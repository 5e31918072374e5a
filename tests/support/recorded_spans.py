"""A tracer provider that keeps spans, by OpenTelemetry's API alone: for tests where its SDK is not installed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from time import time_ns
from typing import Any

from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    TracerProvider,
    get_current_span,
    use_span,
)
from opentelemetry.util.types import Attributes, AttributeValue

_ids = count(1)


@dataclass(eq=False)
class RecordedSpan(Span):
    """A span that keeps what it is told."""

    name: str
    kind: SpanKind
    context: SpanContext
    parent: SpanContext | None
    start_time: int
    attributes: dict[str, Any] = field(default_factory=dict)
    status: Status = field(default_factory=Status)
    end_time: int | None = None

    @property
    def seconds(self) -> float:
        """How long it took."""
        assert self.end_time is not None
        return (self.end_time - self.start_time) / 1e9

    @property
    def parent_id(self) -> int | None:
        """The id of the span around it."""
        return None if self.parent is None else self.parent.span_id

    def end(self, end_time: int | None = None) -> None:
        """End it, once."""
        assert self.end_time is None, f"{self.name} is ended twice"
        self.end_time = time_ns() if end_time is None else end_time

    def get_span_context(self) -> SpanContext:
        """Return its ids."""
        return self.context

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        """Set several attributes."""
        self.attributes.update(attributes)

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        """Set an attribute."""
        self.attributes[key] = value

    def add_event(self, name: str, attributes: Attributes = None, timestamp: int | None = None) -> None:
        """Raise: nothing here adds events, which could quote what somebody wrote."""
        raise AssertionError(name)

    def update_name(self, name: str) -> None:
        """Change its name."""
        self.name = name

    def is_recording(self) -> bool:
        """Return whether it has not ended."""
        return self.end_time is None

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Set its status."""
        self.status = status if isinstance(status, Status) else Status(status, description)

    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Raise: an exception's message may quote what somebody wrote."""
        raise AssertionError(exception)


class RecordedSpans(TracerProvider, Tracer):
    """The spans that were started, the oldest first.

    Args:
        is_sampled: Whether they are.
    """

    def __init__(self, *, is_sampled: bool = True) -> None:
        self.spans: list[RecordedSpan] = []
        self._flags = TraceFlags(TraceFlags.SAMPLED if is_sampled else TraceFlags.DEFAULT)

    def __getitem__(self, name: str) -> RecordedSpan:
        """Return the only span of a name."""
        [span] = [span for span in self.spans if span.name == name]
        return span

    @property
    def ended(self) -> list[RecordedSpan]:
        """Those that have ended."""
        return [span for span in self.spans if span.end_time is not None]

    def tree(self) -> dict[str, str | None]:
        """Return the name of the span around each, by its name; None of one that has none here."""
        names = {span.context.span_id: span.name for span in self.spans}
        return {span.name: names.get(span.parent_id or 0) for span in self.spans}

    def get_tracer(self, *_: Any, **__: Any) -> Tracer:
        """Return itself."""
        return self

    def start_span(  # noqa: PLR0917  # the API has them
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> RecordedSpan:
        """Start a span, as the SDK does."""
        parent = get_current_span(context).get_span_context()
        around = parent if parent.is_valid else None
        trace_id = next(_ids) << 64 if around is None else around.trace_id
        span = RecordedSpan(
            name,
            kind,
            SpanContext(trace_id, next(_ids), is_remote=False, trace_flags=self._flags),
            around,
            time_ns() if start_time is None else start_time,
            dict(attributes or {}),
        )
        self.spans.append(span)
        return span

    @contextmanager
    def start_as_current_span(  # type: ignore[override]  # its own may decorate functions too
        self, name: str, *args: Any, **kwargs: Any
    ) -> Iterator[RecordedSpan]:
        """Start a span that is current while the block runs, as an application of its own does."""
        span = self.start_span(name, *args, **kwargs)
        with use_span(span, end_on_exit=True):
            yield span
