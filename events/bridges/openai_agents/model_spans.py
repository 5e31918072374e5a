"""The span of a generation or a response: a call to a model, as far as a trace has it.

A generation names its model as it starts, a response when it has come; both have the tokens at the end.
"""

from __future__ import annotations

from asyncio import CancelledError
from contextlib import suppress
from contextvars import Token
from time import perf_counter
from typing import Any

from ...bus.fields import UNKNOWN
from ...bus.scope import get_effective_scope
from ...llm import FinishReason
from ..model_calls.claims import Claim, claim_call, current_claim
from ..model_calls.cost import UsagePriceFunction
from ..model_calls.finish_reasons import finish_reason_of
from ..model_calls.model_call import CallEnd, ModelCall
from ..model_calls.names import provider_of
from ..model_calls.token_usage import NO_USAGE, TokenUsage, get, openai_usage
from .span_errors import has_error

BRIDGE = "openai_agents"

DETAILS = ("input_tokens_details", "output_tokens_details")


class ModelSpan:
    """A call to a model, from the start of its span to the end, unless an exact bridge takes it over."""

    def __init__(self, span: Any, price: UsagePriceFunction | None, provider: str | None) -> None:
        self._price = price
        self._started_at = perf_counter()
        self._scope = get_effective_scope()
        self._call: ModelCall | None = None
        self._token: Token[Claim | None] | None = None
        self._provider = provider or provider_of_span(span.span_data)
        self._claim = claim_call(is_exact=False)
        if self._claim is None:
            return
        self._token = current_claim.set(self._claim)
        model = get(span.span_data, "model")
        if model:  # a call that is told as under way has the model in both of its events
            self._call = self._start(self._claim, model)

    def end(self, span: Any, error: BaseException | None) -> None:
        """Emit the call, unless an exact bridge did."""
        if self._claim is None:
            return
        self._reset()
        if self._claim.is_taken:
            self._claim.has_ended = True
            return
        call = self._call or self._start(self._claim, get(get(span.span_data, "response"), "model"))
        call.finish(end_of(span, error))

    def drop(self) -> None:
        """End a call whose span never ended."""
        if self._call is not None:
            self._call.fail(CancelledError())

    def _start(self, claim: Claim, model: Any) -> ModelCall:
        return ModelCall(
            BRIDGE,
            claim,
            model=model,
            provider=self._provider,
            price=self._price,
            started_at=self._started_at,
            scope=self._scope,
        )

    def _reset(self) -> None:
        """Take the claim out of effect; one that ends in another context than it started in has no effect there."""
        if self._token is not None:
            with suppress(ValueError):
                current_claim.reset(self._token)


def end_of(span: Any, error: BaseException | None) -> CallEnd:
    """Return how the call of a span ended, by the exception that ends the span."""
    data = span.span_data
    usage, response = usage_of(data), get(data, "response")
    is_answered = response is not None or get(data, "usage") is not None
    if isinstance(error, CancelledError) and has_error(span):  # by the SDK, whose time limit was over
        end = CallEnd(status="timeout", error_type="timeout")
    elif error is not None and not (isinstance(error, GeneratorExit) and is_answered):  # its reader had the answer
        end = CallEnd.of_error(error)
    elif has_error(span):
        end = CallEnd(status="error", error_type="other")
    else:
        end = CallEnd(finish_reason=finish_reason_of_response(response))
    return end._replace(usage=usage, response_model=get(response, "model"))


def usage_of(data: Any) -> TokenUsage:
    """Return the tokens of a span: those of its response as the provider sent them, else those of the SDK.

    The SDK has a 0 for a part that the provider did not count: it is unknown.
    """
    sent = get(get(data, "response"), "usage")
    if sent is not None:
        return openai_usage(sent)
    usage = get(data, "usage")
    if usage is None:
        return NO_USAGE
    details = {name: {part: count for part, count in (get(usage, name) or {}).items() if count} for name in DETAILS}
    return openai_usage({**usage, **details})


def finish_reason_of_response(response: Any) -> FinishReason | None:
    """Return why a response ends; None of a generation, whose trace does not say."""
    if response is None:
        return None
    if get(response, "status") == "completed":
        calls = any(
            get(item, "type") in ("function_call", "custom_tool_call") for item in get(response, "output") or ()
        )
        return "tool_calls" if calls else "stop"
    return finish_reason_of(get(get(response, "incomplete_details"), "reason") or get(response, "status"))


def provider_of_span(data: Any) -> str:
    """Return the provider of a generation by the URL that is asked; ``unknown`` of a response, which has none."""
    url = get(get(data, "model_config"), "base_url")
    return (provider_of(url) or "openai-compatible") if url else UNKNOWN
