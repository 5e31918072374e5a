"""An answer that ends with an error is no success, one that cannot be read is invalid, and every call ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress
from time import sleep
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput, PromptedOutput, ToolOutput
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, ToolCallPart
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.models.google import GoogleModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.google import GoogleProvider
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.usage import RequestUsage

from events import LLMAttempted, LLMCalled, llm_attempted, llm_call_started, llm_called
from events.bridges.pydantic_ai import instrument
from events.bridges.pydantic_ai.seller_cost import seller_cost
from metrics import LLM, subscribe
from tests.support.openai_server import ChatRequest, OpenAIServer, Reply, calls_tool, says, sends, sends_completion
from tests.support.provider_servers import GeminiServer
from tests.support.samples import summed

PROMPT: list[ModelMessage] = [ModelRequest.user_text_prompt("Say something.")]
USAGE = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
HEAD = {"id": "1", "object": "chat.completion", "created": 1_700_000_000, "model": "gpt-4o-mini", "usage": USAGE}


@pytest.fixture
def calls() -> Iterator[list[LLMCalled]]:
    with llm_called.captured() as captured:
        yield captured


@pytest.fixture
def attempts() -> Iterator[list[LLMAttempted]]:
    with llm_attempted.captured() as captured:
        yield captured


def chat(server: OpenAIServer) -> Model:
    return OpenAIChatModel("gpt-4o-mini", provider=OpenAIProvider(base_url=server.base_url, api_key="none"))


async def ask(model: Model, *, streamed: bool = False) -> None:
    if not streamed:
        await model.request(PROMPT, None, ModelRequestParameters())
        return
    async with model.request_stream(PROMPT, None, ModelRequestParameters()) as stream:
        async for _ in stream:
            pass


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("chained", [False, True])
async def test_an_answer_that_ends_with_an_error_is_one_and_is_billed(
    streamed: bool, chained: bool, calls: list[LLMCalled], attempts: list[LLMAttempted]
) -> None:
    """As OpenRouter has it (https://openrouter.ai/docs/api-reference/overview, finish reasons)."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "Half an"}, "finish_reason": "error"}
    with OpenAIServer(sends_completion({**HEAD, "choices": [choice]})) as server:
        model = FallbackModel(chat(server), chat(server)) if chained else chat(server)
        await ask(instrument(model), streamed=streamed)
    assert [(call.status, call.error_type, call.finish_reason) for call in calls] == [("error", "other", "error")]
    assert [(attempt.outcome, attempt.error_type) for attempt in attempts] == [("error", "other")]
    assert (calls[0].prompt_tokens, calls[0].completion_tokens) == (100, 20)


@pytest.mark.parametrize("streamed", [False, True])
async def test_geminis_malformed_call_is_an_error(streamed: bool, calls: list[LLMCalled]) -> None:
    """https://ai.google.dev/api/generate-content#FinishReason."""
    with GeminiServer(says("Half an", finish="MALFORMED_FUNCTION_CALL")) as server:
        model = GoogleModel("gemini-2.5-flash", provider=GoogleProvider(api_key="none", base_url=server.address))
        with suppress(Exception):
            await ask(instrument(model), streamed=streamed)
    assert calls[0].status == "error"


@pytest.mark.parametrize("choices", [[], None, [{}], [{"index": 0, "message": None, "finish_reason": "stop"}]])
async def test_an_answer_that_cannot_be_read_is_invalid(
    choices: Any, calls: list[LLMCalled], attempts: list[LLMAttempted]
) -> None:
    with OpenAIServer(sends(json.dumps({**HEAD, "choices": choices}).encode())) as server, suppress(Exception):
        await ask(instrument(chat(server)))
    assert [(call.status, call.error_type) for call in calls] == [("error", "invalid_response")]
    assert [attempt.error_type for attempt in attempts] == ["invalid_response"]


async def test_an_error_of_a_model_in_the_process_is_no_invalid_answer(calls: list[LLMCalled]) -> None:
    def fail(_messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
        raise IndexError

    with suppress(IndexError):
        await ask(instrument(FunctionModel(fail)))
    assert calls[0].error_type == "other"


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize("interrupted", ["price", "is_valid_output"])
@pytest.mark.parametrize("chained", [False, True])
async def test_an_interruption_in_what_is_called_for_an_answer_leaves_the_call_with_its_tokens(
    interruption: type[BaseException],
    interrupted: str,
    chained: bool,
    calls: list[LLMCalled],
    attempts: list[LLMAttempted],
) -> None:
    def interrupt(*_: Any) -> Any:
        raise interruption

    def answer(_messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        sleep(0.05)
        call = ToolCallPart(info.output_tools[0].name, {"answer": "Yes."})
        return ModelResponse(parts=[call], usage=RequestUsage(input_tokens=5, output_tokens=2))

    schema = {"type": "object", "properties": {"answer": {"type": "string"}}}
    parameters = ModelRequestParameters(
        output_mode="tool",
        allow_text_output=False,
        output_tools=[ToolDefinition(name="answer", parameters_json_schema=schema, kind="output")],
    )
    model: Model = FunctionModel(answer)
    registry = CollectorRegistry()
    with subscribe(LLM, registry, namespace="sparklio"):
        options: dict[str, Any] = {interrupted: interrupt}
        asked = instrument(FallbackModel(model, model) if chained else model, **options)
        with pytest.raises(interruption):
            await asked.request([ModelRequest.user_text_prompt("Ask.")], None, parameters)
        samples = [sample for family in registry.collect() for sample in family.samples]
    assert summed(samples, "llm_active_requests", "model") == {}
    [call], [attempt] = calls, attempts
    assert (call.prompt_tokens, call.completion_tokens, call.attempts, attempt.outcome) == (5, 2, 1, "success")
    assert call.duration is not None
    assert call.duration >= 0.05


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_listener_that_is_interrupted_as_a_call_starts_leaves_none_under_way(
    streamed: bool, calls: list[LLMCalled], attempts: list[LLMAttempted]
) -> None:
    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    with OpenAIServer(says()) as server, llm_call_started.connected_to(interrupt), pytest.raises(KeyboardInterrupt):
        await ask(instrument(chat(server)), streamed=streamed)
    assert [call.status for call in calls] == ["cancelled"]
    assert attempts == []


@pytest.mark.parametrize("header", ["-1", "nan", "inf", "1e12", "free", ""])
async def test_a_cost_in_a_header_that_is_none_leaves_the_list_price(header: str, calls: list[LLMCalled]) -> None:
    with OpenAIServer(says(headers={"x-litellm-response-cost": header})) as server:
        await ask(instrument(chat(server)))
    assert calls[0].cost_source == "price_table"
    assert calls[0].cost == pytest.approx((11 * 0.15 + 7 * 0.60) / 1e6)


def test_a_usage_without_a_cost_as_that_of_pydantic_ai_2_0_has_none() -> None:
    response = ModelResponse(parts=[])
    response.usage = type("Usage", (), {"details": {}})()
    assert seller_cost(response) is None


async def test_a_cancelled_call_whose_limit_of_time_has_not_come_is_no_timeout(calls: list[LLMCalled]) -> None:
    async def wait(_messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
        await asyncio.sleep(30)
        return ModelResponse(parts=[])

    model, settings = instrument(FunctionModel(wait)), ModelSettings(request_timeout=30)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(model.request(PROMPT, settings, ModelRequestParameters()), 0.05)
    assert calls[0].status == "cancelled"


class Verdict(BaseModel):
    """What an agent is asked for."""

    verdict: str


@pytest.mark.parametrize(
    ("output_type", "faults"),
    [
        (Verdict, ["schema_mismatch", None]),  # the model is asked by a tool
        (ToolOutput(Verdict), ["schema_mismatch", None]),
        (NativeOutput(Verdict), ["invalid_json", None]),
        (PromptedOutput(Verdict), ["invalid_json", None]),
        ([str, Verdict], [None]),
        (str, [None]),
    ],
)
async def test_a_plain_text_is_invalid_where_an_object_was_asked_for(
    output_type: Any, faults: list[str | None], calls: list[LLMCalled]
) -> None:
    replies = iter([says("Nothing of use."), says('{"verdict": "Fine."}')])

    def reply(request: ChatRequest) -> Reply:
        given = next(replies)
        is_called = request.body.get("tool_choice") == "required" and "verdict" in given.text
        return calls_tool("final_result", json.loads(given.text)) if is_called else given

    with OpenAIServer(reply, models=("gpt-4o-mini",)) as server:
        provider = OpenAIProvider(base_url=server.base_url, api_key="none")
        model = instrument(OpenAIChatModel("gpt-4o-mini", provider=provider))
        await Agent(model, output_type=output_type, retries=1).run("Judge.")
    assert [call.output_fault for call in calls] == faults
    assert [call.result for call in calls] == ["success" if fault is None else "invalid_output" for fault in faults]
