"""Embeddings, responses, text completions and reranking are calls too, and so are models of other providers."""

from __future__ import annotations

import sys
from functools import partial
from types import ModuleType
from typing import Any

import pytest

from events.bridges.litellm.functions import FUNCTIONS
from tests.support.embeddings_server import EmbeddingsServer, RerankServer
from tests.support.litellm_modes import MODES, Mode, ask, read, run
from tests.support.openai_server import OpenAIServer, Usage, says
from tests.support.provider_servers import AnthropicServer, GeminiServer
from tests.support.responses_server import ResponsesServer

from .conftest import OWN_WARNINGS, Told

pytestmark = [pytest.mark.models("litellm"), pytest.mark.slow, *OWN_WARNINGS]


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> Mode:
    mode: Mode = request.param
    return mode


def test_an_embedding_has_tokens_of_its_prompt(litellm: Any, told: Told, mode: Mode) -> None:
    with EmbeddingsServer(says(usage=Usage(1000, 0))) as server:
        run(
            mode,
            litellm.embedding,
            litellm.aembedding,
            model="openai/text-embedding-3-small",
            input=["one", "two"],
            api_base=server.base_url,
            api_key="none",
        )
    call = told.call
    assert (call.model, call.provider, call.status, call.finish_reason) == (
        "text-embedding-3-small",
        "openai",
        "success",
        None,
    )
    assert (call.prompt_tokens, call.completion_tokens or 0) == (server.tally.prompt_tokens, 0)
    assert call.operation == "embeddings"
    assert call.cost == pytest.approx(1000 * 0.02e-6)


def test_a_reranking_is_a_call(litellm: Any, told: Told, mode: Mode) -> None:
    with RerankServer(says(usage=Usage(40, 0))) as server:
        run(
            mode,
            litellm.rerank,
            litellm.arerank,
            model="cohere/rerank-v3.5",
            query="Which one?",
            documents=["this", "that"],
            api_base=server.base_url + "/rerank",
            api_key="none",
        )
    call = told.call
    assert (call.model, call.provider, call.status, call.prompt_tokens) == ("rerank-v3.5", "cohere", "success", 40)
    assert call.operation == "rerank"


@pytest.mark.parametrize("streamed", [False, True])
def test_a_response_is_a_call(litellm: Any, told: Told, mode: Mode, streamed: bool) -> None:
    def sync(**options: Any) -> None:
        answer = litellm.responses(**options)
        for _ in answer if streamed else ():
            pass

    async def asynchronous(**options: Any) -> None:
        answer = await litellm.aresponses(**options)
        if streamed:
            async for _ in answer:
                pass

    with ResponsesServer(says("One two three.", usage=Usage(1000, 500))) as server:
        options = {"stream": True} if streamed else {}
        run(
            mode,
            sync,
            asynchronous,
            model="openai/gpt-4o-mini",
            input="Hello?",
            api_base=server.base_url,
            api_key="none",
            **options,
        )
    call = told.call
    assert (call.status, call.streamed, call.finish_reason, call.attempts) == ("success", streamed, "stop", 1)
    assert (call.prompt_tokens, call.completion_tokens) == (1000, 500)
    assert call.cost == pytest.approx(1000 * 0.15e-6 + 500 * 0.6e-6)
    assert (call.time_to_first_token is not None) == streamed


MESSAGES = [{"role": "user", "content": "Hello?"}]
# fmt: off
POSITIONS: dict[str, tuple[tuple[Any, ...], tuple[Any, ...]]] = {  # arguments of a function, and of a Router's method
    "completion":      (("nobody/m", MESSAGES),          ("nobody/m", MESSAGES)),
    "text_completion": (("Hello?", "nobody/m"),          ("nobody/m", "Hello?")),
    "responses":       (("Hello?", "nobody/m"),          ("Hello?", "nobody/m")),
    "embedding":       (("nobody/m", ["one"]),           ("nobody/m", ["one"])),
    "rerank":          (("nobody/m", "Hello?", ["one"]), ("nobody/m", "Hello?", ["one"])),
}
# fmt: on


CALLS = [
    (function.name, of_router)
    for function in FUNCTIONS
    for of_router in (False, True)
    if (function.name, of_router) != ("rerank", True)  # a Router has the asynchronous one alone
]


@pytest.mark.parametrize(("name", "of_router"), CALLS)
def test_a_model_by_its_position_is_the_requested_one(name: str, of_router: bool, litellm: Any, told: Told) -> None:
    """Nobody has it, so that nobody is asked."""
    plain = name if name in POSITIONS else name[1:]
    mode: Mode = "sync" if name in POSITIONS else "async"
    owner = litellm.Router(model_list=[], num_retries=0) if of_router else litellm
    call = partial(getattr(owner, name), *POSITIONS[plain][of_router])
    with pytest.raises((litellm.BadRequestError, TypeError)):
        run(mode, call, call)
    assert (told.call.requested_model, told.call.status) == ("nobody/m", "error")


@pytest.mark.parametrize("streamed", [False, True])
def test_anthropics_cached_tokens_are_part_of_the_prompt(litellm: Any, told: Told, mode: Mode, streamed: bool) -> None:
    with AnthropicServer(says("One two three.", usage=Usage(1000, 50, cached=600, cache_write=100))) as server:
        function = read if streamed else ask
        function(mode, litellm, model="anthropic/claude-sonnet-4-5", api_base=server.address)
    call = told.call
    assert (call.model, call.provider, call.status) == ("claude-sonnet-4-5", "anthropic", "success")
    assert (call.prompt_tokens, call.completion_tokens) == (1000, 50)
    assert (call.cache_read_tokens, call.cache_write_tokens) == (600, 100)
    assert call.cost == pytest.approx(300 * 3e-6 + 600 * 0.3e-6 + 100 * 3.75e-6 + 50 * 15e-6)
    assert [attempt.status_code for attempt in told.attempted] == [200]


@pytest.mark.parametrize("streamed", [False, True])
def test_geminis_thoughts_are_part_of_the_completion(litellm: Any, told: Told, mode: Mode, streamed: bool) -> None:
    with GeminiServer(says("One two three.", usage=Usage(1000, 50, cached=600, reasoning=20))) as server:
        function = read if streamed else ask
        function(mode, litellm, model="gemini/gemini-2.5-flash", api_base=f"{server.address}/v1beta")
    call = told.call
    assert (call.model, call.provider, call.status) == ("gemini-2.5-flash", "google", "success")
    assert (call.prompt_tokens, call.completion_tokens) == (1000, 50)
    assert (call.cache_read_tokens, call.reasoning_tokens) == (600, 20)
    assert [attempt.status_code for attempt in told.attempted] == [200]


@pytest.mark.parametrize("streamed", [False, True])
def test_a_text_completion_is_a_call(
    litellm: Any, server: OpenAIServer, told: Told, mode: Mode, streamed: bool
) -> None:
    """Of a model that chats, which LiteLLM asks by chat completions."""

    def sync(**options: Any) -> None:
        answer = litellm.text_completion(**options)
        for _ in answer if streamed else ():
            pass

    async def asynchronous(**options: Any) -> None:
        answer = await litellm.atext_completion(**options)
        if streamed:
            async for _ in answer:
                pass

    server.behaviour = says("One two three.", usage=Usage(10, 5))
    options = {"stream": True, "stream_options": {"include_usage": True}} if streamed else {}
    run(
        mode,
        sync,
        asynchronous,
        model="deepseek/mine",
        prompt="Hello?",
        api_base=server.base_url,
        api_key="none",
        **options,
    )
    call = told.call
    assert (call.model, call.provider, call.status, call.prompt_tokens) == ("mine", "deepseek", "success", 10)
    assert (call.cost, call.cost_source) == (None, "unpriced")


def test_a_made_up_answer_has_no_tokens(litellm: Any, told: Told, mode: Mode) -> None:
    ask(mode, litellm, mock_response="Hello!")
    assert (told.call.status, told.call.usage_source, told.call.cost) == ("success", "none", None)


def test_an_answer_of_litellms_cache_has_no_tokens(
    litellm: Any, server: OpenAIServer, told: Told, mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        sys.modules, "soundfile", ModuleType("soundfile")
    )  # litellm 1.110 needs it there, and has it not
    litellm.cache = litellm.Cache(type="local")
    try:
        for _ in range(2):
            ask(mode, litellm, api_base=server.base_url, caching=True)
    finally:
        litellm.cache = None
    assert server.tally.requests == 1
    assert [call.usage_source for call in told.called] == ["provider", "none"]
