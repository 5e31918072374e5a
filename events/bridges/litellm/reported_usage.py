"""The tokens that a provider reported through LiteLLM, and what LiteLLM's price table makes of them.

Where a provider reports none, LiteLLM counts by itself, and its numbers look the same. So the tokens of a stream are
those in the chunks that LiteLLM received, never those in the chunk that it adds, and an answer of a provider for which
it always counts has none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from sys import modules
from typing import Any, Self
from weakref import ref

from ..model_calls.cost import number
from ..model_calls.token_usage import NO_USAGE, TokenUsage, get, openai_usage

COUNTED_BY_LITELLM = frozenset({"a2a", "langgraph", "petals", "predibase", "replicate", "sagemaker", "triton"})
"""Providers whose tokens LiteLLM counts itself."""

DETAILS = ("prompt_tokens_details", "completion_tokens_details", "input_tokens_details", "output_tokens_details")
"""The parts of a usage that have parts themselves."""

FROM_CACHE = "cached_response"
"""LiteLLM's word for the provider of a stream that is in its own cache."""

UNREPORTED = "UnreportedUsage"
"""The class of usage that stands for none, in LiteLLM."""


@dataclass(frozen=True, slots=True)
class ReceivedStream:
    """The parts of a stream that LiteLLM receives, without the stream: one that is dropped is to be seen.

    Attributes:
        model: The model that was asked.
        provider: Who was asked, in LiteLLM's word.
        chunks: Those that it received so far; None where the stream does not hold them.
        logging: Returns LiteLLM's record of the call, which knows its prices, and refers to the stream; None where the
            stream is gone.
    """

    model: Any
    provider: Any
    chunks: Sequence[Any] | None
    logging: Callable[[], Any]

    @classmethod
    def of(cls, stream: Any) -> Self:
        """Return the parts of a stream."""
        while not isinstance(getattr(stream, "chunks", None), list):
            inner = getattr(stream, "completion_stream", None)  # of chat completions, in one of text completions
            if inner is None:
                return cls(getattr(stream, "model", None), None, None, _logging_of(stream))
            stream = inner
        provider = getattr(stream, "custom_llm_provider", None)
        return cls(stream.model, provider, stream.chunks, _logging_of(stream))

    def reported(self) -> list[Any]:
        """Return the usages in its chunks that the provider sent."""
        usages = (get(chunk, "usage") for chunk in self.chunks or ())
        return [plain_usage(usage) for usage in usages if usage is not None and type(usage).__name__ != UNREPORTED]

    def usage(self) -> TokenUsage:
        """Return the tokens that the provider reported."""
        return NO_USAGE if self.provider == FROM_CACHE else merged_usage(self.reported())

    def table_cost(self, usage: TokenUsage) -> float | None:
        """Return the cost of its tokens by LiteLLM's price table, or by the prices of the Router's deployment.

        LiteLLM computes it by itself after the stream, on a thread, for its loggers; so it is asked for it here.
        """
        litellm = modules["litellm"]
        answer = litellm.ModelResponse(model=self.model, usage=_litellm_usage(litellm, usage))
        calculate = getattr(self.logging(), "response_cost_calculator", None)
        if calculate is not None:
            return number(calculate(result=answer))
        try:
            cost = litellm.completion_cost(answer, model=self.model, custom_llm_provider=self.provider)
        except Exception:  # it has no price
            return None
        return number(cost)


def _logging_of(stream: Any) -> Callable[[], Any]:
    logging = getattr(stream, "logging_obj", None)
    return (lambda: None) if logging is None else ref(logging)


def plain_usage(usage: Any) -> Any:
    """Return a usage as mappings: to ask an object of pydantic for what it has not takes a hundred times as long."""
    if usage is None or isinstance(usage, Mapping):
        return usage
    plain = {**vars(usage), **(getattr(usage, "model_extra", None) or {})}
    for name in DETAILS:
        details = plain.get(name)
        if details is not None and not isinstance(details, Mapping):
            plain[name] = {**vars(details), **(getattr(details, "model_extra", None) or {})}
    return plain


def merged_usage(usages: Sequence[Any]) -> TokenUsage:
    """Return the usage of a stream that came in several chunks: of each kind of tokens the last count that is not 0."""
    merged = NO_USAGE
    for usage in map(openai_usage, usages):
        counts = {each.name: getattr(usage, each.name) for each in fields(usage)}
        known = {name: count for name, count in counts.items() if count and count != "none"}
        zeros = {name: 0 for name, count in counts.items() if count == 0 and getattr(merged, name) is None}
        merged = replace(merged, **{**zeros, **known})
    return merged


def hidden_params(result: Any) -> Any:
    """Return what LiteLLM hid in an answer, such as its cost by the price table; None where it hid nothing."""
    return getattr(result, "_hidden_params", None)


def _litellm_usage(litellm: Any, usage: TokenUsage) -> Any:
    tokens = {each.name: getattr(usage, each.name) or 0 for each in fields(usage)}
    return litellm.Usage(
        prompt_tokens=tokens["prompt_tokens"],
        completion_tokens=tokens["completion_tokens"],
        total_tokens=tokens["prompt_tokens"] + tokens["completion_tokens"],
        prompt_tokens_details={
            "cached_tokens": tokens["cache_read_tokens"],
            "cache_creation_tokens": tokens["cache_write_tokens"],
            "audio_tokens": tokens["prompt_audio_tokens"],
        },
        completion_tokens_details={
            "reasoning_tokens": tokens["reasoning_tokens"],
            "audio_tokens": tokens["completion_audio_tokens"],
        },
        cache_read_input_tokens=tokens["cache_read_tokens"],
        cache_creation_input_tokens=tokens["cache_write_tokens"],
    )
