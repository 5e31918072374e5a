"""Spans of lookups of documents, and what they emit."""

from __future__ import annotations

from typing import Any

from ...bus.signal import NO_SCOPE
from ..model_calls.document_retrieval import Lookup
from ..model_calls.names import label_of
from .attribute_names import Said
from .conventions import BRIDGE
from .open_spans import OpenSpan
from .span_outcomes import DROPPED, SpanOutcome
from .span_reading import data_source, document_count


class RetrievalSpans:
    """The spans of lookups of documents."""

    def start(self, opened: OpenSpan, span: Any, said: Said) -> None:  # noqa: ARG002  # as of other spans
        """Begin a lookup."""
        lookup = opened.lookup = _lookup(opened, data_source(said, opened.name))
        lookup.enter()  # until it ends, wherever that is

    def end(self, opened: OpenSpan, span: Any, said: Said, outcome: SpanOutcome, duration: float) -> None:
        """Emit a lookup that ended."""
        source = data_source(said, span.name)
        lookup = opened.lookup or _lookup(opened, source)
        lookup.data_source = label_of(source)
        documents = document_count(span.attributes) if outcome.status == "success" else None
        lookup.finish(outcome.status, outcome.error, documents=documents, duration=duration)

    def drop(self, opened: OpenSpan, duration: float) -> None:
        """Emit a lookup that nobody ended."""
        if opened.lookup is not None:
            opened.lookup.finish(DROPPED.status, duration=duration)


def _lookup(opened: OpenSpan, source: str) -> Lookup:
    return Lookup(BRIDGE, source, scope=opened.scope or NO_SCOPE, around=opened.lookup_around)
