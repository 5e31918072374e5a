"""The phases of an agent's execution add up to its duration."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.agents import execute
from app.agents.phase_timer import PhaseTimer
from app.llm.factory import LLM
from events import agent_finished
from tests.backend.agents.conftest import BRIEF
from tests.support.fake_library import FakeLibrary
from tests.support.openai_server import OpenAIServer, says


def test_each_moment_is_counted_to_one_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parallel uses of tools count once, and a model's call takes precedence."""
    clock = iter([0.0, 1.0, 2.0, 4.0, 5.0, 7.0, 8.0, 9.0, 9.0])
    monkeypatch.setattr("app.agents.phase_timer.perf_counter", lambda: next(clock))
    timer = PhaseTimer()  # 0
    with timer.measure("tool"), timer.measure("tool"), timer.measure("llm"):  # from 1, from 2, from 4
        pass  # to 5, to 7, to 8
    assert (timer.seconds("tool"), timer.seconds("llm")) == (6.0, 1.0)


@pytest.mark.slow
async def test_an_agents_phases_add_up_to_its_duration(llm: LLM, server: OpenAIServer) -> None:
    server.behaviour = replace(says(), delay=0.2)
    with agent_finished.captured() as ended:
        await execute("copywriter", BRIEF, model=llm.model, library=FakeLibrary())
    [agent] = ended
    assert agent.llm_time is not None
    assert agent.tool_time is not None
    assert agent.self_time is not None
    assert agent.llm_time >= 0.2
    assert agent.llm_time + agent.tool_time + agent.backoff_time + agent.self_time == pytest.approx(
        agent.duration, abs=0.005
    )
