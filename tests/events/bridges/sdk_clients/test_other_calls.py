"""Calls beside those of chats, responses and messages: each of the SDKs' ways to ask a model, and what asks none."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from tests.events.bridges.sdk_clients.conftest import MakeClient, Told
from tests.support.openai_server import ChatRequest, OpenAIServer, Usage, calls_tool, says, sends
from tests.support.sdk_calls import API, CHAT, MESSAGES, MODEL, PROMPT

pytestmark = pytest.mark.slow  # SDKs take seconds to import

IMAGE = {"created": 1, "data": [{"b64_json": ""}], "usage": {"input_tokens": 9, "output_tokens": 4, "total_tokens": 13}}
TEXT = {"object": "text_completion", "model": "m-1", "choices": [{"text": "Hi", "finish_reason": "length", "index": 0}]}
COUNTED = {"usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}}
EMBEDDING = {"model": "m-1", "data": [{"embedding": [0.5]}], "usage": {"prompt_tokens": 9, "total_tokens": 9}}
COMPACTED = {
    "object": "response.compaction", "id": "r", "created_at": 1, "output": [],
    "usage": {"input_tokens": 9, "output_tokens": 4, "total_tokens": 13},
}  # fmt: skip
SPOKEN = {"text": "Hi", "usage": {"type": "tokens", "input_tokens": 9, "output_tokens": 4, "total_tokens": 13}}
SOUND = ("a.wav", b"sound")

Ask = Callable[[Any], Any]


class AnyServer(OpenAIServer):
    """A server that replies to whatever is posted."""

    def parse_request(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> ChatRequest | None:
        return ChatRequest(str(body.get("model")), [], stream=False, body=body, headers=headers)

    def read_body(self, body: bytes) -> dict[str, Any]:
        """Return a JSON body; that of a form is left alone."""
        return json.loads(body) if body.startswith(b"{") else {}

    @property
    def address(self) -> str:
        """The server's URL without a path."""
        return self.base_url.removesuffix("/v1")


def complete(client: Any) -> Any:
    return client.completions.create(model=MODEL, prompt="Hi")


def embed(client: Any) -> Any:
    return client.embeddings.create(model=MODEL, input="Hi", encoding_format="float")


def draw(client: Any) -> Any:
    return client.images.generate(model=MODEL, prompt="Hi")


def transcribe(client: Any) -> Any:
    return client.audio.transcriptions.create(model=MODEL, file=SOUND)


def compact(client: Any) -> Any:
    return client.post("/responses/compact", cast_to=object, body={"model": MODEL, "input": "Hi"})


def post(client: Any) -> Any:
    return client.post("/chat/completions", cast_to=object, body={"model": MODEL, "messages": PROMPT})


# fmt: off
CALLS: list[tuple[Ask, dict[str, Any], str, tuple[int | None, int | None], str | None]] = [
    (complete,   {**TEXT, **COUNTED}, "text_completion", (9, 4),    "length"),
    (embed,      EMBEDDING,           "embeddings",      (9, None), None),
    (draw,       IMAGE,               "image",           (9, 4),    None),
    (transcribe, SPOKEN,              "audio",           (9, 4),    None),
    (compact,    COMPACTED,           "chat",            (9, 4),    None),
    (post,       {**TEXT, **COUNTED}, "chat",            (9, 4),    "length"),
]
# fmt: on


@pytest.mark.parametrize(("ask", "answer", "operation", "tokens", "finish_reason"), CALLS)
def test_a_call_is_told_with_its_tokens(
    ask: Ask,
    answer: dict[str, Any],
    operation: str,
    *,
    tokens: tuple[int | None, int | None],
    finish_reason: str | None,
    told: Told,
    make_client: MakeClient,
) -> None:
    with AnyServer(sends(json.dumps(answer).encode())) as server:
        ask(make_client(CHAT, server))
    assert (told.call.status, told.call.model, told.call.operation) == ("success", MODEL, operation)
    assert (told.call.prompt_tokens, told.call.completion_tokens) == tokens
    assert told.call.finish_reason == finish_reason


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.models.list(),
        lambda client: client.moderations.create(input="Hi"),
        lambda client: client.files.list(),
    ],
)
def test_what_asks_no_model_is_no_call(ask: Ask, told: Told, make_client: MakeClient) -> None:
    with AnyServer(sends(b'{"object": "list", "data": []}')) as server, suppress(Exception):
        ask(make_client(CHAT, server))  # may fail: the server takes what is posted alone
    assert (told.called, told.attempts) == ([], [])


def test_a_text_completion_of_anthropic_has_no_tokens(told: Told, make_client: MakeClient) -> None:
    body = b'{"type": "completion", "id": "c", "completion": "Hi", "model": "m-1", "stop_reason": "stop_sequence"}'
    with AnyServer(sends(body)) as server:
        make_client(MESSAGES, server).post("/v1/complete", cast_to=object, body={"model": MODEL, "prompt": "Hi"})
    assert (told.call.status, told.call.usage_source, told.call.finish_reason) == ("success", "none", "stop")


@pytest.mark.parametrize("api", [MESSAGES], ids=lambda api: api.name)
def test_a_message_in_beta_is_told_too(api: API, told: Told, make_client: MakeClient) -> None:
    with api.server(says(usage=Usage(100, 20, cached=60))) as server:
        client = make_client(api, server)
        client.beta.messages.create(model=MODEL, messages=PROMPT, max_tokens=5)
        with client.beta.messages.stream(model=MODEL, messages=PROMPT, max_tokens=5) as stream:
            stream.get_final_message()
    assert [(call.prompt_tokens, call.cache_read_tokens) for call in told.called] == [(100, 60)] * 2


@pytest.mark.recent
def test_each_request_of_a_tool_runner_is_a_call(told: Told, make_client: MakeClient) -> None:
    import anthropic

    @anthropic.beta_tool
    def look(at: str) -> str:
        """Look at something.

        Args:
            at: What to look at.
        """
        return at

    with MESSAGES.server([calls_tool("look", {"at": "this"}), says()]) as server:
        client = make_client(MESSAGES, server)
        runner = client.beta.messages.tool_runner(model=MODEL, messages=PROMPT, max_tokens=5, tools=[look])
        assert runner.until_done().stop_reason == "end_turn"
        tally = server.tally
    assert [call.finish_reason for call in told.called] == ["tool_calls", "stop"]
    assert (told.tokens("prompt"), told.tokens("completion")) == (tally.prompt_tokens, tally.completion_tokens)


@pytest.mark.recent
def test_a_request_of_a_middleware_is_an_attempt_of_the_call_around_it(told: Told, make_client: MakeClient) -> None:
    with MESSAGES.server() as server:

        def ask_first(request: Any, call_next: Any) -> Any:
            judge.messages.create(model="judge", messages=PROMPT, max_tokens=5)
            return call_next(request)

        judge = make_client(MESSAGES, server)
        client = make_client(MESSAGES, server, middleware=[ask_first])
        client.messages.create(model=MODEL, messages=PROMPT, max_tokens=5)
    assert (told.call.model, told.call.attempts) == (MODEL, 2)
