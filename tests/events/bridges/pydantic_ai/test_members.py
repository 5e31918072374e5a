"""Which models stand behind a model, and which of them gave an answer."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic_ai.messages import ModelResponse
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.models.wrapper import WrapperModel

from events.bridges.pydantic_ai.members import answering_model, first_model, leaf_models

A, B, C = (TestModel(model_name=name) for name in ("a", "b", "c"))
NESTED = WrapperModel(FallbackModel(WrapperModel(A), FallbackModel(B, WrapperModel(WrapperModel(C)))))


def test_the_first_and_the_leaves_are_the_innermost() -> None:
    assert first_model(NESTED) is A
    assert leaf_models(NESTED) == [A, B, C]
    assert first_model(B) is B
    assert leaf_models(B) == [B]


SHORT, LONG = TestModel(model_name="gpt-5"), TestModel(model_name="gpt-5-mini")


@pytest.mark.parametrize(
    ("name", "provider", "model"),
    [
        ("gpt-5-mini-2025-08-07", "test", LONG),
        ("gpt-5-2025-08-07", "test", SHORT),
        ("gpt-5", None, SHORT),
        ("gpt-5-mini", "azure", None),
        ("gpt", "test", None),
        (None, "test", None),
    ],
)
def test_an_answer_is_of_the_model_with_the_longest_name_that_its_own_begins_with(
    name: str | None, provider: str | None, model: Any
) -> None:
    response = ModelResponse(parts=[], model_name=name, provider_name=provider)
    assert answering_model([SHORT, LONG], response) is model
    assert answering_model([LONG, SHORT], response) is model
