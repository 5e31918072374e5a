"""Events of calls to language models: the logical call, and each attempt that it took."""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum
from typing import Literal

from .bus.amount_limits import MAX_AMOUNT, drop_reason
from .bus.derived_fields import derived
from .bus.fields import Bytes, Dollars, ErrorType, Key, Label, Seconds, Status, Tokens, inherited
from .bus.signal import Signal
from .bus.span import Span

Outcome = Literal["success", "error", "timeout", "rate_limited", "cancelled"]
"""How one attempt ended."""

FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "error", "other", "unknown"]
"""Why a model stopped generating; ``unknown`` where its answer does not say."""

UsageSource = Literal["provider", "estimated", "none"]
"""Who counted the tokens of a call: the provider, an estimate for all or some of them, or nobody."""

CostSource = Literal["provider", "price_table", "unpriced", "unknown"]
"""Whose figure a cost is: the seller's own, a price list's, nobody's, or that of somebody who is not named."""

ModelOperation = Literal["chat", "text_completion", "embeddings", "rerank", "image", "audio", "other"]
"""What a model is asked for, in the words of OpenTelemetry's ``gen_ai.operation.name`` as far as it has them."""

CallResult = Literal["success", "invalid_output", "error", "timeout", "cancelled"]
"""How a call ended, where an answer that is not what was asked for is no success: it is asked for again, or fails."""

OutputFault = Literal["invalid_json", "schema_mismatch", "empty", "refusal"]
"""What is wrong with a response that was received."""


def unsplit(
    cost: Dollars | None,
    input_cost: Dollars | None = None,
    output_cost: Dollars | None = None,
    cache_read_cost: Dollars | None = None,
    cache_write_cost: Dollars | None = None,
) -> Dollars | None:
    """Return what is left of a cost without its known parts; None where the cost is unknown.

    Any number may be a cost, such as a `Decimal`; what cannot be one is returned as it is, and left out by whoever adds
    it up. So is a part: a NaN takes nothing away.
    """
    if not (input_cost is None or output_cost is None or cache_read_cost is None or cache_write_cost is None):
        try:
            known = input_cost + output_cost + cache_read_cost + cache_write_cost
            if (
                type(known) is float
                and type(cost) is float
                and input_cost >= 0.0
                and output_cost >= 0.0
                and cache_read_cost >= 0.0
                and cache_write_cost >= 0.0
                and known < MAX_AMOUNT
                and cost >= 0.0
                and cost < MAX_AMOUNT
                and cost - known <= cost * _HALF_ROUNDING
            ):  # most calls are such, and have no rest that the rounding of this sum could hide
                return 0.0
        except Exception:  # noqa: S110  # whatever a stranger's type may raise: each part is looked at alone, below
            pass
    if not (type(cost) is float and 0.0 <= cost < MAX_AMOUNT):
        if cost is None or drop_reason(cost) is not None:
            return cost
        cost = float(cost)
    parts = []
    for part in (input_cost, output_cost, cache_read_cost, cache_write_cost):
        if type(part) is float and 0.0 <= part < MAX_AMOUNT:  # the rule of `drop_reason`: nearly all parts are such
            parts.append(part)
        elif part is not None and drop_reason(part) is None:
            parts.append(float(part))
    rest = cost - fsum(parts)
    return rest if rest > cost * _ROUNDING else 0.0  # below that it is the rounding of the sum


_ROUNDING = 1e-9
"""The share of a cost below which what is left of it is the rounding of a sum."""

_HALF_ROUNDING = _ROUNDING / 2
"""Half of that, within which the order of summands makes no difference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LLMCallStarted:
    """A call to a language model started; ``model`` is the first one that is requested."""

    model: Label
    call_id: Key = ""
    requested_model: Label = "unknown"
    provider: Label = "unknown"
    operation: ModelOperation = "chat"
    agent_name: Label = inherited()
    workflow_type: Label = inherited()
    run_id: str = inherited("")


@dataclass(frozen=True, slots=True, kw_only=True)
class LLMAttempted:
    """One attempt at a call to a language model ended, successfully or not.

    ``model`` is the name that was asked for, ``response_model`` what the answer calls itself. An attempt at the same
    model of the same provider as the one before is a retry, any other a fallback; ``retry_reason`` or
    ``fallback_reason`` says why the one before failed, ``from_provider`` whose model that was. An attempt that began,
    or that began to wait in a queue, before the one before had ended is neither. ``backoff`` is the time waited between
    the two, ``queue_wait`` the time that the attempt waited before it began in a queue of one's own, such as that of a
    limiter; ``duration`` has neither in it, and is None for a request of a batch. A rate limit, and what remains of it,
    is None where the provider does not report it. A retry inside a provider's SDK has no ``error``, the class of what
    was raised: nothing was, and ``error_type`` says why it failed.
    """

    call_id: str = ""
    attempt: int = 1
    model: Label
    provider: Label = "unknown"
    response_model: Label | None = None
    outcome: Outcome
    duration: Seconds | None
    error: str = ""
    error_type: ErrorType | None = None
    status_code: int | None = None
    retry_after: Seconds | None = None
    retry_reason: ErrorType | None = None
    fallback_reason: ErrorType | None = None
    from_model: Label | None = None
    to_model: Label | None = None
    from_provider: Label | None = None
    backoff: Seconds | None = None
    queue_wait: Seconds | None = None
    limit_requests: int | None = None
    limit_tokens: int | None = None
    remaining_requests: int | None = None
    remaining_tokens: int | None = None
    agent_name: Label = inherited()
    workflow_type: Label = inherited()
    run_id: str = inherited("")


@dataclass(frozen=True, slots=True, kw_only=True)
class LLMCalled:
    """A call to a language model ended, successfully or not.

    ``model`` is the name that was asked for, as configured; in a chain, that of the member that answered, or of the
    last one asked. ``response_model`` is what the answer calls itself, ``requested_model`` the outermost name, such as
    ``fallback:a,b``. Prompt tokens include cached ones, completion tokens include reasoning; None means that the
    provider did not report them. ``duration`` is that of the logical call, with its retries and the ``backoff``
    between them, and without ``queue_wait``: the time in queues of one's own, such as that of a limiter, which is not
    in ``time_to_first_token`` either. A stream lasts until it is exhausted, closed or dropped, without its reader's
    pauses: those after which the next of it was there at once. ``time_per_output_token`` is that of tokens that were
    seen to arrive, None where none were. Tokens and cost are the sums over all attempts; where another model than
    ``model`` was billed too, or the cost has several sources, the call is ``itemized``: an `llm_usage_billed` for each
    model and source has its part. ``duration`` is None for a request of a batch. Estimated tokens stand in for those of
    a response without usage. Of the prompt, some were read from or written to a cache, some stand for audio or images;
    None means that nobody said, which is not 0.

    ``cost`` is in USD, None where no price is known. ``cost_source`` is ``unpriced`` where a price was asked for and
    not found: of several attempts, the cost is then that of those with a price. It is ``unknown`` or None where nobody
    says whose figure the cost is. ``input_cost``, ``output_cost``, ``cache_read_cost`` and ``cache_write_cost`` are its
    parts by kind of token, as far as they are known, and `unsplit_cost` is the rest.

    ``operation`` is what was asked for: an answer (``chat``), or embeddings, which have no completion.
    """

    model: Label
    call_id: Key = ""
    requested_model: Label = "unknown"
    response_model: Label | None = None
    provider: Label = "unknown"
    operation: ModelOperation = "chat"
    status: Status
    duration: Seconds | None
    error: str = ""
    error_type: ErrorType | None = None
    attempts: int = 1
    backoff: Seconds | None = None
    queue_wait: Seconds | None = None
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
    itemized: bool = False
    finish_reason: FinishReason | None = None
    output_fault: OutputFault | None = None
    agent_name: Label = inherited()
    workflow_type: Label = inherited()
    run_id: str = inherited("")

    @derived
    @staticmethod
    def result(status: Status, output_fault: OutputFault | None) -> CallResult:
        """Return the status, or ``invalid_output`` where the answer is not what was asked for (`output_fault`)."""
        return "invalid_output" if status == "success" and output_fault is not None else status

    unsplit_cost = derived(unsplit)
    """The part of the cost that no kind of token is known for; all of it where the seller names one sum."""

    @derived
    @staticmethod
    def lacks_usage(
        usage_source: UsageSource | None, status: Status, prompt_tokens: Tokens | None, completion_tokens: Tokens | None
    ) -> bool:
        """Return whether the call brought an answer, or a part of one, whose tokens the provider did not count."""
        if usage_source == "estimated":
            return True
        return status == "success" and prompt_tokens is None and completion_tokens is None


@dataclass(frozen=True, slots=True, kw_only=True)
class LLMUsageBilled:
    """The bill of one model for an itemized call: its part of the tokens and the cost of an `LLMCalled`, by source.

    It is emitted before the call's own event. An attempt that outlives its call is billed after it, and is in no call.
    """

    call_id: str = ""
    model: Label
    provider: Label = "unknown"
    response_model: Label | None = None
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
    agent_name: Label = inherited()
    workflow_type: Label = inherited()
    run_id: str = inherited("")

    unsplit_cost = derived(unsplit)
    """The part of the cost that no kind of token is known for; all of it where the seller names one sum."""

    @derived
    @staticmethod
    def lacks_usage(usage_source: UsageSource | None) -> bool:
        """Return whether the model gave an answer, or a part of one, whose tokens the provider did not count."""
        return usage_source == "estimated"


@dataclass(frozen=True, slots=True, kw_only=True)
class LLMConfigured:
    """A language model was configured, or is not any more: then ``configured`` is None.

    ``role`` is ``primary`` for the model that is asked first, ``fallback_1``, ``fallback_2`` and so on for those that
    are asked when it fails, in order. ``model`` and ``provider`` are those of the calls.
    """

    model: Label
    provider: Label = "unknown"
    role: Label = "primary"
    configured: Literal[1] | None = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LLMProcessRead:
    """The usage of the process of a language model was read, where the application runs it.

    ``cpu_time`` is the processor time since it was read before, or since the process started. ``resident_memory`` is
    None once the process is gone.
    """

    model: Label
    cpu_time: Seconds = 0.0
    resident_memory: Bytes | None


llm_call_started = Signal(LLMCallStarted)
llm_attempted = Signal(LLMAttempted)
llm_called = Signal(LLMCalled)
llm_usage_billed = Signal(LLMUsageBilled)
llm_configured = Signal(LLMConfigured)
llm_process_read = Signal(LLMProcessRead)
llm_call = Span(llm_call_started, llm_called)
"""A logical call to a language model, with all its attempts."""
