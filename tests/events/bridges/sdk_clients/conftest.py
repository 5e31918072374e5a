"""What the instrumented clients of the SDKs emit in a test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any, Protocol

import pytest

from events import LLMAttempted, LLMCalled, LLMCallStarted, llm_attempted, llm_call_started, llm_called
from events.bridges import anthropic, openai
from tests.support.openai_server import OpenAIServer
from tests.support.sdk_calls import API

INSTRUMENT = {"openai": openai.instrument, "anthropic": anthropic.instrument}


@dataclass(frozen=True)
class Told:
    """The events of a test, in order."""

    started: list[LLMCallStarted]
    attempts: list[LLMAttempted]
    called: list[LLMCalled]

    @property
    def call(self) -> LLMCalled:
        """The only call."""
        [call] = self.called
        assert [each.call_id for each in self.started] == [call.call_id]
        return call

    def tokens(self, kind: str) -> int:
        """Return the sum of a kind of tokens over all calls."""
        return sum(getattr(call, f"{kind}_tokens") or 0 for call in self.called)


@pytest.fixture
def told() -> Iterator[Told]:
    with (
        llm_call_started.captured() as started,
        llm_attempted.captured() as attempts,
        llm_called.captured() as called,
    ):
        yield Told(started, attempts, called)


class MakeClient(Protocol):
    """Returns an instrumented client of an SDK, which is closed after the test."""

    def __call__(self, api: API, server: OpenAIServer, *, is_async: bool = False, **options: Any) -> Any: ...


@pytest.fixture
async def make_client() -> AsyncIterator[MakeClient]:
    made: list[Any] = []

    def make(api: API, server: OpenAIServer, *, is_async: bool = False, **options: Any) -> Any:
        made.append(INSTRUMENT[api.sdk](api.client(server, is_async=is_async, **options)).client)
        return made[-1]

    yield make
    for client in made:
        closed = client.close()
        if isawaitable(closed):
            await closed
