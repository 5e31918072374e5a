"""Which answers cannot be used: by what was asked for, and by what agents of each output mode do with them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel
from pydantic_ai import Agent, ModelRetry, NativeOutput, PromptedOutput, TextOutput, ToolOutput, UnexpectedModelBehavior
from pydantic_ai.messages import (
    BinaryContent,
    FilePart,
    ModelResponse,
    NativeToolCallPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
)
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.tools import ToolDefinition

from events import llm_called
from events.bridges.pydantic_ai import instrument
from events.bridges.pydantic_ai.output_faults import output_fault
from tests.support.openai_server import OpenAIServer, Reply, calls_tool, says

SCHEMA = {"type": "object", "required": ["score"]}
CALL = ToolCallPart(tool_name="search", args="{}")
OUTPUT = ToolCallPart(tool_name="final_result", args='{"score": 1}')


def has_score(schema: Any, value: Any) -> bool:
    return all(name in value for name in schema["required"])


def parameters(mode: Any = "text", *, allow_text: bool = True) -> ModelRequestParameters:
    return ModelRequestParameters(
        output_mode=mode,
        allow_text_output=allow_text,
        output_tools=[ToolDefinition(name="final_result", parameters_json_schema=SCHEMA)],
        output_object=None if mode in ("text", "tool") else OutputObjectDefinition(json_schema=SCHEMA),
    )


def auto(**also: Any) -> ModelRequestParameters:
    return replace(parameters("auto"), **also)


TEXT_OR_TOOL = parameters("tool")
TOOL = parameters("tool", allow_text=False)
NATIVE = parameters("native", allow_text=False)
PROMPTED = parameters("prompted", allow_text=False)
TOOL_OF_AUTO = replace(parameters("native", allow_text=False), output_mode="tool")
PICTURE = FilePart(BinaryContent(b"picture", media_type="image/png"))
WITHOUT_SCHEMA = ModelRequestParameters(output_mode="auto", allow_text_output=False)


@pytest.mark.parametrize(
    ("parts", "asked", "fault"),
    [
        ([TextPart("Fine.")], parameters(), None),
        ([TextPart("Fine.")], parameters(allow_text=False), None),
        ([TextPart("Fine.")], TEXT_OR_TOOL, None),
        ([TextPart("Fine.")], TOOL, "schema_mismatch"),
        ([TextPart("Fine.")], WITHOUT_SCHEMA, "schema_mismatch"),
        ([TextPart("Fine.")], NATIVE, "invalid_json"),
        ([TextPart('{"score": 1}')], NATIVE, None),
        ([TextPart('{"sc'), TextPart('ore": 1}')], PROMPTED, None),
        ([TextPart("{}")], PROMPTED, "schema_mismatch"),
        ([CALL], TOOL, None),
        ([CALL], NATIVE, None),
        ([TextPart("Let me see."), CALL], NATIVE, None),
        ([OUTPUT], TOOL, None),
        ([ToolCallPart(tool_name="final_result", args="{}")], TOOL, "schema_mismatch"),
        ([ToolCallPart(tool_name="final_result", args={"score": 1})], TOOL, None),
        ([ToolCallPart(tool_name="final_result", args=None)], TOOL, "schema_mismatch"),
        ([OUTPUT, ToolCallPart(tool_name="final_result", args='{"s')], TOOL, "invalid_json"),
        ([], parameters(), "empty"),
        ([TextPart(" \n")], parameters(), "empty"),
        ([ThinkingPart("Hm.")], parameters(), "empty"),
        ([TextPart("Fine.")], parameters("native"), "invalid_json"),
        ([TextPart("{}")], parameters("prompted"), "schema_mismatch"),
        ([TextPart('{"score": 1}')], parameters("native"), None),
        ([TextPart("Fine.")], auto(), "schema_mismatch"),
        ([TextPart("{}")], auto(), "schema_mismatch"),
        ([TextPart('{"score": 1}')], auto(), None),
        ([TextPart('Here:\n```json\n{"score": 1}\n```')], auto(), None),
        ([TextPart('Here:\n```json\n{"score": 1}\n```')], PROMPTED, None),
        ([TextPart('{"score": 1}')], TOOL_OF_AUTO, None),
        ([TextPart("Fine.")], TOOL_OF_AUTO, "schema_mismatch"),
        ([TextPart("Fine."), PICTURE], auto(allow_image_output=True), None),
        ([TextPart("Fine.")], auto(allow_image_output=True), "schema_mismatch"),
        ([NativeToolCallPart(tool_name="web_search")], TOOL, None),
    ],
)
def test_an_output_has_the_form_that_was_asked_for_or_a_fault(
    parts: list[Any], asked: ModelRequestParameters, fault: str | None
) -> None:
    assert output_fault(ModelResponse(parts=parts), asked, has_score) == fault


def test_without_a_validator_any_json_object_is_valid() -> None:
    assert output_fault(ModelResponse(parts=[TextPart("42")]), NATIVE, None) == "schema_mismatch"
    assert output_fault(ModelResponse(parts=[TextPart("{}")]), NATIVE, None) is None
    assert output_fault(ModelResponse(parts=[TextPart("{")]), NATIVE, None) == "invalid_json"


@pytest.mark.parametrize(
    "response",
    [
        ModelResponse(parts=[TextPart("No.")], finish_reason="content_filter"),
        ModelResponse(parts=[TextPart("No.")], provider_details={"refusal": "No."}),
    ],
)
def test_a_refusal_is_no_fault_of_the_form(response: ModelResponse) -> None:
    assert output_fault(response, NATIVE, has_score) == "refusal"


class Verdict(BaseModel):
    """What the agents of these tests return."""

    score: int


class Praise(BaseModel):
    """What they may return in place of a verdict."""

    text: str


def first_letter(text: str) -> str:
    """Return the first letter of a text, which has to be an A."""
    if not text.startswith("A"):
        raise ModelRetry("Begin with an A.")
    return text[0]


def of_seven(verdict: Verdict) -> int:
    """Return the score of a verdict, which has to be 7."""
    if verdict.score != 7:
        raise ModelRetry("Say 7.")
    return verdict.score


PROSE = says("Nothing of use.")
VERDICT = says('{"score": 7}')
CALLED = calls_tool("final_result", {"score": 7})
UNION = '{"result": {"kind": "Verdict", "data": {"score": 7}}}'

CASES: list[tuple[str, Any, Reply, list[str | None]]] = [
    # what the agent is to return, what the model answers each time, and the fault of each answer
    ("auto", Verdict, PROSE, ["schema_mismatch"] * 2),
    ("auto", Verdict, CALLED, [None]),
    ("auto", Verdict, VERDICT, [None]),
    ("auto, fenced", Verdict, says('Sure:\n```json\n{"score": 7}\n```'), [None]),
    ("auto, wrong JSON", Verdict, says('{"points": 7}'), ["schema_mismatch"] * 2),
    ("auto, wrong call", Verdict, calls_tool("final_result", {"score": "many"}), ["schema_mismatch"] * 2),
    ("auto, empty", Verdict, says(""), ["empty"] * 2),
    ("auto, int", int, PROSE, ["schema_mismatch"] * 2),
    ("auto, union", [Verdict, Praise], PROSE, ["schema_mismatch"] * 2),
    ("auto, union called", [Verdict, Praise], calls_tool("final_result_Praise", {"text": "Good."}), [None]),
    ("auto, union said", [Verdict, Praise], says(UNION), [None]),
    ("auto, function", of_seven, PROSE, ["schema_mismatch"] * 2),
    ("auto, function that rejects", of_seven, calls_tool("final_result", {"score": 1}), [None] * 2),
    ("tool", ToolOutput(Verdict), PROSE, ["schema_mismatch"] * 2),
    ("tool", ToolOutput(Verdict), CALLED, [None]),
    ("tool or text", [ToolOutput(Verdict), str], PROSE, [None]),
    ("native", NativeOutput(Verdict), PROSE, ["invalid_json"] * 2),
    ("native", NativeOutput(Verdict), VERDICT, [None]),
    ("native, wrong JSON", NativeOutput(Verdict), says('{"points": 7}'), ["schema_mismatch"] * 2),
    ("native, union", NativeOutput([Verdict, Praise]), says(UNION), [None]),
    ("prompted", PromptedOutput(Verdict), PROSE, ["invalid_json"] * 2),
    ("prompted", PromptedOutput(Verdict), VERDICT, [None]),
    ("text", str, PROSE, [None]),
    ("text, empty", str, says(""), ["empty"] * 2),
    ("text, function that rejects", TextOutput(first_letter), PROSE, [None] * 2),
]


@pytest.fixture(scope="module")
def server() -> Iterator[OpenAIServer]:
    """Run a model's server."""
    with OpenAIServer([]) as server:
        yield server


def model_at(server: OpenAIServer, name: str = "gpt-4o", profile: ModelProfile | None = None) -> OpenAIChatModel:
    """Return a model of the server."""
    provider = OpenAIProvider(base_url=server.base_url, api_key="none")
    return OpenAIChatModel(name, provider=provider, profile=profile)


def faults(server: OpenAIServer, model: Model, output_type: Any, reply: Reply, *, streamed: bool) -> list[str | None]:
    """Return the faults of the answers that an agent gets which may ask twice."""
    server.behaviour = lambda _: reply

    def is_valid(schema: Any, value: Any) -> bool:
        return Draft202012Validator(schema).is_valid(value)

    async def run() -> None:
        agent: Agent[None, Any] = Agent(instrument(model, is_valid_output=is_valid), output_type=output_type, retries=1)
        if not streamed:
            await agent.run("Say something.")
            return
        async with agent.run_stream_events("Say something.") as events:
            async for _ in events:
                pass

    with llm_called.captured() as calls, suppress(UnexpectedModelBehavior):
        asyncio.run(run())
    assert all(call.result == ("invalid_output" if call.output_fault else "success") for call in calls)
    return [call.output_fault for call in calls]


@pytest.mark.parametrize(("output_type", "reply", "expected"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_an_answer_that_an_agent_cannot_use_is_a_fault(
    server: OpenAIServer, output_type: Any, reply: Reply, expected: list[str | None]
) -> None:
    model = model_at(server)
    assert faults(server, model, output_type, reply, streamed=False) == expected
    chain = FallbackModel(model, model_at(server, "gpt-4o-mini"))
    assert faults(server, chain, output_type, reply, streamed=False) == expected


@pytest.mark.parametrize("chained", [False, True], ids=["plain", "chain"])
def test_so_it_is_where_the_answer_is_streamed(server: OpenAIServer, chained: bool) -> None:
    model: Model = model_at(server)
    if chained:
        model = FallbackModel(model, model_at(server, "gpt-4o-mini"))
    assert faults(server, model, Verdict, PROSE, streamed=True) == ["schema_mismatch"] * 2
    assert faults(server, model, Verdict, CALLED, streamed=True) == [None]


def test_by_default_the_mode_is_that_of_the_model_that_answered(server: OpenAIServer) -> None:
    profile = ModelProfile(default_structured_output_mode="native", supports_json_schema_output=True)
    model = FallbackModel(model_at(server, profile=profile), model_at(server, "gpt-4o-mini"))
    assert faults(server, model, Verdict, PROSE, streamed=False) == ["invalid_json"] * 2
    assert faults(server, model, Verdict, VERDICT, streamed=False) == [None]
