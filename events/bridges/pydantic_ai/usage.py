"""The tokens of a request to a model: as the provider counted them, else estimated from the text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.usage import RequestUsage

from ..model_calls.token_usage import TokenUsage, valid_subset, valid_token_count
from .usage_corrections import told

BYTES_PER_TOKEN = 4  # of English prose; other scripts have more tokens to the byte than that, rarely fewer

DETAILS = {
    "cache_read_tokens": ("prompt", "cache_read_tokens"),
    "cache_write_tokens": ("prompt", "cache_write_tokens"),
    "reasoning_tokens": ("completion", "output_reasoning_tokens"),
    "prompt_audio_tokens": ("prompt", "input_audio_tokens"),
    "completion_audio_tokens": ("completion", "output_audio_tokens"),
    "prompt_image_tokens": ("prompt", "input_image_tokens"),
    "completion_image_tokens": ("completion", "output_image_tokens"),
}
"""What each detail is a part of, and pydantic-ai's name for it."""


def token_usage(
    response: ModelResponse, usage: RequestUsage, messages: Iterable[ModelMessage], *, complete: bool
) -> TokenUsage:
    """Return the tokens of a response to ``messages``; those that the provider did not count are estimated.

    ``usage`` is that of the response, corrected. ``complete`` is False where the response broke off: a provider that
    counts at the end has counted its beginning.
    """
    prompt, completion = reported_tokens(usage)
    output_estimate = estimate_tokens([response])
    if prompt is None and completion is None and not complete and not output_estimate:
        return TokenUsage()
    uncounted = 0 if complete and completion is not None else max(output_estimate - (completion or 0), 0)
    is_estimate = prompt is None or uncounted or (complete and completion is None)
    return TokenUsage(
        usage_source="estimated" if is_estimate else "provider",
        estimated_prompt_tokens=estimate_tokens(messages) if prompt is None else None,
        estimated_completion_tokens=uncounted or None,
        prompt_tokens=prompt,
        completion_tokens=completion,
        **{
            name: valid_subset({"prompt": prompt, "completion": completion}[whole], name, told(usage, counted))
            for name, (whole, counted) in DETAILS.items()
        },
    )


def reported_tokens(usage: RequestUsage) -> tuple[int | None, int | None]:
    """Return the prompt and completion tokens that the provider counted; None for what it did not report.

    pydantic-ai has normalised both: cached tokens are part of the prompt, reasoning is part of the completion. It
    writes 0 where nothing was reported, and notes most of those cases in ``unmeasured_requests``. No request has an
    empty prompt, so 0 there is unknown (Ollama omits a fully cached one); an empty completion with a prompt is real.
    """
    if getattr(usage, "unmeasured_requests", 0):  # newer than pydantic-ai 2.0
        return None, None
    prompt = valid_token_count("prompt_tokens", usage.input_tokens) or None
    completion = valid_token_count("completion_tokens", usage.output_tokens)
    return prompt, completion if completion or prompt else None


def estimate_tokens(messages: Iterable[ModelMessage]) -> int:
    """Return an estimate of the tokens in messages, from the bytes of their text in UTF-8."""
    texts: list[Any] = []
    for message in messages:
        texts.append(getattr(message, "instructions", None))
        for part in message.parts:
            texts += [getattr(part, "content", None), getattr(part, "args", None)]
    size = sum(len(text.encode("utf-8", "replace")) for text in texts if isinstance(text, str))
    return -(-size // BYTES_PER_TOKEN)
