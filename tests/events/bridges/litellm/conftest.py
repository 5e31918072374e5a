"""LiteLLM, instrumented for one test, and what is told in it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from events import LLMAttempted, LLMCalled, LLMCallStarted, llm_attempted, llm_call_started, llm_called
from events.bridges.litellm import instrument
from tests.support.openai_server import OpenAIServer
from tests.support.stand_in_litellm import Library

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or it is fetched from the network where LiteLLM is imported


OWN_WARNINGS = [pytest.mark.filterwarnings("ignore")]
"""LiteLLM has pydantic warn of some ten things, and leaves connections and event loops to the garbage collector."""


@dataclass
class Told:
    """The events of a test."""

    started: list[LLMCallStarted]
    attempted: list[LLMAttempted]
    called: list[LLMCalled]

    @property
    def call(self) -> LLMCalled:
        """The one call that was told."""
        [call] = self.called
        assert [start.call_id for start in self.started] == [call.call_id]
        assert {attempt.call_id for attempt in self.attempted} == {call.call_id}
        assert len(self.attempted) == call.attempts
        return call


@pytest.fixture
def told() -> Iterator[Told]:
    with llm_call_started.captured() as started, llm_attempted.captured() as attempted, llm_called.captured() as called:
        yield Told(started, attempted, called)


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    """A module that stands in for LiteLLM, whose calls are told."""
    library = Library()
    monkeypatch.setitem(sys.modules, "litellm", library)
    with instrument():
        yield library


@pytest.fixture
def litellm() -> Iterator[Any]:
    """LiteLLM, whose calls are told."""
    import litellm

    litellm.telemetry = False
    litellm.suppress_debug_info = True
    with instrument():
        yield litellm
    litellm.num_retries = None


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        yield server
