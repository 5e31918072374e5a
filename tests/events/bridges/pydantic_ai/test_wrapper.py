"""`instrument` refuses, when it is called, what would fail at each request to a model or count nothing."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic_ai import Agent
from pydantic_ai.models.test import TestModel

from events.bridges.pydantic_ai import instrument, own_server


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Agent(TestModel()), r"not an agent: Agent\(instrument\(model\)\)$"),
        ("openai:gpt-4o-mini", r"not its name: instrument\(infer_model\('openai:gpt-4o-mini'\)\)$"),
        (None, r"takes a pydantic_ai\.models\.Model, not None$"),
    ],
)
def test_what_is_no_model_is_refused_with_what_to_write(model: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        instrument(model)


@pytest.mark.parametrize("price", ["own_server", 0.5])
def test_a_price_that_cannot_be_called_is_refused_also_for_a_model_that_is_instrumented(price: Any) -> None:
    for model in (TestModel(), instrument(TestModel())):
        with pytest.raises(TypeError, match=r"^price of instrument\(\) is a function .*, not .*own_server of events"):
            instrument(model, price=price)


def test_no_price_and_that_of_a_server_of_ones_own_are_accepted() -> None:
    instrument(TestModel(), price=None)
    instrument(TestModel(), price=own_server)
