"""The context that agents are given, and what of it reaches the model."""

from __future__ import annotations

from events import context_built, context_truncated

from .. import buckets
from ..rows import counter, histogram

# fmt: off
CONTEXT = (
    histogram("context_size_bytes", "UTF-8 bytes of the context an agent was given, as sent.",
        context_built, value="size", labels=("agent_name",), buckets=buckets.CONTEXT_BYTES),
    histogram("context_size_tokens",
        "Tokens of the context an agent was given, by the model's count or an estimate.",
        context_built, value="tokens", labels=("agent_name",), buckets=buckets.CONTEXT_TOKENS),
    histogram("context_window_utilization_ratio",
        "Share of the model's window that a context wanted, before any trimming.",
        context_built, value="utilization", labels=("agent_name",), buckets=buckets.WINDOW_RATIO),
    counter("context_truncations_total", "Contexts that did not reach the model whole, by what was done to them.",
        context_truncated, labels=("agent_name", "reason"), initialize=False),
    counter("context_dropped_bytes_total", "Bytes of contexts that are known not to have reached the model.",
        context_truncated, value="dropped", labels=("agent_name",)),
)
# fmt: on
