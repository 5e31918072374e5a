"""The signals that listeners take: those whose events tell what the studio does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from events import (
    Signal,
    access_refused,
    agent_finished,
    agent_started,
    answer_evaluated,
    component_checked,
    context_built,
    context_truncated,
    documents_retrieved,
    event_dropped,
    guardrail_checked,
    http_request_finished,
    limit_reached,
    llm_attempted,
    llm_call_started,
    llm_called,
    llm_configured,
    llm_usage_billed,
    receiver_failed,
    review_decided,
    rows_expired,
    setup_fault_found,
    tool_called,
    worker_finished,
    worker_started,
    workflow_billed_late,
    workflow_call_interrupted,
    workflow_finished,
    workflow_released,
    workflow_requeued,
    workflow_resumed,
    workflow_started,
    workflow_step_finished,
)

STORY: tuple[Signal[..., Any], ...] = (
    workflow_started,
    workflow_resumed,
    workflow_step_finished,
    workflow_released,
    workflow_requeued,
    workflow_call_interrupted,
    workflow_billed_late,
    workflow_finished,
    agent_started,
    agent_finished,
    context_built,
    context_truncated,
    llm_configured,
    llm_call_started,
    llm_attempted,
    llm_called,
    llm_usage_billed,
    tool_called,
    documents_retrieved,
    review_decided,
    answer_evaluated,
    guardrail_checked,
    http_request_finished,
    access_refused,
    limit_reached,
    component_checked,
    worker_started,
    worker_finished,
    rows_expired,
    receiver_failed,
    event_dropped,
    setup_fault_found,
)
"""Not the statements of a database, nor what is read before a scrape: every query would pay for the event."""


@contextmanager
def connected(receiver: Callable[[Any], Any], signals: Iterable[Signal[..., Any]]) -> Iterator[None]:
    """Have each of some signals call a receiver while the block runs."""
    with ExitStack() as connections:
        for signal in signals:
            connections.enter_context(signal.connected_to(receiver))
        yield
