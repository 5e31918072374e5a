"""The snippet of the page about LangChain runs, and its way to embeddings counts them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from openai import AsyncOpenAI, OpenAI

from events import llm_called
from events.bridges import langchain, openai
from tests.support.embeddings_server import EmbeddingsServer
from tests.support.openai_server import Usage, says
from tests.support.page_snippets import code_blocks, run_snippet

PAGE = Path(__file__).parents[4] / "docs" / "models" / "langchain.md"


@pytest.mark.slow
@pytest.mark.models("langchain", "langgraph")
def test_the_snippet_runs(sparklio_path: Path) -> None:
    [snippet] = code_blocks("python", PAGE)
    ran = run_snippet(snippet, sparklio_path)
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.models("langchain_openai")
def test_embeddings_by_clients_that_are_instrumented_are_told_once_with_what_the_server_counted() -> None:
    from langchain_openai import OpenAIEmbeddings

    usage = Usage(prompt=9)
    with EmbeddingsServer(says(usage=usage)) as server, llm_called.captured() as calls, langchain.instrument():
        client, async_client = (SDK(base_url=server.base_url, api_key="none") for SDK in (OpenAI, AsyncOpenAI))
        with openai.instrument(client, provider="openai"), openai.instrument(async_client, provider="openai"):
            model = OpenAIEmbeddings(
                client=client.embeddings, async_client=async_client.embeddings, check_embedding_ctx_length=False
            )
            model.embed_query("Hello?")
            asyncio.run(model.aembed_query("Hello?"))
    assert [(call.operation, call.prompt_tokens) for call in calls] == [("embeddings", 9)] * server.tally.requests
    assert server.tally.requests == 2
    assert all(call.cost for call in calls)
