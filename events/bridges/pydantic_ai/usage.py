"""What a request to a model is billed for: the tokens that were counted, an estimate where none were, the cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal, SupportsFloat, TypeVar

from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.usage import RequestUsage

from ...pipeline import value_dropped

CostSource = Literal["provider", "price_table", "unpriced"]

UsageSource = Literal["provider", "estimated", "none"]
SOURCES: tuple[UsageSource, ...] = ("estimated", "provider", "none")
"""Which one is said of a sum: an estimate in it makes it one."""

Amount = TypeVar("Amount", int, float)

Price = Callable[[str, str, RequestUsage], float | None]
"""Gives the cost in USD of what a provider's model was used for; None where nobody knows."""

MOST_DOLLARS = 10**6  # of one call
MOST_TOKENS = 10**9  # of one call; no model reads or writes that many
BYTES_A_TOKEN = 4  # of English prose; other scripts have more tokens to the byte than that, rarely fewer


@dataclass(frozen=True, kw_only=True)
class Counted:
    """The tokens of a call, under the names that `events.LLMCalled` has for them."""

    usage_source: UsageSource = "none"
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    estimated_prompt_tokens: int | None = None
    estimated_completion_tokens: int | None = None

    def __add__(self, other: Counted) -> Counted:
        """Add up two counts; what neither knows stays unknown."""
        sources = {self.usage_source, other.usage_source}
        source = next(source for source in SOURCES if source in sources)
        amounts = {
            name: together(getattr(self, name), getattr(other, name))
            for name in self.__dataclass_fields__
            if name != "usage_source"
        }
        return Counted(usage_source=source, **amounts)


def together(one: Amount | None, other: Amount | None) -> Amount | None:
    """Add up two amounts, either of which may be unknown."""
    return other if one is None else one if other is None else one + other


def counted(answer: ModelResponse, messages: Iterable[ModelMessage], *, whole: bool) -> Counted:
    """Read what the provider counted; estimate what an answer, or a part of one, came without a count of."""
    usage, (prompt, completion) = answer.usage, tokens(answer.usage)
    written = tokens_in([answer])
    if prompt is None and completion is None and not whole and not written:
        return Counted()
    # The count of an answer that was cut is that of its beginning, where the provider counts at the end.
    uncounted = 0 if whole and completion is not None else max(written - (completion or 0), 0)
    guessed = prompt is None or uncounted or (whole and completion is None)
    return Counted(
        usage_source="estimated" if guessed else "provider",
        estimated_prompt_tokens=tokens_in(messages) if prompt is None else None,
        estimated_completion_tokens=uncounted or None,
        prompt_tokens=prompt,
        completion_tokens=completion,
        # Subsets: more of a part than of the whole is no count.
        cache_read_tokens=part_of(prompt, "cache_read_tokens", usage.cache_read_tokens),
        cache_write_tokens=part_of(prompt, "cache_write_tokens", usage.cache_write_tokens),
        reasoning_tokens=part_of(completion, "reasoning_tokens", reasoning(usage)),
    )


def tokens(usage: RequestUsage) -> tuple[int | None, int | None]:
    """Give the prompt and completion tokens that the provider counted; None for what it did not say.

    pydantic-ai has normalised both: the prompt with cached tokens inside, the completion with reasoning inside. It
    writes 0 where nothing was said, and notes most of those cases in ``unmeasured_requests``. No request has an empty
    prompt, so 0 there is unknown (Ollama leaves a wholly cached one out); an empty completion beside a prompt is real.
    """
    if getattr(usage, "unmeasured_requests", 0):  # newer than pydantic-ai 2.0
        return None, None
    prompt = sensible("prompt_tokens", usage.input_tokens) or None
    completion = sensible("completion_tokens", usage.output_tokens)
    return prompt, completion if completion or prompt else None


def reasoning(usage: RequestUsage) -> int:
    """Give the reasoning tokens; before pydantic-ai had a field for them they stood among the details."""
    told = getattr(usage, "output_reasoning_tokens", 0) or usage.details.get("reasoning_tokens", 0)
    return told or usage.details.get("thoughts_tokens", 0)


def part_of(whole: int | None, field: str, amount: Any) -> int | None:
    """Give a number of tokens that are some of others; None where those are not known."""
    return None if whole is None else sensible(field, amount, whole)


def sensible(field: str, amount: Any, most: int = MOST_TOKENS) -> int | None:
    """Give a number of tokens if it can be one; else tell that it was dropped."""
    if not isinstance(amount, int):
        value_dropped.emit(metric=f"llm_called.{field}", reason="not_a_number")
    elif amount < 0:
        value_dropped.emit(metric=f"llm_called.{field}", reason="negative")
    elif amount > most:
        value_dropped.emit(metric=f"llm_called.{field}", reason="too_large")
    else:
        return amount
    return None


def tokens_in(messages: Iterable[ModelMessage]) -> int:
    """Guess the tokens of the text in messages, by its bytes in UTF-8."""
    texts: list[Any] = []
    for message in messages:
        texts.append(getattr(message, "instructions", None))
        for part in message.parts:
            texts += [getattr(part, "content", None), getattr(part, "args", None)]
    written = sum(len(text.encode("utf-8", "replace")) for text in texts if isinstance(text, str))
    return -(-written // BYTES_A_TOKEN)


@dataclass(frozen=True, kw_only=True)
class Bill:
    """What one request, or several of one call, are billed for."""

    counted: Counted = Counted()
    cost: float | None = None
    cost_source: CostSource | None = None

    def __add__(self, other: Bill) -> Bill:
        """Bill both; where the price of one is not known, nobody knows that of the two."""
        unpriced = "unpriced" in {self.cost_source, other.cost_source}
        return Bill(
            counted=self.counted + other.counted,
            cost=None if unpriced else together(self.cost, other.cost),
            cost_source="unpriced" if unpriced else self.cost_source or other.cost_source,
        )


def bill_of(
    answer: ModelResponse, asked: Iterable[ModelMessage], provider: str, model: str, price: Price | None, *, whole: bool
) -> Bill:
    """Read the bill of an answer, or of as much of one as came; what was not counted whole has no price."""
    used = counted(answer, asked, whole=whole)
    if used.prompt_tokens is None or used.completion_tokens is None:
        return Bill(counted=used)
    # A gateway that bills says so itself.
    billed = getattr(answer.usage, "cost", None)
    cost = payable(price(provider, model, answer.usage) if billed is None and price is not None else billed)
    source: CostSource = "price_table" if billed is None else "provider"
    return Bill(counted=used, cost=cost, cost_source="unpriced" if cost is None else source)


def payable(cost: SupportsFloat | None) -> float | None:
    """Give a cost if it can be one; else tell that it was dropped."""
    if cost is None:
        return None
    amount = float(cost)
    if 0 <= amount < MOST_DOLLARS:
        return amount
    if not isfinite(amount):
        value_dropped.emit(metric="llm_called.cost", reason="not_finite")
    else:
        value_dropped.emit(metric="llm_called.cost", reason="negative" if amount < 0 else "too_large")
    return None
