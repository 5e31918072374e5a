"""A call that two bridges see is one call, whichever of them was switched on first.

Each row is a way that a call takes to a model, through libraries that have a bridge each. Every two of these bridges
are switched on, in both orders, and all at once, and the server's own count is compared with what was emitted.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import combinations, permutations

import pytest

from events import agent_finished, agent_run
from tests.support import call_paths
from tests.support.call_paths import TodaysAnthropicServer, Way, ask_in_a_loop
from tests.support.openai_server import OpenAIServer, Reply, Usage, fails, says
from tests.support.recorded_calls import recorded_calls, sums_of

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or it is fetched from the network where LiteLLM is imported

EXACT = {"anthropic", "litellm", "openai", "pydantic_ai"}
BRIDGES = ("anthropic", "langchain", "litellm", "openai", "openai_agents", "opentelemetry", "pydantic_ai")


@dataclass(frozen=True, slots=True)
class Row:
    """A way to a model, the bridges on it, and the modules that it needs."""

    make: Callable[[OpenAIServer], Way]
    bridges: tuple[str, ...]
    needs: tuple[str, ...]

    def server(self, behaviour: Reply) -> OpenAIServer:
        """Return the server at its end."""
        return (TodaysAnthropicServer if "anthropic" in self.bridges else OpenAIServer)(behaviour)


# fmt: off
WAYS = (
    Row(call_paths.openai_sdk,               ("openai", "opentelemetry"),                  ("opentelemetry.sdk",)),
    Row(call_paths.anthropic_sdk,            ("anthropic", "opentelemetry"),               ("opentelemetry.sdk",)),
    Row(call_paths.pydantic_ai_on_openai,    ("pydantic_ai", "openai", "opentelemetry"),   ("opentelemetry.sdk",)),
    Row(call_paths.pydantic_ai_on_anthropic, ("pydantic_ai", "anthropic"),                 ("opentelemetry.sdk",)),
    Row(call_paths.langchain_on_openai,      ("langchain", "openai", "opentelemetry"),     ("langchain_openai",)),
    Row(call_paths.langchain_on_anthropic,   ("langchain", "anthropic", "opentelemetry"),  ("langchain_anthropic",)),
    Row(call_paths.langchain_on_litellm,     ("langchain", "litellm", "opentelemetry"),    ("litellm",)),
    Row(call_paths.openai_agents_on_openai,  ("openai_agents", "openai", "opentelemetry"), ("agents",)),
    Row(call_paths.openai_agents_on_litellm, ("openai_agents", "litellm"),                 ("litellm",)),
    Row(call_paths.litellm_on_openai,        ("litellm", "openai", "opentelemetry"),       ("litellm",)),
)
# fmt: on

APART = {
    ("anthropic", "litellm"): "LiteLLM sends to Anthropic by itself",
    ("anthropic", "openai"): "a client is of one of them",
    ("anthropic", "openai_agents"): "it asks Anthropic by LiteLLM",
    ("langchain", "openai_agents"): "neither asks by the other",
    ("langchain", "pydantic_ai"): "the same",
    ("litellm", "pydantic_ai"): "its provider for LiteLLM's proxy is a client of openai",
    ("openai_agents", "pydantic_ai"): "neither asks by the other",
}
"""Pairs of which no call sees both."""

PAIRS = [
    pytest.param(row, pair, id=f"{row.make.__name__}-{pair[0]}-then-{pair[1]}", marks=pytest.mark.models(*row.needs))
    for row in WAYS
    for pair in permutations(row.bridges, 2)
]
ALL = [
    pytest.param(row, row.bridges, id=row.make.__name__, marks=pytest.mark.models(*row.needs))
    for row in WAYS
    if len(row.bridges) > 2
]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # LiteLLM has pydantic warn, and leaves connections open; so do others
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("row", "pair"), PAIRS + ALL)
def test_two_bridges_and_all_tell_a_call_once(row: Row, pair: tuple[str, ...], streamed: bool) -> None:
    usage = Usage(prompt=50, completion=20, cached=10)
    with row.server(says("One two three.", usage=usage)) as server, ExitStack() as bridges:
        way = row.make(server)
        for bridge in pair:
            bridges.enter_context(way.bridges[bridge]())
        with recorded_calls() as recorded:
            ask_in_a_loop(way, streamed)
    assert recorded.is_paired()
    [call] = recorded.calls
    assert recorded.sums() == sums_of(server.tally) == (1, 50, 20)
    assert (call.status, call.usage_source, call.attempts) == ("success", "provider", len(recorded.attempts))
    assert {attempt.call_id for attempt in recorded.attempts} == {call.call_id}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("row", "pair"), PAIRS + ALL)
def test_two_bridges_and_all_add_a_call_to_an_agents_totals_once(row: Row, pair: tuple[str, ...]) -> None:
    with row.server(says(usage=Usage(prompt=50, completion=20))) as server, ExitStack() as bridges:
        way = row.make(server)
        for bridge in pair:
            bridges.enter_context(way.bridges[bridge]())
        with agent_finished.captured() as finished, agent_run(agent_name="writer"):
            ask_in_a_loop(way, streamed=False)
    [run] = [each for each in finished if each.agent_name == "writer"]
    assert (run.llm_calls, run.prompt_tokens, run.completion_tokens) == (1, 50, 20)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("row", "pair"), PAIRS + ALL)
def test_two_bridges_and_all_tell_a_call_that_fails_once(row: Row, pair: tuple[str, ...], streamed: bool) -> None:
    with row.server(fails(500)) as server, ExitStack() as bridges:
        way = row.make(server)
        for bridge in pair:
            bridges.enter_context(way.bridges[bridge]())
        with recorded_calls() as recorded, pytest.raises(Exception, match=r".*"):
            ask_in_a_loop(way, streamed)
    assert recorded.is_paired()
    [call] = recorded.calls
    assert (call.status, call.attempts, call.prompt_tokens) == ("error", len(recorded.attempts), None)
    assert call.error_type == "provider_5xx" or EXACT.isdisjoint(pair)


def test_every_two_bridges_are_in_the_table_or_apart() -> None:
    together = {pair for row in WAYS for pair in combinations(sorted(row.bridges), 2)}
    assert together.isdisjoint(APART)
    assert together | APART.keys() == set(combinations(BRIDGES, 2))
