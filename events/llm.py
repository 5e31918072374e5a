"""Events of calls to language models: the logical call, and each attempt that it took."""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum
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

UsageSource = Literal["provider", "estimated", "none"]
"""Who counted the tokens of a call: the provider, an estimate for all or some of them, or nobody."""

CostSource = Literal["provider", "price_table", "unpriced", "unknown"]
"""Whose figure a cost is: the seller's own, a price list's, nobody's, or that of somebody who is not named."""


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
    usage. Of the prompt, some were read from or written to a cache, some stand for audio or images; None means that
    nobody said, which is not 0.

    ``cost`` is in USD, None where no price is known. ``cost_source`` is ``unpriced`` where a price was asked for and
    not found, ``unknown`` or None where nobody says whose figure it is. ``input_cost``, ``output_cost``,
    ``cache_read_cost`` and ``cache_write_cost`` are its parts by kind of token, as far as they are known, and
    `unsplit_cost` is the rest.
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
    usage_source: UsageSource | None = None
    prompt_tokens: Tokens | None = None
    completion_tokens: Tokens | None = None
    cache_read_tokens: Tokens | None = None
    cache_write_tokens: Tokens | None = None
    reasoning_tokens: Tokens | None = None
    prompt_audio_tokens: Tokens | None = None
    completion_audio_tokens: Tokens | None = None
    prompt_image_tokens: Tokens | None = None
    completion_image_tokens: Tokens | None = None
    estimated_prompt_tokens: Tokens | None = None
    estimated_completion_tokens: Tokens | None = None
    cost: Dollars | None = None
    cost_source: CostSource | None = None
    input_cost: Dollars | None = None
    output_cost: Dollars | None = None
    cache_read_cost: Dollars | None = None
    cache_write_cost: Dollars | None = None
    finish_reason: FinishReason | None = None
    output_fault: OutputFault | None = None
    agent_name: Label = inherited()
    workflow_type: Label = inherited()
    run_id: str = inherited("")

    @property
    def unsplit_cost(self) -> Dollars | None:
        """The part of the cost that no kind of token is known for; all of it where the seller names one sum."""
        if self.cost is None:
            return None
        parts = (self.input_cost, self.output_cost, self.cache_read_cost, self.cache_write_cost)
        rest = self.cost - fsum(part for part in parts if part is not None)
        return rest if rest > self.cost * 1e-9 else 0.0  # below that it is the rounding of the sum

    @property
    def lacks_usage(self) -> bool:
        """Whether the call brought an answer, or a part of one, whose tokens the provider did not count."""
        if self.usage_source == "estimated":
            return True
        return self.status == "success" and self.prompt_tokens is None and self.completion_tokens is None


llm_call_started = Signal(LLMCallStarted)
llm_attempted = Signal(LLMAttempted)
llm_called = Signal(LLMCalled)
llm_call = Span(llm_call_started, llm_called)
"""A logical call to a language model, with all its attempts."""
