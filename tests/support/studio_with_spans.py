"""``python -m tests.support.studio_with_spans``: the studio with a tracer that writes its spans when it stops."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

from opentelemetry.trace import format_span_id, format_trace_id, set_tracer_provider

from tests.support.recorded_spans import RecordedSpan, RecordedSpans

FILE = "spans.jsonl"
"""Where to, in the working directory: a line for each span that has ended."""


def described(span: RecordedSpan) -> dict[str, Any]:
    """Return what is written of a span."""
    return {
        "name": span.name,
        "trace_id": format_trace_id(span.context.trace_id),
        "span_id": format_span_id(span.context.span_id),
        "parent_id": None if span.parent is None else format_span_id(span.parent.span_id),
        "start": span.start_time,
        "end": span.end_time,
        "attributes": span.attributes,
        "status": span.status.status_code.name,
    }


def main() -> None:
    """Run the studio, and write its spans."""
    provider = RecordedSpans()
    set_tracer_provider(provider)
    try:
        runpy.run_module("app", run_name="__main__")
    finally:
        Path(FILE).write_text("".join(f"{json.dumps(described(span))}\n" for span in provider.ended))


if __name__ == "__main__":
    main()
