"""The answer of a model as LangChain has it: its tokens, its end and the model's name for itself.

Source: https://docs.langchain.com/oss/python/langchain/messages (``usage_metadata``, ``response_metadata``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ...llm import FinishReason
from ..model_calls.finish_reasons import finish_reason_of
from ..model_calls.token_usage import NO_USAGE, TokenUsage, counted_usage, get, is_count, openai_usage

FROM_CACHE = TokenUsage(usage_source="provider", prompt_tokens=0, completion_tokens=0)
"""The tokens of an answer that LangChain has in a cache of its own: nobody was asked."""

REASONS = ("finish_reason", "stop_reason", "done_reason")
ENDS_ALWAYS_SAID = frozenset({"openai", "anthropic"})
"""The integrations, by ``model_provider``, whose answers say why they end, in a stream too."""

# fmt: off
PROMPT_DETAILS = {
    "cache_read":                "cache_read_tokens",
    "cache_creation":            "cache_write_tokens",
    "ephemeral_5m_input_tokens": "cache_write_tokens",
    "ephemeral_1h_input_tokens": "cache_write_tokens",
    "audio":                     "prompt_audio_tokens",
    "image":                     "prompt_image_tokens",
}
COMPLETION_DETAILS = {
    "reasoning": "reasoning_tokens",
    "audio":     "completion_audio_tokens",
    "image":     "completion_image_tokens",
}
# fmt: on


class ModelAnswer(NamedTuple):  # a frozen dataclass takes four times as long to make
    """An answer, as far as it came.

    Attributes:
        is_cut_off: Whether the end of a stream did not come, although nothing was raised.
        raw_usage: The usage as the provider sent it; None where LangChain has not kept it.
    """

    model: str | None = None
    usage: TokenUsage = NO_USAGE
    raw_usage: Any = None
    finish_reason: FinishReason | None = None
    is_from_cache: bool = False
    is_cut_off: bool = False


def read_answer(response: Any) -> ModelAnswer:
    """Return what an ``LLMResult`` says; nothing of None."""
    generations = getattr(response, "generations", None) or ()
    first = next((generation for several in generations for generation in several), None)
    message = getattr(first, "message", None)
    output = _mapping(getattr(response, "llm_output", None))
    said = {
        **output,
        **_mapping(getattr(first, "generation_info", None)),
        **_mapping(getattr(message, "response_metadata", None)),
    }
    counted = getattr(message, "usage_metadata", None)
    if isinstance(counted, dict) and "total_cost" in counted:
        return ModelAnswer(
            model=_model(said), usage=FROM_CACHE, finish_reason=_reason(said, message), is_from_cache=True
        )
    raw_usage = said.get("token_usage") or said.get("usage")
    usage = metadata_usage(counted) if isinstance(counted, dict) else openai_usage(raw_usage)
    reason = _reason(said, message)
    is_known = said.get("model_provider") in ENDS_ALWAYS_SAID
    return ModelAnswer(
        model=_model(said),
        usage=usage,
        raw_usage=raw_usage,
        finish_reason="unknown" if reason is None and first is not None else reason,
        is_cut_off=is_known and reason is None and usage is NO_USAGE,
    )


def metadata_usage(counted: Mapping[str, Any]) -> TokenUsage:
    """Return the tokens in the ``usage_metadata`` of a message: its input includes cached ones.

    With a service tier the names of some details begin with it, as in ``priority_cache_read``.
    """
    return counted_usage(
        counted.get("input_tokens"),
        counted.get("output_tokens"),
        **_details(counted.get("input_token_details"), PROMPT_DETAILS),
        **_details(counted.get("output_token_details"), COMPLETION_DETAILS),
    )


def _details(details: Any, names: Mapping[str, str]) -> dict[str, int]:
    """Return the sums of the counts whose names end in these, by the fields that these are of."""
    sums: dict[str, int] = {}
    for key, count in details.items() if isinstance(details, dict) else ():
        if is_count(count):
            field = names.get(key) or next((field for name, field in names.items() if key.endswith(name)), None)
            if field is not None:
                sums[field] = sums.get(field, 0) + count
    return sums


def _reason(said: Mapping[str, Any], message: Any) -> FinishReason | None:
    for name in REASONS:
        if said.get(name):
            return finish_reason_of(said[name])
    status = said.get("status")  # of Responses
    if status == "completed" and getattr(message, "tool_calls", None):
        return "tool_calls"
    if status:
        return finish_reason_of(get(said.get("incomplete_details"), "reason") or status)
    return None


def _model(said: Mapping[str, Any]) -> str | None:
    name = said.get("model_name") or said.get("model")
    return name if isinstance(name, str) else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
