"""Answers in a form that is asked for: parsed by the SDK, or rejected by it and billed all the same."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from tests.events.bridges.sdk_clients.conftest import MakeClient, Told
from tests.support.openai_server import Usage, says
from tests.support.sdk_calls import API, CHAT, MESSAGES, RESPONSES, ask

pytestmark = pytest.mark.slow  # SDKs take seconds to import


class Answer(BaseModel):
    """The form of an answer."""

    name: str


WAYS = [
    pytest.param(CHAT, "chat.completions.parse", "response_format", id="chat", marks=pytest.mark.recent),
    pytest.param(RESPONSES, "responses.parse", "text_format", id="responses"),
    pytest.param(MESSAGES, "messages.parse", "output_format", id="messages", marks=pytest.mark.recent),
]


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize(("api", "method", "argument"), WAYS)
async def test_an_answer_is_told_whether_it_can_be_parsed_or_not(
    api: API, method: str, argument: str, *, is_async: bool, told: Told, make_client: MakeClient
) -> None:
    with api.server(says('{"name": "x"}', usage=Usage(100, 20))) as server:
        client = make_client(api, server, is_async=is_async)
        asked: dict[str, Any] = {"method": method, argument: Answer}
        await ask(api, client, **asked)
        server.behaviour = says('{"name": ', usage=Usage(100, 20))
        with pytest.raises(ValueError, match="JSON"):
            await ask(api, client, **asked)
        tally = server.tally
    assert [(call.status, call.error_type) for call in told.called] == [
        ("success", None),
        ("error", "invalid_response"),
    ]
    assert (told.tokens("prompt"), told.tokens("completion")) == (tally.prompt_tokens, tally.completion_tokens)
