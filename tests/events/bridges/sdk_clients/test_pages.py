"""The snippets of the pages on the openai and anthropic SDKs print what the pages say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from events import llm_called
from events.bridges import openai
from tests.support.embeddings_server import EmbeddingsServer
from tests.support.openai_server import OpenAIServer, Usage, says
from tests.support.page_snippets import code_blocks, run_snippet
from tests.support.sdk_calls import API, CHAT, MESSAGES

PAGES = Path(__file__).parents[4] / "docs" / "models"


@pytest.mark.slow
@pytest.mark.parametrize("api", [CHAT, MESSAGES], ids=lambda api: api.sdk)
def test_the_snippet_prints_what_the_page_says(api: API, sparklio_path: Path) -> None:
    page = PAGES / f"{api.sdk}.md"
    [code], [shown] = code_blocks("python", page), code_blocks("text", page)
    with api.server() as server:
        name = api.sdk.upper()
        environment = {f"{name}_API_KEY": "none", f"{name}_BASE_URL": api.address(server)}
        ran = run_snippet(code, sparklio_path, "-W", "error", environment=environment)
    assert (ran.returncode, ran.stdout) == (0, shown), ran.stderr


def test_the_price_function_of_the_page_on_prices_prices_the_model_that_no_list_knows_and_all_others() -> None:
    [code] = code_blocks("python", PAGES.parent / "money.md")
    names: dict[str, Any] = {}
    exec(code.replace("sparklio.", ""), names)
    usage = Usage(prompt=1000, completion=100)
    with OpenAIServer(says(usage=usage)) as server, EmbeddingsServer(says(usage=usage)) as embeddings:
        chat, embedder = (OpenAI(base_url=each.base_url, api_key="none") for each in (server, embeddings))
        for client in (chat, embedder):
            openai.instrument(client, provider="openai", price=names["price"])
        with llm_called.captured() as calls:
            for model in ("house-7b", "gpt-4o-mini", "nobody-knows-it"):
                chat.chat.completions.create(model=model, messages=[{"role": "user", "content": "Hello?"}])
            embedder.embeddings.create(model="house-7b", input="Hello?")
    house, listed, unknown, embedded = calls
    assert (house.cost, embedded.cost) == pytest.approx((0.2e-3 + 0.06e-3, 0.2e-3))
    assert listed.cost == pytest.approx((1000 * 0.15 + 100 * 0.6) / 1e6)
    assert (unknown.cost, unknown.cost_source) == (None, "unpriced")
