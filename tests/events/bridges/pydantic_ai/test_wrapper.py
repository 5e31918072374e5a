"""`instrument` refuses what would fail at each request or count nothing; where nobody listens, its model only asks."""

from __future__ import annotations

from collections.abc import Callable
from inspect import iscoroutinefunction, unwrap
from typing import Any

import pytest
from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.test import TestModel

from events import LLMCalled, agent_finished, agent_run, llm_attempted, llm_called
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


PROMPT: list[ModelMessage] = [ModelRequest.user_text_prompt("Say something.")]


class Asked(TestModel):
    """A model that does something while it is asked."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        super().__init__()
        self.meanwhile = meanwhile

    async def request(self, *request: Any) -> ModelResponse:
        self.meanwhile()
        return await super().request(*request)


@pytest.fixture
def not_strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the strict block that tests run in: it wants every event built."""
    monkeypatch.setattr("events.bridges.pydantic_ai.wrapper.strict_blocks", [])
    monkeypatch.setattr("events.bridges.model_calls.event_scope.strict_blocks", [])


def fail(*_: Any) -> float:
    raise AssertionError("nobody wants to know the price")


@pytest.mark.usefixtures("not_strict")
async def test_nothing_is_done_for_a_request_whose_events_nobody_would_get() -> None:
    model = instrument(TestModel(), price=fail)
    await model.request(PROMPT, None, ModelRequestParameters())
    async with model.request_stream(PROMPT, None, ModelRequestParameters()) as stream:
        async for _ in stream:
            pass
    assert stream.get().parts


def test_a_request_is_a_coroutine_function_with_nothing_around_it() -> None:
    """As such tenacity knows it. What pydantic-ai puts around each is around that of the wrapped model."""
    request = type(instrument(TestModel())).request
    assert iscoroutinefunction(request)
    assert unwrap(request) is request


@pytest.mark.usefixtures("not_strict")
async def test_what_only_events_have_that_nobody_hears_is_not_computed() -> None:
    """An attempt has no cost."""
    with llm_attempted.captured() as attempts:
        await instrument(TestModel(), price=fail).request(PROMPT, None, ModelRequestParameters())
    [attempt] = attempts
    assert (attempt.outcome, attempt.response_model) == ("success", "test")


@pytest.mark.usefixtures("not_strict")
async def test_a_span_hears_the_calls_inside_of_it_where_no_listener_does() -> None:
    with agent_finished.captured() as finished, agent_run(agent_name="a"):
        await instrument(TestModel(), price=lambda *_: 0.5).request(PROMPT, None, ModelRequestParameters())
    [event] = finished
    assert (event.llm_calls, event.cost) == (1, 0.5)


@pytest.mark.usefixtures("not_strict")
async def test_a_listener_that_connects_meanwhile_gets_no_half_of_a_call() -> None:
    calls: list[LLMCalled] = []

    def record(call: LLMCalled) -> None:
        calls.append(call)

    def connect() -> None:
        llm_called.connect(record)

    try:
        model = instrument(Asked(connect))
        await model.request(PROMPT, None, ModelRequestParameters())
        assert not calls
        await model.request(PROMPT, None, ModelRequestParameters())
        assert len(calls) == 1
    finally:
        llm_called.disconnect(record)


@pytest.mark.usefixtures("not_strict")
async def test_a_span_around_has_its_sums_though_nobody_listens_to_calls() -> None:
    model = instrument(TestModel())
    with agent_finished.captured() as finished, agent_run(agent_name="writer"):
        await model.request(PROMPT, None, ModelRequestParameters())
    assert finished[0].llm_calls == 1
    assert finished[0].prompt_tokens > 0
