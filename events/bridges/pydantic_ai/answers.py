"""The answers of a call's attempts: which of them the call's is, and what all of them were billed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from pydantic_ai.messages import ModelResponse
from pydantic_ai.models import Model

from ...bus.failures import report_failure
from ...llm import CostSource, llm_called, llm_usage_billed
from ..model_calls.event_scope import is_heard
from ..model_calls.frozen import make_frozen
from ..model_calls.names import truncate_name
from .billing import NO_BILLING, Billing, billing_of
from .call_state import Answer, AnyResponse, AskedModel, CallState
from .interruptions import Interrupted

T = TypeVar("T")


def add_answer(call: CallState, model: Model, response: AnyResponse, *, complete: bool) -> None:
    """Add the answer of an attempt to its call, which pays for it whatever becomes of it.

    ``complete`` is False where the answer broke off. The answer of an attempt that outlived its call is billed at once.
    Where nobody hears of either, it is not read.
    """
    if not (is_heard(llm_called) or is_heard(llm_usage_billed)):
        return
    whole = model_response(response)
    answer = make_frozen(
        Answer,
        {
            "model": model,
            "asked": call.names_of(model),
            "response": response,
            "parts": whole.parts,
            "response_model": truncate_name(whole.model_name) or None,
            "complete": complete,
            "billing": read_or_default(NO_BILLING, read_billing, call, model, whole, complete),
        },
    )
    if call.has_ended:
        emit_usage_billed(call, [answer])
    else:
        call.answers.append(answer)


def emit_usage_billed(call: CallState, answers: Iterable[Answer]) -> None:
    """Emit `llm_usage_billed` for each model that was billed for one of the answers, and each source of its cost."""
    bills: defaultdict[tuple[AskedModel, CostSource | None], list[Answer]] = defaultdict(list)
    for answer in answers:
        bills[answer.asked, answer.billing.cost_source].append(answer)
    for (asked, _), billed in bills.items():
        billing = sum((answer.billing for answer in billed), NO_BILLING)
        llm_usage_billed.emit(
            call_id=call.id,
            model=asked.model,
            provider=asked.provider,
            response_model=billed[-1].response_model,
            **billing.costs,
            **vars(billing.usage),
        )


def read_billing(call: CallState, model: Model, response: ModelResponse, complete: bool) -> Billing:
    """Return the billing of a response, priced by the names in it, or where it has none by those of the request."""
    provider = truncate_name(response.provider_name) or truncate_name(model.system)
    name = truncate_name(response.model_name) or truncate_name(model.model_name)
    return billing_of(
        response, call.spec.messages, provider, name, call.spec.price, complete=complete, ask=call.interruptions.ask
    )


def read_or_default(default: T, read: Callable[..., T], *args: Any) -> T:
    """Return what ``read`` returns; where a price function or a validator raises, report it and return ``default``."""
    try:
        return read(*args)
    except Interrupted:
        return default
    except Exception as failure:
        report_failure(llm_called.name, "pydantic_ai", failure)
        return default


def model_response(response: AnyResponse) -> ModelResponse:
    """Return a response as it is, of a stream as much as was read."""
    return response if isinstance(response, ModelResponse) else response.get()


def find_answer(call: CallState, response: AnyResponse | None) -> Answer | None:
    """Return the attempt's answer that a call's response is; of one that was made anew, the last complete answer."""
    if response is None:
        return None
    if call.answers and call.answers[-1].response is response:
        return call.answers[-1]
    exact = (answer for answer in reversed(call.answers) if answer.is_response(response))
    return next(exact, None) or next((answer for answer in reversed(call.answers) if answer.complete), None)


def bill_call(call: CallState, asked: AskedModel) -> tuple[Billing, bool]:
    """Return what all answers of a call were billed, and whether that is itemized.

    It is where another model than ``asked`` was billed too, or the cost has several sources: `llm_usage_billed` is
    emitted for each of them.
    """
    answers = call.answers
    if not answers:
        return NO_BILLING, False
    if len(answers) == 1 and answers[0].asked == asked:
        return answers[0].billing, False
    billed = [each for each in answers if each.billing != NO_BILLING]
    sources = {each.billing.cost_source for each in billed} - {None}
    itemized = any(each.asked != asked for each in billed) or len(sources) > 1
    if itemized:
        emit_usage_billed(call, billed)
    if len(billed) == 1:
        return billed[0].billing, itemized
    return sum((each.billing for each in billed), NO_BILLING), itemized
