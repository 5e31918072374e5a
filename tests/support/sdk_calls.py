"""The openai and anthropic SDKs, plain and asynchronous, asked in one way::

    with CHAT.server(says("Hello")) as server:
        client = CHAT.client(server, is_async=True)
        await ask(CHAT, client, streamed=True)

The SDKs take seconds to import, so that is left to whoever makes a client.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from inspect import isawaitable
from operator import attrgetter
from types import MappingProxyType
from typing import Any

from tests.support.openai_server import OpenAIServer
from tests.support.provider_servers import AnthropicServer
from tests.support.responses_server import ResponsesServer

MODEL = "gpt-4o-mini"
PROMPT = [{"role": "user", "content": "Say something."}]
TOOLS_OF = MappingProxyType(
    {
        "chat.completions.create": [
            {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
        ],
        "responses.create": [{"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": False}],
        "messages.create": [{"name": "look", "input_schema": {"type": "object"}}],
    }
)


@dataclass(frozen=True, kw_only=True)
class API:
    """An API of a provider, as its SDK calls it."""

    name: str
    sdk: str
    server: Callable[..., OpenAIServer]
    method: str
    """The method of a client that is called."""
    arguments: Mapping[str, Any]
    of_stream: Mapping[str, Any] = field(default_factory=dict)
    """What asks for the usage of a stream."""

    def client(self, server: Any, *, is_async: bool = False, **options: Any) -> Any:
        """Return a client that asks a server; it does not retry unless ``max_retries`` says so."""
        options = {"api_key": "none", "base_url": self.address(server), "max_retries": 0, **options}
        if self.sdk == "openai":
            import openai  # here, as they take seconds

            return openai.AsyncOpenAI(**options) if is_async else openai.OpenAI(**options)
        import anthropic  # the same

        return anthropic.AsyncAnthropic(**options) if is_async else anthropic.Anthropic(**options)

    def http_library(self, client: Any) -> Any:
        """Return the HTTP library of the SDK, which is httpx2, or httpx of an older release."""
        package = next(each.__module__ for each in type(client._client).__mro__ if each.__name__ == "Client")
        return import_module(package.partition(".")[0])

    def address(self, server: Any) -> str:
        """Return the URL of a server as a client takes it."""
        return str(server.base_url if self.sdk == "openai" else server.address)


CHAT = API(
    name="chat",
    sdk="openai",
    server=OpenAIServer,
    method="chat.completions.create",
    arguments={"messages": PROMPT},
    of_stream={"stream_options": {"include_usage": True}},
)
RESPONSES = API(
    name="responses", sdk="openai", server=ResponsesServer, method="responses.create", arguments={"input": PROMPT}
)
MESSAGES = API(
    name="messages",
    sdk="anthropic",
    server=AnthropicServer,
    method="messages.create",
    arguments={"messages": PROMPT, "max_tokens": 100},
)
APIS = (CHAT, RESPONSES, MESSAGES)


async def ask(
    api: API, client: Any, *, streamed: bool = False, leave_after: int | None = None, method: str = "", **more: Any
) -> Any:
    """Call the API by a client of either kind, and read what it streams, or so many chunks of it; return the result."""
    if streamed:
        more = {"stream": True, **api.of_stream, **more}
    result = attrgetter(method or api.method)(client)(**{"model": MODEL, **api.arguments, **more})
    if isawaitable(result):
        result = await result
    return await read(result, leave_after) if streamed else result


async def read(stream: Any, leave_after: int | None = None) -> int:
    """Read a stream of either kind, or so many chunks of it; return how many were read."""
    count, own = 0, stream
    while hasattr(own, "__wrapped__"):  # proxies that tracers put around it are iterators of both kinds
        own = own.__wrapped__
    if hasattr(own, "__aiter__"):
        async for _ in stream:
            count += 1
            if count == leave_after:
                break
    else:
        for _ in stream:
            count += 1
            if count == leave_after:
                break
    return count
