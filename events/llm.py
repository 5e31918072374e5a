"""Events of calls to language models: the logical call, and each attempt that it took."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .bus.fields import Dollars, ErrorType, Key, Label, Seconds, Status, Tokens, inherited
from .bus.signal import Signal
from .bus.span import Span

Outcome = Literal["success", "error", "timeout", "rate_limited", "cancelled"]
"""How one attempt ended."""

FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "error", "other"]
"""Why a model stopped generating."""

OutputFault = Literal["invalid_json", "schema_mismatch", "empty", "refusal"]
"""What is wrong with a response that was received."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LLMCallStarted:
    """A call to a language model started; ``model`` is the first one that is requested."""

    model: Label
    call_id: Key = ""
    requested_model: Label = "unknown"
    provider: Label = "unknown"
    agent_name: Label = inherited()
    workflow_type: Label = inherited()
    run_id: str = inherited("")


@dataclass(frozen=True, slots=True, kw_only=True)
class LLMAttempted:
    """One attempt at a call to a language model ended, successfully or not.

    An attempt at the same model as the one before is a retry, one at another model a fallback; ``retry_reason`` or
    ``fallback_reason`` says why the one before failed. ``backoff`` is the time waited between the two. What remains of
    a rate limit is None where the provider does not report it.
    """

    call_id: str = ""
    attempt: int = 1
    model: Label
    provider: Label = "unknown"
    outcome: Outcome
    duration: Seconds
    error: str = ""
    error_type: ErrorType | None = None
    status_code: int | None = None
    retry_after: Seconds | None = None
    retry_reason: ErrorType | None = None
    fallback_reason: ErrorType | None = None
    from_model: Label | None = None
    to_model: Label | None = None
    backoff: Seconds | None = None
    remaining_requests: int | None = None
    remaining_tokens: int | None = None
    agent_name: Label = inherited()
    workflow_type: Label = inherited()
    run_id: str = inherited("")


@dataclass(frozen=True, slots=True, kw_only=True)
class LLMCalled:
    """A call to a language model ended, successfully or not.

    ``model`` is the one that answered, ``requested_model`` the one that was requested. Prompt tokens include cached
    ones, completion tokens include reasoning; None means that the provider did not report them. ``duration`` is that of
    the logical call, with its retries and the waiting between them; a stream lasts until it is exhausted, closed or
    dropped. Tokens and cost are the sums over all attempts. Estimated tokens stand in for those of a response without
    usage. ``cost`` is in USD, None where no price is known.
    """

    model: Label
    call_id: Key = ""
    requested_model: Label = "unknown"
    provider: Label = "unknown"
    status: Status
    duration: Seconds
    error: str = ""
    error_type: ErrorType | None = None
    attempts: int = 1
    backoff: Seconds | None = None
    streamed: bool = False
    time_to_first_token: Seconds | None = None
    time_per_output_token: Seconds | None = None
    usage_source: Literal["provider", "estimated", "none"] | None = None
    prompt_tokens: Tokens | None = None
    completion_tokens: Tokens | None = None
    cache_read_tokens: Tokens | None = None
    cache_write_tokens: Tokens | None = None
    reasoning_tokens: Tokens | None = None
    estimated_prompt_tokens: Tokens | None = None
    estimated_completion_tokens: Tokens | None = None
    cost: Dollars | None = None
    cost_source: Literal["provider", "price_table", "unpriced"] | None = None
    finish_reason: FinishReason | None = None
    output_fault: OutputFault | None = None
    agent_name: Label = inherited()
    workflow_type: Label = inherited()
    run_id: str = inherited("")


llm_call_started = Signal(LLMCallStarted)
llm_attempted = Signal(LLMAttempted)
llm_called = Signal(LLMCalled)
llm_call = Span(llm_call_started, llm_called)
"""A logical call to a language model, with all its attempts."""
