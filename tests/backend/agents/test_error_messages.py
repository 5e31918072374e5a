"""The message of a failed agent names the model and the cause, and nothing secret."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from app.agents import AgentFailed, AgentTimedOut, execute
from app.llm.factory import LLM, open_model
from app.llm_usage import LLMUsage
from app.settings import Settings
from tests.backend.agents.conftest import BRIEF, LIBRARY, PROMPTED, SECRET, RecordedAgents, counts
from tests.support.openai_server import OpenAIServer, Reply, fails, says, sends, stalls

EVENTS = "text/event-stream"
# fmt: off
FAILURES = [
    (fails(401, "bad key " + SECRET, code="invalid_api_key"), "(HTTP 401): check the key in OPENAI_API_KEY"),
    (fails(404, "no such model", code="model_not_found"),     "does not know gpt-4o-mini (HTTP 404)"),
    (fails(429, "slow down", code="rate_limit_exceeded"),     "is asked too often (HTTP 429)"),
    (fails(429, "pay first", code="insufficient_quota"),      "quota for gpt-4o-mini is used up (HTTP 429)"),
    (fails(500, "scripted"),                              "answers with HTTP 500"),
    (fails(400, "too long", code="context_length_exceeded"),  "the brief is too long for gpt-4o-mini"),
    (sends(b"<html>" + PROMPTED.encode(), "text/html"),       "does not answer in the form that was asked for"),
    (sends(b'data: {"choices": [{"delta": \n\n', EVENTS),     "gives no proper answer"),
    (sends(b'data: {"choices": []}\n\n', EVENTS),             "gpt-4o-mini"),
    (sends(b"data: null\n\n", EVENTS),                        "gpt-4o-mini"),
    (sends(b'data: {"choices": [{"delta": "rubbish"}]}\n\n', EVENTS), "gpt-4o-mini"),
    (sends(b'{"choices": []}'),                               "gpt-4o-mini"),
    (says(""),                                                "does not answer in the form that was asked for"),
    (says("   \n "),                                          "does not answer in the form that was asked for"),
    (says("cut", break_after=2),                              "gpt-4o-mini"),
]
# fmt: on


@pytest.mark.slow
@pytest.mark.parametrize(("reply", "reason"), FAILURES, ids=[reason for _, reason in FAILURES])
async def test_the_message_names_the_model_and_the_cause_and_nothing_secret(
    llm: LLM,
    server: OpenAIServer,
    recorded: RecordedAgents,
    *,
    caplog: pytest.LogCaptureFixture,
    reply: Reply,
    reason: str,
) -> None:
    caplog.set_level(logging.INFO)
    server.behaviour = reply
    with pytest.raises(AgentFailed) as failure:
        await execute("copywriter", BRIEF, model=llm.model, library=LIBRARY)
    message = failure.value.reason
    shown = message + caplog.text + repr(recorded.finished)
    assert reason in message
    assert "\n" not in message
    assert not [secret for secret in (SECRET, PROMPTED, "Acme") if secret in shown]
    assert (failure.value.status, recorded.finished[0].status) == ("error", "error")
    assert recorded.finished[0].error not in ("", "AgentFailed")  # the cause, not our exception around it
    assert counts(failure.value.usage) == recorded.counts()
    assert sum(call.attempts for call in recorded.calls) == server.tally.requests


@pytest.mark.slow
async def test_the_message_says_that_a_model_cannot_be_reached(
    free_port: Callable[[], int], recorded: RecordedAgents
) -> None:
    llm = await open_model(Settings(llm="openai:gpt-4o-mini", llm_base_url=f"http://127.0.0.1:{free_port()}"))
    usage = LLMUsage()
    with pytest.raises(AgentFailed, match="gpt-4o-mini cannot be reached") as failure:
        await execute("copywriter", BRIEF, model=llm.model, library=LIBRARY, usage=usage)
    assert counts(failure.value.usage) == counts(usage) == recorded.counts() == (1, 0, 0)
    await llm.close()


@pytest.mark.slow
async def test_a_model_that_does_not_answer_in_time_is_a_timeout(
    server: OpenAIServer, recorded: RecordedAgents
) -> None:
    server.behaviour = stalls()
    llm = await open_model(Settings(llm="openai:gpt-4o-mini", llm_base_url=server.base_url, llm_timeout=0.2))
    with pytest.raises(AgentTimedOut, match="raise SPARKLIO_LLM_TIMEOUT") as failure:
        await execute("copywriter", BRIEF, model=llm.model, library=LIBRARY)
    assert failure.value.status == recorded.finished[0].status == recorded.calls[0].status == "timeout"
    assert counts(failure.value.usage) == (1, 0, 0)
    await llm.close()
