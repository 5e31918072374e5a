"""`instrument`, which wraps a model, the members of a fallback, and what pydantic-ai's own wrappers wrap."""

from __future__ import annotations

from copy import copy

from pydantic_ai.agent import AbstractAgent
from pydantic_ai.models import Model
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.wrapper import WrapperModel

from .billing import PriceFunction
from .output_faults import SchemaValidator
from .price_list import list_price
from .wrapper import InstrumentedModel


def instrument(
    model: Model,
    *,
    price: PriceFunction | None = list_price,
    is_valid_output: SchemaValidator | None = None,
    emit_tool_calls: bool = True,
) -> Model:
    """Return the model wrapped so that each request to it emits its events once, streamed or not.

    An agent that asks it emits `tool_called` for each use of a tool, with the name of the tool's MCP server if it has
    one. Tools that the provider runs, and those that run before the first request of an agent's run, are not seen.

    A request to the outermost wrapper is a call, a request to the innermost one an attempt.
    ``instrument(FallbackModel(a, b))`` wraps the members of the fallback too: it emits one `llm_called`, with the model
    that responded and ``fallback:a,b`` as the requested one, and an `llm_attempted` for each member that was tried.
    Around something else that asks several times, such as a wrapper that retries or takes the best of three, wrap both
    it and what it wraps: every answer that a provider billed is then in the tokens and cost of the call, also one that
    was rejected, and no token counts twice. Where only the wrapper is instrumented, the answer that it returns is.

    Each HTTP request that the provider's SDK sends is an attempt, its own retries among them: the SDKs of OpenAI and
    Anthropic retry twice unless ``max_retries`` in the model's settings says otherwise. Where the SDK has another
    client than httpx's or botocore's (Hugging Face, xAI), all that it sends for one request is one attempt.

    Args:
        model: the model to wrap; one that is wrapped already is returned as it is.
        price: ``price(provider, model, usage)`` returns the cost in USD, or None where it knows none; one that takes a
            fourth argument is given the response too. It is asked where the response has no cost of its own. By default
            it is the price list of genai-prices, `list_price`; `own_server` is for a server of one's own, which costs
            nothing. With None nobody is asked, and the cost stays unknown without being ``unpriced``.
        is_valid_output: ``is_valid_output(schema, value)`` returns whether a typed output matches its JSON schema.
            Without it the only faults found in typed output are JSON that is no object and output that is missing. What
            the agent's own output function or validator rejects has the form that was asked for, and is no fault.
        emit_tool_calls: False where the tools emit `tool_called` by themselves, so that no use counts twice.

    Where wrappers are nested, those of the outermost are used.

    What a stream's reader does between two events is not the model's time, unless it has to wait for the model after
    that: durations leave it out, and the time between tokens is that of tokens that were seen to arrive.

    A limit is recorded as a timeout if the model gets it: ``timeout`` or ``request_timeout`` in its settings.
    `asyncio.timeout` around an agent arrives here as a cancellation, and is recorded as one.

    Raises:
        TypeError: ``model`` is no model, or ``price`` can be neither called nor is None.
    """
    check_arguments(model, price)
    if isinstance(model, InstrumentedModel):
        return model
    return InstrumentedModel(with_members_instrumented(model), price, is_valid_output, emit_tool_calls=emit_tool_calls)


def check_arguments(model: object, price: object) -> None:
    """Raise `TypeError` for a model or a price that would fail, or count nothing, at each request."""
    if isinstance(model, AbstractAgent):
        raise TypeError("instrument() takes a model, not an agent: Agent(instrument(model))")
    if isinstance(model, str):
        raise TypeError(f"instrument() takes a model, not its name: instrument(infer_model({model!r}))")
    if not isinstance(model, Model):
        raise TypeError(f"instrument() takes a pydantic_ai.models.Model, not {model!r}")
    if price is not None and not callable(price):
        raise TypeError(
            f"price of instrument() is a function of provider, model and usage, or None, not {price!r}; for a server "
            "of one's own it is own_server of events.bridges.pydantic_ai"
        )


def with_members_instrumented(model: Model) -> Model:
    """Return a copy of a fallback whose members are instrumented, and of a wrapper of pydantic-ai's with what it wraps.

    So an attempt begins where the innermost model is asked: after the queue of a `ConcurrencyLimitedModel`, for one.
    Other models are returned as they are: a class derived from `FallbackModel`, or a wrapper of somebody else's, may
    hold state of its own, and is not copied.
    """
    if isinstance(model, WrapperModel) and type(model).__module__.startswith("pydantic_ai."):
        wrapped = with_members_instrumented(model.wrapped)
        outer = object.__new__(type(model))  # `copy` would ask it for what it wraps, endlessly in pydantic-ai 2.0
        vars(outer).update(vars(model), wrapped=instrument(wrapped))
        return outer
    if type(model) is not FallbackModel:
        return model
    fallback = copy(model)
    fallback.models = [instrument(member) for member in model.models]
    fallback.__dict__.pop("_enter_lock", None)  # each copy counts by itself how often it was entered
    return fallback
