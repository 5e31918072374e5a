"""A small SDK, made as those of OpenAI and Anthropic are, on real HTTP clients; it imports in no time.

What the bridges reach of the SDKs is the same here: `tests/events/bridges/sdk_clients/test_platforms.py` holds that the
real ones have it. A test sets what is answered::

    client = SmallClient([answers(ANSWER)])
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import httpx

ANSWER = {
    "model": "m-1",
    "choices": [{"finish_reason": "stop"}],
    "usage": {"prompt_tokens": 100, "completion_tokens": 20},
}
CHUNKS = (
    {"model": "m-1", "choices": [{"delta": {"content": "Hello"}}]},
    {"choices": [{"delta": {}, "finish_reason": "stop"}]},
    {"choices": [], "usage": ANSWER["usage"]},
)

Reply = Callable[[httpx.Request], httpx.Response]


def answers(body: Any, status: int = 200, **headers: str) -> Reply:
    """Return a reply with a JSON body."""
    return lambda _: httpx.Response(status, stream=Body([json.dumps(body).encode()]), headers=headers)


def streams(*chunks: Any, error: Exception | None = None) -> Reply:
    """Return a reply with chunks, which then breaks off with an error."""
    return lambda _: httpx.Response(
        200, stream=Body([f"data: {json.dumps(chunk)}\n".encode() for chunk in chunks], error)
    )


def raises(error: Exception) -> Reply:
    """Return a reply that does not come."""

    def fail(_: httpx.Request) -> httpx.Response:
        raise error

    return fail


class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that comes in pieces."""

    def __init__(self, pieces: Sequence[bytes], error: Exception | None = None) -> None:
        self.pieces, self.error = pieces, error

    def __iter__(self) -> Iterator[bytes]:
        yield from self.pieces
        if self.error is not None:
            raise self.error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece
        if self.error is not None:
            raise self.error


class APIStatusError(Exception):
    """As in the SDKs."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(f"Error code: {response.status_code}")
        self.status_code, self.body = response.status_code, response.json().get("error")


@dataclass
class Options:
    """The options of a request."""

    url: str = "/chat/completions"
    method: str = "post"
    json_data: Any = None
    extra_json: Any = None
    raw: Literal["", "parsed later", "streamed"] = ""
    parse: Callable[[Any], Any] = lambda body: body


class Stream:
    """A stream of chunks."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._iterator = self.__stream__()

    def __iter__(self) -> Iterator[Any]:
        yield from self._iterator

    def __next__(self) -> Any:
        return next(self._iterator)

    def __stream__(self) -> Iterator[Any]:
        try:
            for line in self.response.iter_lines():
                yield json.loads(line.removeprefix("data: "))
        finally:
            self.response.close()

    def close(self) -> None:
        self.response.close()


class AsyncStream:
    """The same of an asynchronous client."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._iterator = self.__stream__()

    async def __aiter__(self) -> AsyncIterator[Any]:
        async for chunk in self._iterator:
            yield chunk

    async def __anext__(self) -> Any:
        return await anext(self._iterator)

    async def __stream__(self) -> AsyncIterator[Any]:
        try:
            async for line in self.response.aiter_lines():
                yield json.loads(line.removeprefix("data: "))
        finally:
            await self.response.aclose()

    async def close(self) -> None:
        await self.response.aclose()


class RawResponse:
    """A response that its reader parses."""

    def __init__(self, response: httpx.Response, stream: type[Any] | None) -> None:
        self.http_response, self._stream, self._parsed = response, stream, None

    @property
    def http_request(self) -> httpx.Request:
        return self.http_response.request

    def parse(self) -> Any:
        if self._parsed is None:
            self._parsed = self._stream(self.http_response) if self._stream else json.loads(self.http_response.read())
        return self._parsed


class AsyncRawResponse(RawResponse):
    """The same of an asynchronous client."""

    async def parse(self) -> Any:
        return super().parse()


class SmallClient:
    """A client, which is answered in turn."""

    __module__ = "openai.small"
    base_url = "https://api.openai.com/v1/"

    def __init__(self, replies: Sequence[Reply], max_retries: int = 0) -> None:
        self.max_retries = max_retries
        self._rest = iter(replies)
        self._client: Any = self._http_client(httpx.MockTransport(self._reply))

    def _reply(self, request: httpx.Request) -> httpx.Response:
        return next(self._rest)(request)

    def _http_client(self, transport: httpx.MockTransport) -> Any:
        return httpx.Client(transport=transport)

    def request(self, cast_to: Any, options: Options, *, stream: bool = False) -> Any:
        for left in reversed(range(self.max_retries + 1)):
            try:
                response = self._client.send(self._build(options), stream=stream or options.raw == "streamed")
            except httpx.RequestError:
                if not left:
                    raise
                continue
            if response.status_code < 500 or not left:
                return self._result(response, options, Stream if stream else None, RawResponse)
        return None

    def _build(self, options: Options) -> Any:
        headers = {"x-stainless-lang": "python"}
        return self._client.build_request("POST", self.base_url, json=options.json_data, headers=headers)

    def _result(self, response: Any, options: Options, stream: Any, raw: Any) -> Any:
        if response.status_code >= 400:
            raise APIStatusError(response)
        if options.raw:
            return raw(response, stream)
        return stream(response) if stream else options.parse(response.json())

    def ask(self, *, stream: bool = False, **options: Any) -> Any:
        """Ask a model, as the SDKs' methods do."""
        return self.request(object, Options(json_data={"model": "m"}, **options), stream=stream)


class AsyncSmallClient(SmallClient):
    """The same, asynchronous."""

    def _http_client(self, transport: httpx.MockTransport) -> Any:
        return httpx.AsyncClient(transport=transport)

    async def request(self, cast_to: Any, options: Options, *, stream: bool = False) -> Any:
        for left in reversed(range(self.max_retries + 1)):
            response = await self._client.send(self._build(options), stream=stream or options.raw == "streamed")
            if response.status_code < 500 or not left:
                return self._result(response, options, AsyncStream if stream else None, AsyncRawResponse)
        return None
