"""The bridge is switched on and off, and says where the SDK makes no traces; nothing is sent to OpenAI."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from events.bridges.openai_agents import instrument
from tests.events.bridges.openai_agents.conftest import Told
from tests.support.openai_server import OpenAIServer

pytestmark = [pytest.mark.models("agents"), pytest.mark.slow]


async def test_an_undone_bridge_emits_nothing(
    sdk: Any, server: OpenAIServer, model: Callable[..., Any], told: Told
) -> None:
    handle = instrument()
    assert instrument() is handle
    agent = sdk.Agent("writer", model=model())
    await sdk.Runner.run(agent, "x")
    handle.undo()
    handle.undo()
    await sdk.Runner.run(agent, "x")
    assert len(told.calls) == len(told.agents) == 1
    with instrument():
        await sdk.Runner.run(agent, "x")
    assert len(told.calls) == len(told.agents) == 2


async def test_a_run_without_a_trace_emits_nothing(
    sdk: Any, server: OpenAIServer, model: Callable[..., Any], told: Told
) -> None:
    await sdk.Runner.run(sdk.Agent("writer", model=model()), "x", run_config=sdk.RunConfig(tracing_disabled=True))
    assert (told.calls, told.agents) == ([], [])


def test_a_process_without_traces_is_warned_of(
    sdk: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    provider = sdk.tracing.get_trace_provider()
    with caplog.at_level(logging.WARNING, logger="events"):
        for disabled, variable, warned in (
            (None, "0", False),
            (None, "true", True),
            (None, "1", True),
            (False, "1", False),
            (True, "0", True),
        ):
            monkeypatch.setattr(provider, "_manual_disabled", disabled)
            monkeypatch.setenv("OPENAI_AGENTS_DISABLE_TRACING", variable)
            caplog.clear()
            instrument().undo()
            instrument().undo()
            assert ["makes no traces" in record.message for record in caplog.records] == [True] * 2 * warned


PROGRAM = """
import sys
import events.bridges.mcp, events.bridges.openai_agents
assert not {"agents", "mcp", "openai"} & sys.modules.keys()
from events.bridges.openai_agents import instrument
import agents
from agents.tracing import get_trace_provider
agents.set_tracing_disabled(True)
assert get_trace_provider()._manual_disabled is True
"""


def test_importing_the_package_imports_no_sdk_and_the_private_name_is_there() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], env={"PYTHONPATH": ":".join(sys.path)}, capture_output=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, b"")
