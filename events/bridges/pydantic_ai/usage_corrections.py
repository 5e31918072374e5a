"""The usage of a response by the rules of the provider that counted it, where pydantic-ai's adapter does not know them.

What the adapters know, such as the cached tokens of Anthropic and OpenAI, passes unchanged and is read in `usage`.

Sources: https://api-docs.deepseek.com/api/create-chat-completion (``prompt_cache_hit_tokens``),
https://platform.moonshot.ai/docs/api/chat (``cached_tokens``), https://docs.litellm.ai/docs/completion/prompt_caching
(``cache_read_input_tokens``), https://docs.x.ai/docs/guides/reasoning (reasoning beside the completion),
https://docs.vllm.ai (``continuous_usage_stats``: usage so far in every chunk).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from itertools import pairwise

from pydantic_ai.messages import ModelResponse
from pydantic_ai.usage import RequestUsage

from ..model_calls.token_usage import CACHE_READ_DETAILS, CACHE_WRITE_DETAILS, REASONING_DETAILS, whole_counts
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
    ("cache_read_tokens", CACHE_READ_DETAILS.keys()),
    ("cache_write_tokens", CACHE_WRITE_DETAILS.keys()),
    ("output_reasoning_tokens", REASONING_DETAILS.keys()),
)
"""Those that some providers report by a name of their own, and these names."""


def corrected_usage(response: ModelResponse) -> RequestUsage:
    """Return the usage of a response; where nothing has to be corrected, pydantic-ai's own."""
    reported = reported_by(response)
    usage = copy(response.usage)
    if len(reported.mapped) > 1 and is_cumulative(reported.mapped):
        usage = copy(reported.mapped[-1])
        usage.unmeasured_requests, usage.cost = 0, getattr(response.usage, "cost", None)
    if reported_names := usage.details.keys():
        for name, names in CORRECTED_DETAILS:
            if names.isdisjoint(reported_names) or getattr(usage, name, None):
                continue
            if (count := reported_detail(usage, names)) is not None:
                setattr(usage, name, count)
    if reported.omits_zeros:
        for name in DETAILS:
            if usage.__dict__.get(name) == 0:
                del usage.__dict__[name]
    correct_totals(usage, reported)
    return usage


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
    """Return the first of some details that the provider reported, be it 0; None where it reported none."""
    found = [usage.details[name] for name in names if isinstance(usage.details.get(name), int)]
    return next((count for count in found if count), found[0] if found else None)


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
    reasoning, total = told(usage, "output_reasoning_tokens"), reported.get("total_tokens")
    cached = (told(usage, "cache_read_tokens") or 0) + (told(usage, "cache_write_tokens") or 0)
    if reported.get("completion_tokens") is None:
        total = None
    whole = whole_counts(prompt, completion, cached=cached, reasoning=reasoning, total=total)
    usage.input_tokens, usage.output_tokens, corrected = whole
    if corrected != reasoning:
        usage.output_reasoning_tokens = corrected or 0
