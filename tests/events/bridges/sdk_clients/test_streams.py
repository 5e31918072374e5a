"""The ways to read a stream, and to leave it: each ends its call once, as soon as it is known how."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from inspect import isawaitable
from typing import Any

import pytest

from events import agent_finished, agent_run
from tests.events.bridges.sdk_clients.conftest import MakeClient, Told
from tests.support.openai_server import Usage, says, sends
from tests.support.sdk_calls import API, APIS, CHAT, MESSAGES, MODEL, PROMPT, RESPONSES, ask, read
from tests.support.wait import until

# The SDKs take seconds to import. Newer ones are in the environment with the libraries of models.
pytestmark = [pytest.mark.slow, pytest.mark.models("openai")]

TEXT = "one two three four five six"
EACH_API = pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
EACH_KIND = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


@pytest.fixture
def no_garbage() -> Iterator[None]:
    """Collect no garbage: what is seen without it does not wait for it."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@EACH_API
@EACH_KIND
@pytest.mark.usefixtures("no_garbage")
async def test_a_stream_that_is_dropped_is_seen_at_once(
    api: API, is_async: bool, told: Told, make_client: MakeClient
) -> None:
    with api.server(says(TEXT, stall_after=6)) as server:
        client = make_client(api, server, is_async=is_async)
        await ask(api, client, streamed=True, leave_after=3)
        if is_async:
            await until(lambda: told.called)
        assert told.call.status == "cancelled"
        await ask(api, client, stream=True)  # and not even read
    assert [call.status for call in told.called] == ["cancelled"] * 2


@EACH_API
def test_a_stream_may_be_read_in_parts(api: API, told: Told, make_client: MakeClient) -> None:
    with api.server(says(TEXT, usage=Usage(100, 20))) as server:
        stream: Any = create(api, make_client(api, server))
        count = 1 + (next(stream) is None)
        for _ in stream:
            count += 1
            break
        count += len(list(stream))
        assert told.call.status == "success"
        assert list(stream) == []
        assert count == len(list(create(api, api.client(server))))
    assert told.call.prompt_tokens == 100


async def awaited(value: Any) -> Any:
    """Return a value, or what it is the awaitable of."""
    return await value if isawaitable(value) else value


def create(api: API, client: Any) -> Any:
    """Return a stream of a plain client."""
    parts = api.method.split(".")
    for part in parts:
        client = getattr(client, part)
    return client(model=MODEL, stream=True, **api.arguments, **api.of_stream)


@EACH_API
@EACH_KIND
async def test_a_stream_that_is_closed_is_cancelled_once(
    api: API, is_async: bool, told: Told, make_client: MakeClient
) -> None:
    with api.server(says(TEXT, stall_after=6)) as server:
        stream = await ask(api, make_client(api, server, is_async=is_async), stream=True)
        if is_async:
            await anext(stream)
            await stream.close()
        else:
            next(stream)
            stream.close()
    assert told.call.status == "cancelled"


@EACH_API
async def test_a_stream_that_is_closed_after_its_end_is_a_success(
    api: API, told: Told, make_client: MakeClient
) -> None:
    with api.server(says(TEXT)) as server, create(api, make_client(api, server)) as stream:
        await read(stream)
    assert told.call.status == "success"


def test_a_reader_that_leaves_after_the_end_of_the_answer_is_a_success(told: Told, make_client: MakeClient) -> None:
    with CHAT.server(says(TEXT)) as server, create(CHAT, make_client(CHAT, server)) as stream:
        for chunk in stream:
            if chunk.choices[0].finish_reason:
                break
    assert (told.call.status, told.call.finish_reason, told.call.usage_source) == ("success", "stop", "none")


def test_a_stream_that_ends_without_an_end_is_an_invalid_response(told: Told, make_client: MakeClient) -> None:
    half = b'data: {"id": "c", "choices": [{"index": 0, "delta": {"content": "one"}}]}\n\ndata: [DONE]\n\n'
    with CHAT.server(sends(half, "text/event-stream")) as server:
        list(create(CHAT, make_client(CHAT, server)))
    assert (told.call.status, told.call.error_type) == ("error", "invalid_response")


def test_a_chunk_that_is_not_json_is_an_invalid_response(told: Told, make_client: MakeClient) -> None:
    with CHAT.server(sends(b"data: {half\n\n", "text/event-stream")) as server:
        stream = create(CHAT, make_client(CHAT, server))
        with pytest.raises(ValueError, match="property name"):
            list(stream)
    assert (told.call.status, told.call.error_type) == ("error", "invalid_response")


def test_an_error_in_a_stream_has_its_type(told: Told, make_client: MakeClient) -> None:
    error = b'data: {"error": {"message": "m", "code": "server_error"}}\n\n'
    with CHAT.server(sends(error, "text/event-stream")) as server, pytest.raises(Exception, match="m"):
        list(create(CHAT, make_client(CHAT, server)))
    overloaded = b'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error", "message": "m"}}\n\n'
    with MESSAGES.server(sends(overloaded, "text/event-stream")) as server, pytest.raises(Exception, match="m"):
        list(create(MESSAGES, make_client(MESSAGES, server)))
    assert [(call.status, call.error_type) for call in told.called] == [("error", "provider_5xx")] * 2


def chat_helper(client: Any) -> Any:
    stream = getattr(client.chat.completions, "stream", None) or client.beta.chat.completions.stream  # older ones
    return stream(model=MODEL, messages=PROMPT, stream_options={"include_usage": True})


def responses_helper(client: Any) -> Any:
    return client.responses.stream(model=MODEL, input=PROMPT)


def messages_helper(client: Any) -> Any:
    return client.messages.stream(model=MODEL, messages=PROMPT, max_tokens=100)


HELPERS = [
    pytest.param(CHAT, chat_helper, "get_final_completion", id="chat"),
    pytest.param(RESPONSES, responses_helper, "get_final_response", id="responses"),
    pytest.param(MESSAGES, messages_helper, "get_final_message", id="messages"),
]


@pytest.mark.parametrize(("api", "helper", "get_final"), HELPERS)
@EACH_KIND
async def test_a_helper_that_returns_the_whole_answer_is_a_success(
    api: API,
    helper: Any,
    get_final: str,
    *,
    is_async: bool,
    told: Told,
    make_client: MakeClient,
) -> None:
    with api.server(says(TEXT, usage=Usage(100, 20))) as server:
        client = make_client(api, server, is_async=is_async)
        if is_async:
            async with helper(client) as stream:
                await getattr(stream, get_final)()
        else:
            with helper(client) as stream:
                getattr(stream, get_final)()
    assert (told.call.status, told.call.streamed) == ("success", True)
    assert (told.call.prompt_tokens, told.call.completion_tokens) == (100, 20)
    assert told.call.time_to_first_token is not None


@pytest.mark.parametrize(("api", "helper", "get_final"), HELPERS)
@EACH_KIND
async def test_a_helper_that_is_left_early_is_cancelled(
    api: API,
    helper: Any,
    get_final: str,
    *,
    is_async: bool,
    told: Told,
    make_client: MakeClient,
) -> None:
    with api.server(says(TEXT, stall_after=6)) as server:
        client = make_client(api, server, is_async=is_async)
        if is_async:
            async with helper(client) as stream:
                await anext(stream)
        else:
            with helper(client) as stream:
                next(stream)
        assert told.call.status == "cancelled"


def test_the_first_token_is_the_first_with_content(told: Told, make_client: MakeClient) -> None:
    """The first chunk of a chat has a role, and no content."""
    with CHAT.server(says("one two", pause=0.05)) as server:
        list(create(CHAT, make_client(CHAT, server)))
    assert told.call.time_to_first_token is not None
    assert told.call.time_to_first_token >= 0.09


def test_a_stream_is_of_the_agent_that_opened_it(told: Told, make_client: MakeClient) -> None:
    with CHAT.server(says(TEXT, usage=Usage(100, 20))) as server, agent_finished.captured() as finished:
        client = make_client(CHAT, server)
        with agent_run(agent_name="copywriter", task="slogan"):
            list(create(CHAT, client))
    assert told.call.agent_name == "copywriter"
    assert (finished[0].llm_calls, finished[0].prompt_tokens, finished[0].completion_tokens) == (1, 100, 20)


# Raw responses


@EACH_API
@EACH_KIND
async def test_a_raw_response_ends_its_call_as_any_other(
    api: API, is_async: bool, told: Told, make_client: MakeClient
) -> None:
    method = api.method.replace(".create", ".with_raw_response.create")
    with api.server(says(TEXT, usage=Usage(100, 20))) as server:
        client = make_client(api, server, is_async=is_async)
        response = await ask(api, client, method=method)
        assert told.call.status == "success"
        assert (await awaited(response.parse())).model == MODEL
        assert isinstance(response, type(await ask(api, api.client(server, is_async=is_async), method=method)))
    assert (told.call.prompt_tokens, told.call.finish_reason) == (100, "stop")


@EACH_API
@EACH_KIND
@pytest.mark.usefixtures("no_garbage")
async def test_a_stream_outlives_the_raw_response_that_it_is_parsed_of(
    api: API, is_async: bool, told: Told, make_client: MakeClient
) -> None:
    method = api.method.replace(".create", ".with_raw_response.create")
    with api.server(says(TEXT, usage=Usage(100, 20))) as server:
        client = make_client(api, server, is_async=is_async)

        async def parse() -> Any:
            response = await ask(api, client, method=method, stream=True, **api.of_stream)
            parsed = await awaited(response.parse())
            assert await awaited(response.parse()) is parsed
            return parsed

        stream = await parse()
        assert not told.called
        await read(stream)
    assert (told.call.status, told.call.prompt_tokens, told.call.streamed) == ("success", 100, True)


@EACH_API
@EACH_KIND
async def test_a_raw_stream_that_nobody_parses_is_cancelled_when_it_is_dropped(
    api: API,
    is_async: bool,
    told: Told,
    make_client: MakeClient,
) -> None:
    method = api.method.replace(".create", ".with_raw_response.create")
    with api.server(says(TEXT)) as server:
        await ask(api, make_client(api, server, is_async=is_async), method=method, stream=True)
        gc.collect()
        assert told.call.status == "cancelled"


@EACH_API
@EACH_KIND
async def test_a_streaming_response_is_read_as_it_comes(
    api: API, is_async: bool, told: Told, make_client: MakeClient
) -> None:
    method = api.method.replace(".create", ".with_streaming_response.create")
    with api.server(says(TEXT, usage=Usage(100, 20))) as server:
        client = make_client(api, server, is_async=is_async)
        opened = manager(api, client, method)
        if is_async:
            async with opened as response:
                assert not told.called
                assert (await response.parse()).model == MODEL
        else:
            with opened as response:
                assert not told.called
                assert response.parse().model == MODEL
    assert (told.call.status, told.call.prompt_tokens, told.call.finish_reason) == ("success", 100, "stop")


@EACH_API
@EACH_KIND
async def test_a_stream_of_a_streaming_response_is_told_as_any_other(
    api: API, is_async: bool, told: Told, make_client: MakeClient
) -> None:
    method = api.method.replace(".create", ".with_streaming_response.create")
    with api.server(says(TEXT, usage=Usage(100, 20))) as server:
        client = make_client(api, server, is_async=is_async)
        opened = manager(api, client, method, stream=True, **api.of_stream)
        if is_async:
            async with opened as response:
                await read(await response.parse())
        else:
            with opened as response:
                await read(response.parse())
    assert (told.call.status, told.call.prompt_tokens) == ("success", 100)
    assert told.call.time_to_first_token is not None


@EACH_KIND
async def test_the_tokens_in_lines_that_are_read_are_unknown(
    is_async: bool, told: Told, make_client: MakeClient
) -> None:
    method = "chat.completions.with_streaming_response.create"
    with CHAT.server(says(TEXT)) as server:
        client = make_client(CHAT, server, is_async=is_async)
        opened = manager(CHAT, client, method, stream=True, **CHAT.of_stream)
        if is_async:
            async with opened as response:
                async for _ in response.iter_lines():
                    pass
        else:
            with opened as response:
                for _ in response.iter_lines():
                    pass
    assert (told.call.status, told.call.usage_source) == ("success", "none")


@EACH_API
@EACH_KIND
async def test_a_stream_whose_body_is_read_in_place_of_its_chunks_is_a_success(
    api: API, is_async: bool, told: Told, make_client: MakeClient
) -> None:
    with api.server(says(TEXT)) as server:
        stream: Any = create(api, make_client(api, server, is_async=is_async))
        if is_async:
            stream = await stream
            body = await stream.response.aread()
        else:
            body = stream.response.read()
    assert b"six" in body
    assert (told.call.status, told.call.error_type, told.call.usage_source) == ("success", None, "none")


@EACH_KIND
async def test_lines_that_are_left_are_cancelled(is_async: bool, told: Told, make_client: MakeClient) -> None:
    method = "chat.completions.with_streaming_response.create"
    with CHAT.server(says(TEXT, stall_after=3)) as server:
        client = make_client(CHAT, server, is_async=is_async)
        opened = manager(CHAT, client, method, stream=True)
        if is_async:
            async with opened as response:
                async for _ in response.iter_lines():
                    break
        else:
            with opened as response:
                for _ in response.iter_lines():
                    break
    assert told.call.status == "cancelled"


def manager(api: API, client: Any, method: str, **more: Any) -> Any:
    for part in method.split("."):
        client = getattr(client, part)
    return client(model=MODEL, **api.arguments, **more)
