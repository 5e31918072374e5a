"""A model's answer has a limit: what is longer fails the call, once, and is not read to its end."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.function import AgentInfo, FunctionModel

from app.agents import AgentFailed, execute
from app.llm.answer_limit import AnswerTooLong, LimitedModel
from app.llm.factory import open_model
from app.llm.streaming import StreamingModel
from app.settings import Settings
from events import limit_reached
from events.limits import LimitReached
from tests.backend.agents.conftest import BRIEF
from tests.support.fake_library import FakeLibrary
from tests.support.openai_server import OpenAIServer, Reply, completion, fails, says, sends

pytestmark = pytest.mark.slow

LIMIT = 20_000
EVENT_STREAM = "text/event-stream"
LONG = says("z" * 10_000_000)


def streamed(data: bytes) -> Reply:
    return sends(data, EVENT_STREAM)


def compressed(reply: Reply) -> Reply:
    body = gzip.compress(json.dumps(completion(reply, 1)).encode())
    return Reply(usage=None, headers={"Content-Type": "application/json", "Content-Encoding": "gzip"}, body=body)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")


@pytest.fixture
def reached() -> Iterator[list[LimitReached]]:
    with limit_reached.captured() as events:
        yield events


@asynccontextmanager
async def opened(server: OpenAIServer, **settings: Any) -> AsyncIterator[Model]:
    values = {"llm": "openai:m", "llm_base_url": server.base_url, "llm_retries": 3, "llm_max_answer": LIMIT}
    llm = await open_model(Settings(**{**values, **settings}))
    try:
        yield llm.model
    finally:
        await llm.close()


def ask(model: Model, agent: str = "copywriter") -> Any:
    return execute(agent, BRIEF, model=model, library=FakeLibrary())


@pytest.mark.parametrize(
    ("agent", "reply"),
    [
        ("copywriter", LONG),
        ("reviewer", LONG),
        ("copywriter", says(" ".join(["word"] * 10_000))),
        ("copywriter", streamed(b"data: " + b"x" * 1_000_000)),
        ("copywriter", streamed(b": a comment\n\n" * 100_000)),
        ("copywriter", sends(json.dumps(completion(LONG, 1)).encode())),
        ("copywriter", sends(b" " * 1_000_000)),
        ("copywriter", compressed(LONG)),
    ],
    ids=["text", "typed", "many tokens", "one line", "comments", "not streamed", "no answer", "compressed"],
)
async def test_an_answer_past_the_limit_fails_once(agent: str, reply: Reply, reached: list[LimitReached]) -> None:
    """Neither the SDK nor the studio asks again: the next answer would be as long, and is paid for too."""
    with OpenAIServer(reply) as server:
        async with opened(server) as model:
            with pytest.raises(AgentFailed, match="SPARKLIO_LLM_MAX_ANSWER"):
                await ask(model, agent)
        assert len(server.requests) == 1
    assert [event.limit for event in reached] == ["answer"]


async def test_an_answer_within_the_limit_is_whole(reached: list[LimitReached]) -> None:
    with OpenAIServer(says("A fine answer.")) as server:
        async with opened(server) as model:
            assert (await ask(model)).text == "A fine answer."
    assert reached == []


async def test_the_next_model_of_a_chain_is_asked(reached: list[LimitReached]) -> None:
    with OpenAIServer([LONG, says("Short.")]) as server:
        async with opened(server, llm_fallbacks="openai:n") as model:
            assert (await ask(model)).text == "Short."
        assert [request.model for request in server.requests] == ["m", "n"]
    assert [event.limit for event in reached] == ["answer"]


async def test_a_long_error_is_not_read_to_its_end() -> None:
    with OpenAIServer(fails(400, "z" * 10_000_000)) as server:
        async with opened(server) as model:
            with pytest.raises(AgentFailed) as failure:
                await ask(model)
        assert len(server.requests) == 1
    assert len(failure.value.reason) < 500


async def test_the_limit_holds_where_the_http_client_is_another_one(reached: list[LimitReached]) -> None:
    """By the text that comes: streamed or not."""

    async def stream(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        while True:
            yield "z" * 1000

    def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        return ModelResponse([TextPart("z" * 1_000_000)])

    for inner in (StreamingModel(FunctionModel(stream_function=stream)), FunctionModel(answer)):
        with pytest.raises(AnswerTooLong):
            await LimitedModel(inner, LIMIT).request(
                [ModelRequest.user_text_prompt("Hello")], None, ModelRequestParameters()
            )
    assert [event.limit for event in reached] == ["answer"] * 2
