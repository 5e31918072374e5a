"""Clients of the SDKs as applications have them: copies, shared HTTP clients, Azure, other bridges around."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from typing import Any

import pytest

from events import llm_called
from events.bridges import openai
from tests.events.bridges.sdk_clients.conftest import Told
from tests.support.openai_server import Reply, Usage, fails, says, sends
from tests.support.sdk_calls import CHAT, MODEL, PROMPT, RESPONSES, ask, read
from tests.support.wait import until

pytestmark = pytest.mark.slow  # SDKs take seconds to import

LIMITS = {"x-ratelimit-limit-requests": "500", "x-ratelimit-remaining-tokens": "499"}


def test_a_copy_with_other_options_is_told_too(told: Told) -> None:
    with CHAT.server([fails(500, retry_after=0.01), says()]) as server:
        client = CHAT.client(server)
        handle = openai.instrument(client)
        client.with_options(max_retries=1).chat.completions.create(model=MODEL, messages=PROMPT)
        assert told.call.attempts == 2
        server.behaviour = [fails(500, retry_after=0.01), says()]
        with CHAT.http_library(client).Client() as other:
            again = client.copy(http_client=other, max_retries=1)
            again.chat.completions.create(model=MODEL, messages=PROMPT)
            assert told.called[-1].attempts == 2
            handle.undo()
            again.chat.completions.create(model=MODEL, messages=PROMPT)
        assert len(told.called) == 2


def test_a_client_may_ask_another_server_later_on(told: Told) -> None:
    with CHAT.server() as server:
        library = CHAT.http_library(CHAT.client(server))
    body = {"object": "chat.completion", "model": MODEL, "choices": []}
    answers = library.MockTransport(lambda _: library.Response(200, json=body))
    with library.Client(transport=answers) as http_client:
        client = CHAT.client(server, http_client=http_client)
        openai.instrument(client)
        ask: Any = client.chat.completions.create
        for host in ("api.openai.com", "api.groq.com", "models.example.com", "api.groq.com"):
            client.base_url = f"https://{host}/v1"
            ask(model=MODEL, messages=PROMPT)
            client.with_options(base_url="https://openrouter.ai/v1").chat.completions.create(
                model=MODEL, messages=PROMPT
            )
    providers = [call.provider for call in told.called]
    assert providers[::2] == ["openai", "groq", "openai-compatible", "groq"]
    assert providers[1::2] == ["openrouter"] * 4


def test_an_http_client_may_be_shared(told: Told) -> None:
    with CHAT.server() as server, CHAT.http_library(CHAT.client(server)).Client() as http_client:
        one, other = (CHAT.client(server, http_client=http_client) for _ in range(2))
        handles = [openai.instrument(client) for client in (one, other)]
        for client in (one, other):
            client.chat.completions.create(model=MODEL, messages=PROMPT)
        assert [call.attempts for call in told.called] == [1, 1]
        handles[0].undo()
        for client in (one, other):
            client.chat.completions.create(model=MODEL, messages=PROMPT)
        assert [call.attempts for call in told.called] == [1, 1, 1]
        assert len(told.attempts) == 3


def test_a_client_of_httpx_is_observed_too(told: Told) -> None:
    import httpx

    with CHAT.server([fails(500, retry_after=0.01), says()]) as server, httpx.Client() as http_client:
        client = CHAT.client(server, http_client=http_client, max_retries=1)
        openai.instrument(client)
        list(client.chat.completions.create(model=MODEL, messages=PROMPT, stream=True))
    assert (told.call.status, told.call.attempts) == ("success", 2)


@pytest.mark.parametrize("is_instrumented", [False, True])
def test_a_client_can_be_copied_and_not_pickled_as_before(is_instrumented: bool, told: Told) -> None:
    with CHAT.server() as server:
        client = CHAT.client(server)
        if is_instrumented:
            openai.instrument(client)
        copy.copy(client).chat.completions.create(model=MODEL, messages=PROMPT)
        assert len(told.called) == is_instrumented
        with pytest.raises((TypeError, pickle.PicklingError)):
            pickle.dumps(client)


def test_a_client_that_was_not_used_is_dropped_as_soon_as_a_bare_one() -> None:
    """At once, but for older releases, whose clients have made what refers to them."""
    with CHAT.server() as server:
        gc.collect()
        gc.disable()
        try:
            bare, client = CHAT.client(server), CHAT.client(server)
            openai.instrument(client)
            refs = weakref.ref(bare), weakref.ref(client)
            del bare, client
            assert (refs[1]() is None) == (refs[0]() is None)
        finally:
            gc.enable()


def test_a_price_may_be_given(told: Told) -> None:
    with CHAT.server(says(usage=Usage(100, 20))) as server:
        client = CHAT.client(server)
        openai.instrument(client, price=lambda provider, model, usage: (usage.prompt_tokens or 0) / 1000)
        client.chat.completions.create(model=MODEL, messages=PROMPT)
        other = CHAT.client(server)
        openai.instrument(other, provider="openai")
        other.chat.completions.create(model=MODEL, messages=PROMPT)
    assert [(call.cost, call.cost_source) for call in told.called] == [
        (0.1, "price_table"),
        (pytest.approx(100 * 0.15e-6 + 20 * 0.6e-6), "price_table"),
    ]


def test_rate_limits_are_those_of_each_attempt(told: Told) -> None:
    limited = Reply(
        status=429, headers={**LIMITS, "retry-after-ms": "20"}, body=b'{"error": {"code": "insufficient_quota"}}'
    )
    with CHAT.server([limited, says(headers={"x-ratelimit-limit-requests": "501"})]) as server:
        client = CHAT.client(server, max_retries=1)
        openai.instrument(client)
        client.chat.completions.create(model=MODEL, messages=PROMPT)
    first, second = told.attempts
    assert (first.limit_requests, first.remaining_tokens, first.retry_after) == (500, 499, 0.02)
    assert (first.error_type, first.error, first.status_code, first.attempt) == ("quota_exceeded", "", 429, 1)
    assert (second.limit_requests, second.retry_reason, second.attempt) == (501, "quota_exceeded", 2)
    assert second.backoff is not None
    assert second.backoff >= 0.02
    assert told.call.backoff == second.backoff


def test_an_embedding_has_a_prompt_and_no_completion(told: Told) -> None:
    from tests.support.chat_dialects import PlainServer

    usage = b'"usage": {"prompt_tokens": 9, "total_tokens": 9}'
    body = b'{"object": "list", "data": [{"embedding": [0.5]}], "model": "e-1", ' + usage + b"}"

    class EmbeddingServer(PlainServer):
        def parse_request(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> Any:
            return super().parse_request("/v1/chat/completions", {"messages": [], **body}, headers)

    with EmbeddingServer(sends(body)) as server:
        client = CHAT.client(server)
        openai.instrument(client)
        client.embeddings.create(model="e", input="a text", encoding_format="float")
    assert (told.call.model, told.call.response_model, told.call.status) == ("e", "e-1", "success")
    assert told.call.operation == "embeddings"
    assert (told.call.prompt_tokens, told.call.completion_tokens, told.call.finish_reason) == (9, None, None)


async def test_an_answer_that_is_not_what_was_asked_for_is_billed_all_the_same(told: Told) -> None:
    from pydantic import BaseModel

    class Answer(BaseModel):
        name: str

    with CHAT.server(says('{"name": "x"}', usage=Usage(100, 20))) as server:
        client = CHAT.client(server)
        openai.instrument(client)
        parse = getattr(client.chat.completions, "parse", None) or client.beta.chat.completions.parse  # older ones
        assert parse(model=MODEL, messages=PROMPT, response_format=Answer).choices[0].message.parsed.name == "x"
        server.behaviour = says('{"name": ', usage=Usage(100, 20))
        with pytest.raises(ValueError, match="Invalid JSON"):
            parse(model=MODEL, messages=PROMPT, response_format=Answer)
        server.behaviour = says('{"name": ', usage=Usage(100, 20), finish="length")
        with pytest.raises(Exception, match="length limit"):
            parse(model=MODEL, messages=PROMPT, response_format=Answer)
        server.behaviour = sends(b"{half")
        with pytest.raises(ValueError, match="property name"):
            client.chat.completions.create(model=MODEL, messages=PROMPT)
    assert [(call.status, call.error_type, call.prompt_tokens) for call in told.called] == [
        ("success", None, 100),
        ("error", "invalid_response", 100),
        ("error", "invalid_response", 100),
        ("error", "invalid_response", None),
    ]


def test_a_response_in_the_background_has_no_tokens_yet(told: Told) -> None:
    body = b'{"id": "r", "object": "response", "status": "queued", "model": "m-1", "output": [], "usage": null}'
    with RESPONSES.server(sends(body)) as server:
        client = RESPONSES.client(server)
        openai.instrument(client)
        client.responses.create(model=MODEL, input=PROMPT, extra_body={"background": True})
    assert (told.call.status, told.call.usage_source, told.call.finish_reason) == ("success", "none", None)


@pytest.mark.lenient
async def test_a_failure_of_the_bridge_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    from events import receiver_failed
    from events.bridges.model_calls.openai_chat_answer import ChatAnswer

    def broken(*_: Any) -> Any:
        raise LookupError

    for name in ("add_whole", "add_chunk", "usage"):
        monkeypatch.setattr(ChatAnswer, name, broken)
    with CHAT.server() as server, llm_called.captured() as called, receiver_failed.captured() as failed:
        client = CHAT.client(server)
        openai.instrument(client)
        assert (await ask(CHAT, client)).model == MODEL
        assert await ask(CHAT, client, streamed=True)
        asynchronous = CHAT.client(server, is_async=True)
        openai.instrument(asynchronous)
        stream = await ask(CHAT, asynchronous, stream=True)
        assert await read(stream)
        await until(lambda: len(called) == 3)
    assert {failure.receiver for failure in failed} == {"openai"}


@pytest.mark.parametrize(
    ("body", "error_type"),
    [
        (b'{"error": {"code": 429, "message": "no"}}', "rate_limited"),
        (b"<html></html>", "invalid_response"),
        (b"{}", "invalid_response"),
    ],
)
@pytest.mark.parametrize("raw", [False, True])
def test_a_page_of_a_gateway_is_no_answer(told: Told, body: bytes, error_type: str, raw: bool) -> None:
    kind = "text/html" if body.startswith(b"<") else "application/json"
    with CHAT.server(sends(body, kind)) as server:
        client = CHAT.client(server)
        openai.instrument(client)
        completions = client.chat.completions
        (completions.with_raw_response if raw else completions).create(model=MODEL, messages=PROMPT)
    assert (told.call.status, told.call.error_type, told.call.error) == ("error", error_type, "")
