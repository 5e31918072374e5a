"""The tokens of a request to a model: as the provider counted them, else estimated from the text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.usage import RequestUsage

from ..model_calls.frozen import make_frozen
from ..model_calls.token_usage import MAX_TOKENS, NO_USAGE, TokenUsage, valid_subset, valid_token_count

BYTES_PER_TOKEN = 4  # of English prose; other scripts have more tokens to the byte than that, rarely fewer

# By pydantic-ai's name: that of the field, and whether it is a part of the prompt, else of the completion.
# fmt: off
DETAILS = {
    "cache_read_tokens":       ("cache_read_tokens",       True),
    "cache_write_tokens":      ("cache_write_tokens",      True),
    "output_reasoning_tokens": ("reasoning_tokens",        False),
    "input_audio_tokens":      ("prompt_audio_tokens",     True),
    "output_audio_tokens":     ("completion_audio_tokens", False),
    "input_image_tokens":      ("prompt_image_tokens",     True),
    "output_image_tokens":     ("completion_image_tokens", False),
}
# fmt: on


def token_usage(
    response: ModelResponse, usage: RequestUsage, messages: Iterable[ModelMessage], *, complete: bool
) -> TokenUsage:
    """Return the tokens of a response to ``messages``; those that the provider did not count are estimated.

    ``usage`` is that of the response, corrected. ``complete`` is False where the response broke off: a provider that
    counts at the end has counted its beginning.
    """
    prompt, completion = reported_tokens(usage)
    counts: dict[str, Any] = {"usage_source": "provider"}
    if prompt is not None:
        counts["prompt_tokens"] = prompt
    if completion is not None:
        counts["completion_tokens"] = completion
    if prompt is None or completion is None or not complete:
        if not (prompt or completion or complete or estimate_tokens([response])):
            return NO_USAGE
        counts.update(estimates(response, messages, prompt, completion, complete=complete))
    for name, count in vars(usage).items():  # be it 0; pydantic-ai's class has 0 for what the provider did not say
        if name in DETAILS:
            field, is_of_prompt = DETAILS[name]
            whole = prompt if is_of_prompt else completion
            if type(count) is int and whole is not None and 0 <= count <= whole:  # as most, without a call
                counts[field] = count
            elif (valid := valid_subset(whole, field, count)) is not None:
                counts[field] = valid
    return make_frozen(TokenUsage, counts)


def estimates(
    response: ModelResponse,
    messages: Iterable[ModelMessage],
    prompt: int | None,
    completion: int | None,
    *,
    complete: bool,
) -> dict[str, Any]:
    """Return the fields of what the provider did not count of a prompt and a completion."""
    uncounted, counts = 0, {}
    if not complete or completion is None:
        uncounted = max(estimate_tokens([response]) - (completion or 0), 0)
    if prompt is None:
        counts["estimated_prompt_tokens"] = estimate_tokens(messages)
    if uncounted:
        counts["estimated_completion_tokens"] = uncounted
    if prompt is None or uncounted or complete:
        return {"usage_source": "estimated", **counts}
    return counts


def reported_tokens(usage: RequestUsage) -> tuple[int | None, int | None]:
    """Return the prompt and completion tokens that the provider counted; None for what it did not report.

    pydantic-ai has normalised both: cached tokens are part of the prompt, reasoning is part of the completion. It
    writes 0 where nothing was reported, and notes most of those cases in ``unmeasured_requests``. No request has an
    empty prompt, so 0 there is unknown (Ollama omits a fully cached one); an empty completion with a prompt is real.
    """
    if getattr(usage, "unmeasured_requests", 0):  # newer than pydantic-ai 2.0
        return None, None
    prompt: int | None = usage.input_tokens
    completion: int | None = usage.output_tokens
    if not (type(prompt) is type(completion) is int and 0 < prompt <= MAX_TOKENS and 0 <= completion <= MAX_TOKENS):
        prompt = valid_token_count("prompt_tokens", prompt) or None
        completion = valid_token_count("completion_tokens", completion)
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
