"""Which models stand behind a model: what a wrapper wraps, and the members of a fallback."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from pydantic_ai.messages import ModelResponse
from pydantic_ai.models import Model, StreamedResponse
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.wrapper import WrapperModel


def first_model(model: Model) -> Model:
    """Return the model that gets a request first: the innermost of wrappers, the first of a fallback."""
    while not is_leaf(type(model)):
        model = model.wrapped if isinstance(model, WrapperModel) else model.models[0]  # type: ignore[attr-defined]  # a fallback
    return model


def leaf_models(model: Model) -> list[Model]:
    """Return the models that may answer a request: the innermost of wrappers, each member of a fallback."""
    if is_leaf(type(model)):
        return [model]
    if isinstance(model, WrapperModel):
        return leaf_models(model.wrapped)
    return [leaf for member in model.models for leaf in leaf_models(member)]  # type: ignore[attr-defined]  # a fallback


@cache
def is_leaf(kind: type[Model]) -> bool:
    """Return whether models of a class answer by themselves.

    To ask whether a model is an instance takes longer, as its class is abstract. A process has few of them.
    """
    return not issubclass(kind, (WrapperModel, FallbackModel))


def asks_instrumented(model: Model) -> bool:
    """Return whether a model asks by others that are instrumented, so that it makes no attempt by itself."""
    while isinstance(model, WrapperModel):
        if getattr(model, "emits_attempts", False):
            return True
        model = model.wrapped
    return isinstance(model, FallbackModel) and all(map(asks_instrumented, model.models))


def answering_model(models: Iterable[Model], response: ModelResponse | StreamedResponse) -> Model | None:
    """Return which of some models gave a response: a snapshot's name begins with the name that was asked for."""
    name, provider = response.model_name or "", response.provider_name
    candidates = [each for each in models if provider in (None, each.system) and name.startswith(each.model_name)]
    return max(candidates, key=lambda each: len(each.model_name), default=None)
