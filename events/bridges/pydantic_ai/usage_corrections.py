"""The usage of a response by the rules of the provider that counted it, where pydantic-ai's adapter does not know them.

What the adapters know, such as the cached tokens of Anthropic and OpenAI, passes unchanged and is read in `usage`.

Sources: https://api-docs.deepseek.com/api/create-chat-completion (``prompt_cache_hit_tokens``),
https://platform.moonshot.ai/docs/api/chat (``cached_tokens``), https://docs.litellm.ai/docs/completion/prompt_caching
(``cache_read_input_tokens``), https://docs.x.ai/docs/guides/reasoning (reasoning beside the completion),
https://docs.vllm.ai (``continuous_usage_stats``: usage so far in every chunk).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from pydantic_ai.messages import ModelResponse
from pydantic_ai.usage import RequestUsage

from ..model_calls.token_usage import (
    CACHE_READ_DETAILS,
    CACHE_WRITE_DETAILS,
    REASONING_DETAILS,
    as_mapping,
    getter_of,
    whole_counts,
)
from .reported import Reported, reported_by

DETAILS = (
    "cache_read_tokens",
    "cache_write_tokens",
    "output_reasoning_tokens",
    "input_audio_tokens",
    "output_audio_tokens",
    "input_image_tokens",
    "output_image_tokens",
)
"""pydantic-ai's names for counts inside the prompt or the completion."""

CORRECTED_DETAILS = (
    ("cache_read_tokens", CACHE_READ_DETAILS),
    ("cache_write_tokens", CACHE_WRITE_DETAILS),
    ("output_reasoning_tokens", REASONING_DETAILS),
)
"""Those that some providers report by a name of their own, and these names."""


CORRECTED_FIELDS = {name: field for field, names in CORRECTED_DETAILS for name in names}


def corrected_usage(response: ModelResponse) -> RequestUsage:
    """Return the usage of a response: pydantic-ai's own where it is right, else another one."""
    reported = reported_by(response)
    if is_right(response.usage, reported):
        return response.usage
    usage = copy_of(response.usage)
    if len(reported.mapped) > 1 and is_cumulative(reported.mapped):
        usage = copy_of(reported.mapped[-1])
        usage.unmeasured_requests, usage.cost = 0, getattr(response.usage, "cost", None)
    counts = vars(usage)
    for name, names in CORRECTED_DETAILS:
        if not counts.get(name) and (count := reported_detail(usage, names)) is not None:
            counts[name] = count
    if reported.omits_zeros:
        for name in DETAILS:
            if counts.get(name) == 0:
                del counts[name]
    correct_totals(usage, reported)
    return usage


def is_right(usage: RequestUsage, reported: Reported) -> bool:
    """Return whether nothing has to be corrected for sure, as of most: what was reported is what pydantic-ai has."""
    counts, prompt, completion = usage.__dict__, usage.input_tokens, usage.output_tokens
    if reported.mapped or reported.omits_zeros or not (type(prompt) is type(completion) is int):
        return False
    for name, count in usage.details.items():
        if name in CORRECTED_FIELDS and counts.get(CORRECTED_FIELDS[name]) != count:
            return False
    if completion < counts.get("output_reasoning_tokens", 0):
        return False
    said = as_mapping(reported.usage)
    return said.get("completion_tokens") is None or said.get("total_tokens") in (None, prompt + completion)


def copy_of(usage: RequestUsage) -> RequestUsage:
    """Return a copy of a usage, with details of its own; `copy.copy` takes several times as long."""
    counts = {**usage.__dict__, "details": usage.details.copy()}
    made = object.__new__(type(usage))
    made.__dict__.update(counts)
    return made


def is_cumulative(usages: Sequence[RequestUsage]) -> bool:
    """Return whether each usage holds the ones before it: no count of tokens ever falls."""
    try:
        return all(
            before.input_tokens <= after.input_tokens and before.output_tokens <= after.output_tokens
            for before, after in pairwise(usages)
        )
    except TypeError:  # a count that is no number
        return False


def reported_detail(usage: RequestUsage, names: Iterable[str]) -> int | None:
    """Return the first of some details that the provider reported and is not 0, or else 0; None where it has none."""
    found = None
    for name in names:
        count = usage.details.get(name)
        if isinstance(count, int):
            if count:
                return count
            found = 0
    return found


def told(usage: RequestUsage, name: str) -> int | None:
    """Return a count that the provider reported, be it 0; None where it said nothing, which pydantic-ai reads as 0."""
    return usage.__dict__.get(name)


def correct_totals(usage: RequestUsage, reported: Reported) -> None:
    """Add what the provider counts beside the prompt or the completion, by its own total; take off what is in it twice.

    Chat completions alone have such a total.
    """
    prompt, completion = usage.input_tokens, usage.output_tokens
    if type(prompt) is not int or type(completion) is not int:
        return
    said, reasoning = getter_of(reported.usage), told(usage, "output_reasoning_tokens")
    total = said("total_tokens") if said("completion_tokens") is not None else None
    if prompt + completion == total and not (reasoning and reasoning > completion):
        return  # as of nearly all calls
    cached = (told(usage, "cache_read_tokens") or 0) + (told(usage, "cache_write_tokens") or 0)
    whole = whole_counts(prompt, completion, cached=cached, reasoning=reasoning, total=total)
    usage.input_tokens, usage.output_tokens, corrected = whole
    if corrected != reasoning:
        usage.output_reasoning_tokens = corrected or 0
