"""The tokens of a call to a model, as its provider counted them.

Sources: https://platform.openai.com/docs/api-reference/chat/object (``usage``),
https://platform.openai.com/docs/api-reference/responses/object (the same of Responses),
https://api-docs.deepseek.com/api/create-chat-completion (``prompt_cache_hit_tokens``),
https://platform.moonshot.ai/docs/api/chat (``cached_tokens``), https://docs.x.ai/docs/guides/reasoning (reasoning
beside the completion).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from ...bus.amount_limits import drop_reason
from ...llm import UsageSource
from ...pipeline import value_dropped
from .frozen import make_frozen

MAX_TOKENS = 10**9  # of one call; no model reads or writes that many

# The names of details, and the field of each.
CACHE_READ_DETAILS = dict.fromkeys(
    ("prompt_cache_hit_tokens", "cached_tokens", "num_cached_tokens", "cache_read_input_tokens"), "cache_read_tokens"
)
CACHE_WRITE_DETAILS = dict.fromkeys(("cache_creation_input_tokens", "cache_write_tokens"), "cache_write_tokens")
REASONING_DETAILS = dict.fromkeys(("reasoning_tokens", "thoughts_tokens", "thinking_tokens"), "reasoning_tokens")
PROMPT_DETAILS: Mapping[str, str] = {
    **CACHE_READ_DETAILS,
    **CACHE_WRITE_DETAILS,
    "audio_tokens": "prompt_audio_tokens",
    "image_tokens": "prompt_image_tokens",
}
COMPLETION_DETAILS: Mapping[str, str] = {
    **REASONING_DETAILS,
    "audio_tokens": "completion_audio_tokens",
    "image_tokens": "completion_image_tokens",
}
DETAILS_BESIDE: Mapping[str, str] = {**CACHE_READ_DETAILS, **CACHE_WRITE_DETAILS, **REASONING_DETAILS}
"""By the names of details of a prompt, of a completion, and of those that stand in the usage itself: the fields."""

NAMES_BESIDE = frozenset(DETAILS_BESIDE)
"""That a usage has none of them, as is usual, is found without a loop."""

NAMES_OF_USAGE = (
    *("prompt_tokens", "completion_tokens", "total_tokens", "input_tokens", "output_tokens"),
    *("prompt_tokens_details", "input_tokens_details", "completion_tokens_details", "output_tokens_details"),
    *("audio_tokens", "image_tokens"),
    *DETAILS_BESIDE,
    *("cost", "estimated_cost", "cost_details", "cost_in_usd_ticks", "is_byok"),
)
"""All that is looked for in a usage and its details."""

CACHED = ("cache_read_tokens", "cache_write_tokens")
COMPLETION_PARTS = frozenset({"reasoning_tokens", "completion_audio_tokens", "completion_image_tokens"})

SOURCE_PRECEDENCE: tuple[UsageSource, ...] = ("estimated", "provider", "none")
"""The source of a sum is the first of these that one of its parts has: a sum with an estimate in it is an estimate."""

Amount = TypeVar("Amount", int, float)

NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True, kw_only=True)
class TokenUsage:
    """The tokens of a call, under the names of the fields of `events.LLMCalled`; None is unknown."""

    usage_source: UsageSource = "none"
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    prompt_audio_tokens: int | None = None
    completion_audio_tokens: int | None = None
    prompt_image_tokens: int | None = None
    completion_image_tokens: int | None = None
    estimated_prompt_tokens: int | None = None
    estimated_completion_tokens: int | None = None

    def __add__(self, other: TokenUsage) -> TokenUsage:
        """Return the sum; what is unknown in both stays unknown."""
        sources = {self.usage_source, other.usage_source}
        source = next(source for source in SOURCE_PRECEDENCE if source in sources)
        amounts = {
            name: add_optional(getattr(self, name), getattr(other, name))
            for name in self.__dataclass_fields__
            if name != "usage_source"
        }
        return TokenUsage(usage_source=source, **amounts)


NO_USAGE = TokenUsage()


def add_optional(one: Amount | None, other: Amount | None) -> Amount | None:
    """Return the sum of two amounts; an unknown one counts as zero, two unknown ones are unknown.

    >>> add_optional(1, None)
    1
    """
    return other if one is None else one if other is None else one + other


def counted_usage(prompt: Any, completion: Any, **details: Any) -> TokenUsage:
    """Return the usage of counts that a provider reported: what is no count of tokens is dropped, and emitted as such.

    Args:
        prompt: Tokens of the prompt, cached ones included; 0 is what was not reported, since no prompt is empty.
        completion: Tokens of the answer, reasoning included.
        details: Parts of the two, under the names of the fields of `TokenUsage`.
    """
    prompt_tokens, completion_tokens = prompt, completion
    if type(prompt) is not int or not 0 < prompt <= MAX_TOKENS:  # here and below: the usual count passes without a call
        prompt_tokens = None if prompt is None else valid_token_count("prompt_tokens", prompt) or None
    if type(completion) is not int or not 0 <= completion <= MAX_TOKENS:
        completion_tokens = None if completion is None else valid_token_count("completion_tokens", completion)
    if prompt_tokens is None and not completion_tokens:
        return NO_USAGE
    counts: dict[str, Any] = {"usage_source": "provider"}
    if prompt_tokens is not None:
        counts["prompt_tokens"] = prompt_tokens
    if completion_tokens is not None:
        counts["completion_tokens"] = completion_tokens
    for name, count in details.items():
        if count is not None:
            whole = completion_tokens if name in COMPLETION_PARTS else prompt_tokens
            is_usual = whole is not None and type(count) is int and 0 <= count <= whole
            counts[name] = count if is_usual else valid_subset(whole, name, count)
    return make_frozen(TokenUsage, counts)


def openai_usage(usage: Any) -> TokenUsage:  # noqa: C901  # a call costs more than a branch
    """Return the tokens in the usage of a chat completion, a response or an embedding, also of servers like OpenAI's.

    Args:
        usage: A mapping, or an object of the SDK; None where the answer has no usage.
    """
    if usage is None:
        return NO_USAGE
    if type(usage) is not dict:
        usage = as_mapping(usage)
    prompt, completion, total = usage.get("prompt_tokens"), usage.get("completion_tokens"), None
    if completion is not None:
        total = usage.get("total_tokens")
    if prompt is None:
        prompt = usage.get("input_tokens")
    if completion is None:
        completion = usage.get("output_tokens")
    inside = usage.get("prompt_tokens_details") or usage.get("input_tokens_details")
    out = usage.get("completion_tokens_details") or usage.get("output_tokens_details")
    details: dict[str, Any] = {}
    if inside is not None:
        add_details(details, inside, PROMPT_DETAILS)
    if out is not None:
        add_details(details, out, COMPLETION_DETAILS)
    if not NAMES_BESIDE.isdisjoint(usage):
        add_details(details, usage, DETAILS_BESIDE)
    if type(prompt) is int and type(completion) is int:
        reasoning = details.get("reasoning_tokens")
        if prompt + completion != total or (type(reasoning) is int and reasoning > completion):
            counts = whole_counts(
                prompt,
                completion,
                cached=sum_of_counts(details.get(field) for field in CACHED),
                reasoning=reasoning if is_count(reasoning) else None,
                total=total,
            )
            prompt, completion, details["reasoning_tokens"] = counts
    return counted_usage(prompt, completion, **details)


def whole_counts(
    prompt: int, completion: int, *, cached: int, reasoning: int | None, total: Any
) -> tuple[int, int, int | None]:
    """Return the prompt with its cached tokens, and the completion with its reasoning, and the reasoning.

    What a provider counts beside the prompt or the completion is seen by its own total. Reasoning that exceeds the
    completion stands beside it in any case.
    """
    hidden = reasoning or 0
    if prompt <= 0 or completion < 0:
        return prompt, completion, reasoning
    beside = total - prompt - completion if is_count(total) else 0
    if beside == cached > 0 and beside != hidden:
        return prompt + beside, completion, reasoning
    if 0 < hidden == abs(beside) or (beside > 0 and completion and not hidden and not cached):
        return prompt, completion + beside, max(hidden, beside)
    if MAX_TOKENS > hidden > completion > 0:
        return prompt, completion + hidden, reasoning
    return prompt, completion, reasoning


def get(value: Any, name: str) -> Any:
    """Return an item of a mapping, or an attribute of anything else; None where there is none."""
    if value is None:
        return None
    if type(value) is dict or isinstance(value, Mapping):
        return value.get(name)
    return getattr(value, name, None)


def getter_of(value: Any) -> Callable[[str], Any]:
    """Return a function that returns what `get` does of a value: for one of which several names are asked."""
    if type(value) is not dict:
        value = with_items(value)
    return value.get if type(value) is dict else partial(get, value)


def with_items(value: Any) -> Any:
    """Return a model of pydantic's as a dictionary of its fields, and anything else as it is.

    For what is looked into for many names: pydantic takes microseconds to say that it has none of a name.
    """
    if type(value) is dict or value is None:
        return value
    try:
        extra = value.__pydantic_extra__
    except AttributeError:
        return value
    return {**value.__dict__, **extra} if extra else value.__dict__


def as_mapping(value: Any) -> Mapping[str, Any]:
    """Return what a usage, or the details of one, has by name: a mapping as it is, else the attributes of an object."""
    if type(value) is dict:
        return value
    if value is None:
        return NOTHING
    value = with_items(value)
    if type(value) is dict or isinstance(value, Mapping):
        return value
    return {name: found for name in NAMES_OF_USAGE if (found := getattr(value, name, None)) is not None}


def first_of(value: Any, names: Sequence[str]) -> Any:
    """Return the first item of these names that is not None."""
    for name in names:
        if (found := get(value, name)) is not None:
            return found
    return None


def add_details(details: dict[str, Any], value: Any, fields: Mapping[str, str]) -> None:
    """Add what a usage has of details by their fields; of several that have a field, the first that is not 0 counts.

    Args:
        details: What others have said.
        value: What is read: a mapping, or an object of the SDK.
        fields: The fields by the names that they have there.
    """
    said = with_items(value)
    if type(said) is not dict:
        said = as_mapping(said)
    for name, count in said.items():
        if count is not None and name in fields:
            field = fields[name]
            if not details.get(field):
                details[field] = count


def is_count(value: Any) -> bool:
    """Return whether a value is an integer."""
    return type(value) is int


def sum_of_counts(counts: Iterable[Any]) -> int:
    """Return the sum of those values that can be a number of tokens: one that cannot spoils none of the others."""
    return sum(count for count in counts if type(count) is int and 0 <= count <= MAX_TOKENS)


def valid_subset(whole: int | None, field: str, count: Any) -> int | None:
    """Return a valid number of tokens that are part of ``whole``, at most as many; None where that is unknown."""
    return None if whole is None or count is None else valid_token_count(field, count, whole)


def valid_token_count(field: str, count: Any, most: int = MAX_TOKENS) -> int | None:
    """Return a number of tokens if it is an integer from 0 to ``most``; else emit `value_dropped` and return None."""
    if type(count) is int and 0 <= count <= most:
        return count
    reason = drop_reason(count, limit=most + 1) if isinstance(count, int) else "not_a_number"
    if reason is None:
        return int(count)
    value_dropped.emit(metric=f"llm_called.{field}", reason=reason)
    return None
