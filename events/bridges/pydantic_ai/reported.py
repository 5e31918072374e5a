"""Usage and cost in a response of a provider that pydantic-ai's adapters leave out, stored beside the response.

The adapters map what they know: a cost, a total and a repeated usage are lost in it. Nothing of the application's is
changed: the response that it gets has the numbers of pydantic-ai.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import iscoroutinefunction
from typing import Any

from pydantic_ai.messages import ModelResponse
from pydantic_ai.models import Model, StreamedResponse
from pydantic_ai.usage import RequestUsage

from ...bus.failures import report_failure
from ...llm import llm_called
from ..model_calls.cost import LITELLM_HEADER
from ..model_calls.response_headers import NO_HEADERS
from ..model_calls.token_usage import get, with_items
from .members import leaf_models

_ATTRIBUTE = "_events_reported"


class Reported:
    """The usage of one response as the provider's SDK has it, and what pydantic-ai made of it.

    Attributes:
        usage: The last usage that was received; a mapping, or an object of the SDK.
        mapped: Each usage that pydantic-ai adds up; a stream may have one in every chunk.
        headers: Those of the response.
        streamed: Whether the response is.
        omits_zeros: Whether a count of 0 may be one that the provider left out: for Gemini's streams pydantic-ai fills
            those in.
    """

    mapped: Sequence[RequestUsage] = ()
    headers: Mapping[str, str] = NO_HEADERS
    streamed = False
    omits_zeros = False

    def __init__(self, usage: Any = None, **more: Any) -> None:
        self.usage = usage
        if more:
            vars(self).update(more)

    def get(self, *names: str) -> Any:
        """Return a value of the usage by the names of nested fields; None where it has none."""
        value = self.usage
        for name in names:
            value = get(with_items(value), name)
        return value


NOTHING_REPORTED = Reported()


def reported_by(response: Any) -> Reported:
    """Return what is kept beside a response; what nobody kept is empty."""
    reported = getattr(response, _ATTRIBUTE, None)
    if type(reported) is not Reported:
        return NOTHING_REPORTED
    if type(reported.usage) is not dict:  # it is looked into for many names
        reported.usage = with_items(reported.usage)
    return reported


def keep_headers(response: ModelResponse | StreamedResponse, headers: Mapping[str, str]) -> None:
    """Store the headers of a response beside it, where one of them has its cost."""
    if LITELLM_HEADER in headers:
        reported = reported_by(response)
        if reported is NOTHING_REPORTED:
            reported = Reported()
            setattr(response, _ATTRIBUTE, reported)
        reported.headers = headers


def observe_usage(model: Model) -> None:
    """Make a model, or each one that it wraps, store the usage of a plain response beside it.

    The method that is replaced, on this one object, is the one that makes pydantic-ai's response of the SDK's.
    """
    for each in leaf_models(model):
        process = getattr(each, "_process_response", None)
        if process is None or hasattr(process, _ATTRIBUTE) or iscoroutinefunction(process):
            continue

        def process_response(response: Any, *rest: Any, _process: Any = process, **options: Any) -> Any:
            made = _process(response, *rest, **options)
            if isinstance(made, ModelResponse):
                setattr(made, _ATTRIBUTE, Reported(getattr(response, "usage", None)))
            return made

        setattr(process_response, _ATTRIBUTE, True)
        each._process_response = process_response  # type: ignore[attr-defined]  # noqa: SLF001  # see above
        observe_inner_streams(each)


def observe_inner_streams(model: Model) -> None:
    """Make a model observe the streams that it reads by itself, for a plain request: Anthropic's does."""
    process = getattr(model, "_process_streamed_response", None)
    if not iscoroutinefunction(process):
        return

    async def process_streamed_response(*arguments: Any, **options: Any) -> Any:
        stream = await process(*arguments, **options)
        try:
            observe_stream(stream)
        except Exception as failure:
            report_failure(llm_called.name, "pydantic_ai", failure)
        return stream

    model._process_streamed_response = process_streamed_response  # type: ignore[attr-defined]  # noqa: SLF001  # see above


def observe_stream(stream: StreamedResponse) -> None:
    """Make a stream store its usage beside the responses that it makes.

    The methods that are replaced, on this one object, are those that add the usage of a chunk to what was read.
    """
    if hasattr(stream, _ATTRIBUTE):
        return
    mapped: list[RequestUsage] = []
    reported = Reported(streamed=True, mapped=mapped, omits_zeros=hasattr(stream, "_add_chunk_usage"))
    setattr(stream, _ATTRIBUTE, reported)
    stream.get = keeping_get(stream.get, reported)  # type: ignore[method-assign]
    if (add := getattr(stream, "_add_usage", None)) is not None:  # newer than pydantic-ai 2.0
        stream._add_usage = keeping_add(add, mapped)  # type: ignore[method-assign]  # noqa: SLF001  # see above
    if (map_usage := getattr(stream, "_map_usage", None)) is not None:  # of those that speak OpenAI's protocols
        stream._map_usage = keeping_map(map_usage, reported)  # type: ignore[attr-defined]  # noqa: SLF001  # see above
    if (start := getattr(stream, "_map_message_start", None)) is not None:  # of Anthropic's
        stream._map_message_start = keeping_start(start, reported)  # type: ignore[attr-defined]  # noqa: SLF001  # see above
    if (update := getattr(stream, "_update_response_state", None)) is not None:  # of xAI's own SDK
        stream._update_response_state = keeping_update(update, reported)  # type: ignore[attr-defined]  # noqa: SLF001  # see above


def keeping_get(get: Callable[[], ModelResponse], reported: Reported) -> Callable[[], ModelResponse]:
    """Return a stream's ``get`` that keeps what was reported beside each response that it makes."""

    def get_response() -> ModelResponse:
        response = get()
        setattr(response, _ATTRIBUTE, reported)
        return response

    return get_response


def keeping_add(add: Callable[..., None], mapped: list[RequestUsage]) -> Callable[..., None]:
    """Return a stream's ``_add_usage`` that keeps what it adds."""

    def add_usage(usage: RequestUsage, *, reported: bool, cumulative: bool = False) -> None:
        if reported and not cumulative:
            mapped.append(usage)
        add(usage, reported=reported, cumulative=cumulative)

    return add_usage


def keeping_map(map_usage: Callable[[Any], RequestUsage], reported: Reported) -> Callable[[Any], RequestUsage]:
    """Return a stream's ``_map_usage`` that keeps the usage that it maps."""

    def map_chunk_usage(chunk: Any) -> RequestUsage:
        usage = getattr(chunk, "usage", None)
        if usage is not None:
            reported.usage = usage
        return map_usage(chunk)

    return map_chunk_usage


def keeping_start(start: Callable[[Any], None], reported: Reported) -> Callable[[Any], None]:
    """Return a stream's ``_map_message_start`` that keeps the usage of its first event, which says the tier."""

    def map_message_start(event: Any) -> None:
        reported.usage = getattr(event.message, "usage", None)
        start(event)

    return map_message_start


def keeping_update(update: Callable[[Any], None], reported: Reported) -> Callable[[Any], None]:
    """Return a stream's ``_update_response_state`` that keeps the usage of what has come so far."""

    def update_response_state(response: Any) -> None:
        reported.usage = getattr(response, "usage", None)
        update(response)

    return update_response_state
