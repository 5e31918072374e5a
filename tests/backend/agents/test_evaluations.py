"""A review is an evaluation of what another agent wrote, and what the tools look up is a lookup of documents."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.agents import AGENTS, AgentFailed, execute
from app.agents.agent_definitions import SCORES
from app.llm.factory import LLM
from events import agent_finished, answer_evaluated, documents_retrieved, guardrail_checked
from tests.backend.agents.conftest import BRIEF, LIBRARY, REVIEW, reviews
from tests.support.fake_library import FakeLibrary
from tests.support.openai_server import OpenAIServer, says


@pytest.mark.parametrize(
    ("verdict", "result", "score"), [("approved", "pass", 1.0), ("revise", "fail", 0.5), ("rejected", "fail", 0.0)]
)
async def test_a_review_evaluates_the_answer_of_its_author(
    llm: LLM, server: OpenAIServer, verdict: str, result: str, score: float
) -> None:
    server.behaviour = reviews(verdict)
    with answer_evaluated.captured() as evaluated, agent_finished.captured() as finished:
        await execute("reviewer", replace(REVIEW, author="copywriter"), model=llm.model, library=LIBRARY)
    [each] = evaluated
    assert (each.agent_name, each.evaluator, each.result, each.score) == ("copywriter", "reviewer", result, score)
    assert each.cost == finished[0].cost
    assert set(SCORES) == {"approved", "revise", "rejected"}


async def test_a_review_of_the_users_text_is_nobodys(llm: LLM, server: OpenAIServer) -> None:
    server.behaviour = reviews("approved")
    with answer_evaluated.captured() as evaluated:
        await execute("reviewer", REVIEW, model=llm.model, library=LIBRARY)
    assert [each.agent_name for each in evaluated] == ["unknown"]


def test_other_instructions_are_another_version() -> None:
    reviewer = AGENTS["reviewer"]
    versions = {reviewer.version, replace(reviewer, instructions="Be kind.").version, reviewer.version}
    assert len(versions) == 2
    assert {len(version) for version in versions} == {8}


async def test_the_lookups_of_an_agent_say_what_they_found(llm: LLM) -> None:
    with documents_retrieved.captured() as lookups:
        await execute("copywriter", BRIEF, model=llm.model, library=LIBRARY)
        await execute("copywriter", BRIEF, model=llm.model, library=FakeLibrary("", []))
    found = [(each.data_source, each.documents, each.status, each.agent_name) for each in lookups]
    assert found == [
        ("brand_facts", 1, "success", "copywriter"),
        ("earlier_copy", 2, "success", "copywriter"),
        ("brand_facts", 0, "success", "copywriter"),
        ("earlier_copy", 0, "success", "copywriter"),
    ]
    assert all(0 <= each.duration < 5 for each in lookups)


class BrokenLibrary(FakeLibrary):
    async def brand_facts(self, brand: str) -> Any:
        raise LookupError(brand)


async def test_a_lookup_that_fails_found_nothing(llm: LLM) -> None:
    with documents_retrieved.captured() as lookups, pytest.raises(AgentFailed):
        await execute("copywriter", BRIEF, model=llm.model, library=BrokenLibrary("", []))
    assert [(each.status, each.documents, each.error) for each in lookups] == [("error", None, "LookupError")]


async def test_an_empty_answer_is_stopped_by_a_guardrail(llm: LLM, server: OpenAIServer) -> None:
    server.behaviour = [says(' "" '), says("Music, unplugged.")]
    with guardrail_checked.captured() as checks:
        await execute("copywriter", BRIEF, model=llm.model, library=LIBRARY)
    assert [(each.guardrail, each.kind, each.outcome, each.agent_name) for each in checks] == [
        ("answer_is_not_empty", "output", "triggered", "copywriter"),
        ("answer_is_not_empty", "output", "passed", "copywriter"),
    ]
    assert "unplugged" not in repr(checks)
