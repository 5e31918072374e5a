"""Prompts have what agents need and fit the model's context window."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.agents import AGENTS, Assignment, execute
from app.agents.prompt import byte_size, compose, max_prompt_bytes, single_line
from app.llm.factory import LLM
from tests.backend.agents.conftest import LIBRARY, RecordedAgents, reviews
from tests.support.openai_server import OpenAIServer


async def test_brief_lookups_and_earlier_steps_are_in_the_prompt(llm: LLM, server: OpenAIServer) -> None:
    earlier = (("strategist", "Sell the silence."), ("copywriter_2", "Hush."))
    await execute(
        "copywriter",
        Assignment("Acme Audio", "earbuds", ("light", "small"), "commuters", "Write the copy.", earlier),
        model=llm.model,
        library=LIBRARY,
    )
    [instructions, prompt] = [message["content"] for message in server.requests[0].messages]
    assert instructions == AGENTS["copywriter"].instructions
    assert prompt == (
        "Task: Write the copy.\n"
        "Brand: Acme Audio\n"
        "About the brand: About: quiet since 1990 Tone: warm\n"
        "Product: earbuds\n"
        "Features: light, small\n"
        "Audience: commuters\n"
        "Written before: Hear the quiet. Silence, please.\n"
        "Strategist: Sell the silence.\n"
        "Copywriter 2: Hush.\n"
        "\n"
        "Write one short sentence that sells the earbuds by Acme Audio to commuters."
    )


@pytest.mark.slow
@pytest.mark.parametrize("agent_name", AGENTS)
@pytest.mark.parametrize("product", ["wireless earbuds", "무선 이어폰 🎧", "x" * 50_000])
async def test_the_context_that_is_emitted_is_what_the_model_server_received(
    llm: LLM, server: OpenAIServer, recorded: RecordedAgents, agent_name: str, product: str
) -> None:
    if agent_name == "reviewer":
        server.behaviour = reviews("approved")
    assignment = Assignment("Acme Audio", product, ("small",), "commuters", "Do it.")
    await execute(agent_name, assignment, model=llm.model, library=LIBRARY)
    received = sum(len(message["content"].encode()) for message in server.requests[0].messages)
    assert [(context.size, context.agent_name) for context in recorded.contexts] == [(received, agent_name)]


@pytest.mark.slow
@given(
    texts=st.lists(st.text(max_size=3000), min_size=6, max_size=6),
    window=st.one_of(st.none(), st.integers(1536, 500_000)),
    agent_name=st.sampled_from(sorted(AGENTS)),
)
def test_any_prompt_fits_the_window(texts: list[str], window: int | None, agent_name: str) -> None:
    brand, product, feature, audience, facts, earlier = texts
    assignment = Assignment(brand, product, (feature,), audience, "Do it.", (("copywriter", earlier),))
    spec = AGENTS[agent_name]
    prompt, _ = compose(spec, assignment, {"brand_facts": facts}, window)
    assert byte_size(spec.instructions) + byte_size(prompt) <= max_prompt_bytes(window)


@pytest.mark.slow
@given(brand=st.text(max_size=50), product=st.text(max_size=50), audience=st.text(max_size=50))
def test_a_brief_of_usual_length_is_not_shortened(brand: str, product: str, audience: str) -> None:
    prompt, _ = compose(AGENTS["copywriter"], Assignment(brand, product, (), audience, "Do it."), {}, 2048)
    assert all(single_line(text) in prompt for text in (brand, product, audience))
