"""Tools are run, offered to models that can call them, and emitted."""

from __future__ import annotations

import pytest

from app.agents import AGENTS, AgentFailed, execute
from app.agents.tools import TOOLS
from app.llm.factory import LLM
from tests.backend.agents.conftest import BRIEF, LIBRARY, RecordedAgents, counts
from tests.support.fake_library import FakeLibrary
from tests.support.openai_server import OpenAIServer, Usage, calls_tool, says


async def test_the_agents_tools_are_emitted_with_agent_and_duration(llm: LLM, recorded: RecordedAgents) -> None:
    await execute("copywriter", BRIEF, model=llm.model, library=LIBRARY)
    assert [(tool.tool_name, tool.status, tool.agent_name) for tool in recorded.tools] == [
        ("brand_facts", "success", "copywriter"),
        ("earlier_copy", "success", "copywriter"),
    ]
    assert all(0 <= tool.duration < 5 for tool in recorded.tools)
    assert recorded.finished[0].tool_calls == 2


async def test_a_model_that_calls_tools_is_offered_them_and_each_use_is_emitted(
    llm: LLM, server: OpenAIServer, recorded: RecordedAgents
) -> None:
    server.behaviour = [calls_tool("brand_facts", {}, usage=Usage(20, 5)), says("Warm silence.", usage=Usage(40, 3))]
    result = await execute("copywriter", BRIEF, model=llm.model, library=LIBRARY)
    offered = {tool["function"]["name"] for tool in server.requests[0].body["tools"]}
    answered = [message for message in server.requests[1].messages if message["role"] == "tool"]
    assert offered == {"brand_facts", "earlier_copy"}
    assert "quiet since 1990" in answered[0]["content"]
    assert [tool.tool_name for tool in recorded.tools] == ["brand_facts", "earlier_copy", "brand_facts"]
    assert counts(result.usage) == recorded.counts() == (2, 60, 8)
    assert result.text == "Warm silence."


@pytest.mark.slow
async def test_a_model_that_goes_on_calling_tools_is_stopped(
    llm: LLM, server: OpenAIServer, recorded: RecordedAgents
) -> None:
    server.behaviour = calls_tool("brand_facts", {})
    with pytest.raises(AgentFailed, match="goes on calling tools") as failure:
        await execute("copywriter", BRIEF, model=llm.model, library=LIBRARY)
    assert counts(failure.value.usage) == recorded.counts()
    assert server.tally.requests < 10


async def test_a_tool_that_fails_fails_its_agent_before_the_model_is_asked(
    llm: LLM, server: OpenAIServer, recorded: RecordedAgents, caplog: pytest.LogCaptureFixture
) -> None:
    broken = FakeLibrary(error=ConnectionRefusedError("no library, password=hunter2"))
    with pytest.raises(AgentFailed, match=r"the tool brand_facts failed \(ConnectionRefusedError\)") as failure:
        await execute(
            "copywriter",
            BRIEF,
            model=llm.model,
            library=broken,
        )
    assert [(tool.status, tool.error) for tool in recorded.tools] == [("error", "ConnectionRefusedError")]
    assert server.tally.requests == 0
    assert "fake_library.py" in caplog.text  # where it was raised
    assert "hunter2" not in failure.value.reason + caplog.text


def test_every_agent_has_tools_that_exist() -> None:
    assert {tool for spec in AGENTS.values() for tool in spec.tools} == set(TOOLS)
