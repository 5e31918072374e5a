"""Models are opened by name and checked; the errors say what to do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import chain

import pytest
from prometheus_client import CollectorRegistry

from app.agents import execute
from app.llm.factory import LLM, ModelUnavailable, open_model
from app.llm.provider_keys import KEY_VARIABLES
from app.settings import Settings
from metrics import LLM as LLM_ROWS
from metrics import subscribe
from tests.backend.agents.conftest import BRIEF, SECRET
from tests.support.fake_library import FakeLibrary
from tests.support.openai_server import OpenAIServer
from tests.support.samples import samples

LIBRARY = FakeLibrary()


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        yield running


@pytest.fixture
async def llm(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LLM]:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    opened = await open_model(
        Settings(llm="openai:gpt-4o-mini", llm_base_url=server.base_url, llm_timeout=5.0, llm_retries=0)
    )
    yield opened
    await opened.close()


async def test_the_configured_models_are_told_in_order_until_they_are_closed(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    registry = CollectorRegistry()

    def shown() -> set[tuple[str, ...]]:
        return {
            (labels["role"], labels["provider"], labels["model"])
            for labels, value in samples(registry, "llm_configured_info")
            if value == 1
        }

    with subscribe(LLM_ROWS, registry, namespace="sparklio"):
        opened = await open_model(
            Settings(
                llm="openai:gpt-4o", llm_fallbacks="openai:gpt-4o-mini, ollama:qwen3", llm_base_url=server.base_url
            )
        )
        assert shown() == {
            ("primary", "openai", "gpt-4o"),
            ("fallback_1", "openai", "gpt-4o-mini"),
            ("fallback_2", "ollama", "qwen3"),
        }
        await opened.close()
        assert shown() == set()


@pytest.mark.parametrize(
    ("name", "base_url", "message"),
    [
        ("openai:gpt-4o-mini", None, "set OPENAI_API_KEY in the environment or in .env"),
        ("anthropic:claude-sonnet-4-5", None, "set ANTHROPIC_API_KEY in the environment or in .env"),
        ("google:gemini-3-flash", None, "set GOOGLE_API_KEY or GEMINI_API_KEY in the environment or in .env"),
        ("openrouter:some/model", None, "set OPENROUTER_API_KEY in the environment or in .env"),
        ("opnai:gpt-4o-mini", None, "did you mean openai:gpt-4o-mini?"),
        ("gpt-4o-mini", None, "SPARKLIO_LLM takes embedded, or provider:model"),
        ("nobody:gpt-4o-mini", None, "nobody is no provider; SPARKLIO_LLM takes embedded, or provider:model"),
        ("groq:llama-3.3", None, 'pip install "pydantic-ai-slim[groq]"'),
        ("anthropic:claude-sonnet-4-5", "http://localhost:1", "SPARKLIO_LLM_BASE_URL goes with openai: and ollama:"),
    ],
)
async def test_a_model_that_cannot_be_opened_raises_one_line_with_advice(
    monkeypatch: pytest.MonkeyPatch, name: str, base_url: str | None, message: str
) -> None:
    for key in {"OPENAI_BASE_URL", *chain(*KEY_VARIABLES.values())}:
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setenv("GROQ_API_KEY", "key")
    with pytest.raises(ModelUnavailable) as refusal:
        await open_model(Settings(llm=name, llm_base_url=base_url))
    assert message in str(refusal.value)
    assert name in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["openai:gpt-4o-mini", "ollama:qwen3:4b", "openai-chat:gpt-4o-mini"])
async def test_a_server_of_ones_own_is_asked_at_its_address(server: OpenAIServer, name: str) -> None:
    """With or without the path that such servers have their API under."""
    for address in (server.base_url, server.base_url.removesuffix("/v1")):
        llm = await open_model(Settings(llm=name, llm_base_url=address))
        assert (await execute("editor", BRIEF, model=llm.model, library=LIBRARY)).usage.llm_calls == 1
        await llm.check()
        await llm.close()
    assert [request.model for request in server.requests] == [llm.name, llm.name]


async def test_a_check_makes_no_model_call_and_is_reused_for_some_seconds(llm: LLM, server: OpenAIServer) -> None:
    await llm.check()
    await asyncio.gather(*(llm.check() for _ in range(20)))
    assert server.tally.requests == 0


async def test_a_check_names_the_server_that_is_down_and_no_key(free_port: Callable[[], int]) -> None:
    address = f"http://user:{SECRET}@127.0.0.1:{free_port()}"
    llm = await open_model(Settings(llm="openai:gpt-4o-mini", llm_base_url=address))
    for _ in range(2):  # seen, then remembered
        with pytest.raises(ModelUnavailable, match=r"http://127\.0\.0\.1:\d+ cannot be reached") as refusal:
            await llm.check()
        assert SECRET not in str(refusal.value)
    await llm.close()


@pytest.mark.parametrize("server_place", [0, 1])
async def test_a_check_fails_only_where_no_model_can_be_reached(
    server_place: int, server: OpenAIServer, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that can be reached may be asked first, or be fallen back on."""
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    away = f"http://127.0.0.1:{free_port()}/v1"
    addresses = [away, away]
    addresses[server_place] = server.base_url
    monkeypatch.setenv("OPENAI_BASE_URL", addresses[0])
    monkeypatch.setenv("OLLAMA_BASE_URL", addresses[1])
    llm = await open_model(Settings(llm="openai:gpt-4o", llm_fallbacks="ollama:qwen3"))
    await llm.check()
    await llm.close()


async def test_a_check_says_of_each_model_why_it_cannot_be_reached(
    free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    away = f"http://127.0.0.1:{free_port()}/v1"
    llm = await open_model(Settings(llm="openai:gpt-4o", llm_fallbacks="ollama:qwen3", llm_base_url=away))
    with pytest.raises(ModelUnavailable, match=r"none .*openai:gpt-4o: .* cannot .*ollama:qwen3: .* cannot be reached"):
        await llm.check()
    await llm.close()
