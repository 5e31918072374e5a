"""Why a response ends, and whether that is a failure."""

from __future__ import annotations

from pydantic_ai.messages import ModelResponse
from pydantic_ai.models import StreamedResponse

from ...bus.fields import ErrorType
from ...llm import FinishReason

UNREADABLE = (AttributeError, LookupError, TypeError, ValueError)
"""What pydantic-ai's adapters raise where an answer is not as they expect it, as one without choices."""

FINISH_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_call": "tool_calls",
    "content_filter": "content_filter",
    "error": "error",
}


def finish_reason(response: ModelResponse) -> FinishReason:
    """Return why the model stopped; ``unknown`` where the provider does not say."""
    if has_failed(response):
        return "error"
    if response.finish_reason is None:
        return "other" if (response.provider_details or {}).get("finish_reason") else "unknown"
    return "unknown" if is_made_up(response) else FINISH_REASONS.get(response.finish_reason, "other")


def has_failed(response: ModelResponse | StreamedResponse) -> bool:
    """Return whether the answer ended with an error of the provider's, which it says in place of a reason."""
    raw = (response.provider_details or {}).get("finish_reason")
    return response.finish_reason == "error" or (response.finish_reason is None and raw == "error")


def is_made_up(response: ModelResponse | StreamedResponse) -> bool:
    """Return whether pydantic-ai made the finish reason up: it does for Chat Completions that have none.

    It notes the provider's own word in the details, beside the timestamp.
    """
    details = response.provider_details or {}
    is_noted = "finish_reason" in details or "timestamp" not in details
    return response.finish_reason in ("stop", "tool_call") and not is_noted


def is_refused(response: ModelResponse) -> bool:
    """Return whether a content filter refused the prompt, or all of the answer.

    Some providers respond to that with an error, others with an answer that has nothing in it; for Azure's error
    pydantic-ai makes up such an answer.
    """
    return response.finish_reason == "content_filter" and not any(
        getattr(part, "content", None) or getattr(part, "tool_name", None) for part in response.parts
    )


def lacks_end(response: StreamedResponse) -> bool:
    """Return whether a stream that is exhausted was cut by its provider, or on the way: no end of the answer came.

    OpenAI's Responses say so by the stream's state. Elsewhere it is a finish reason that is missing; servers with
    OpenAI's Chat Completions that have none send their usage after the answer. A model inside of the process, which
    has no URL, needs none.
    """
    if getattr(response, "state", None) == "incomplete":  # pydantic-ai 2.0 has no state
        return True
    if response.finish_reason is not None and not is_made_up(response):
        return False
    if (response.provider_details or {}).get("finish_reason"):
        return False
    if getattr(response, "provider_url", None) is None:
        return False
    is_counted_last = "OpenAIStreamedResponse" in {parent.__name__ for parent in type(response).__mro__}
    return not (is_counted_last and response.usage.output_tokens)


def response_fault(response: ModelResponse) -> ErrorType | None:
    """Return why a response is a failure though nothing was raised: it was refused, or ended in an error."""
    if is_refused(response):
        return "content_filtered"
    return "other" if has_failed(response) else None
