"""A loopback server with OpenAI's Chat Completions API, which sends the replies that a test sets::

    with OpenAIServer([says("Hello"), fails(429, retry_after=1), says("Hello again")]) as server:
        provider = OpenAIProvider(base_url=server.base_url, api_key="none")

Bodies are in the documented format: https://platform.openai.com/docs/api-reference/chat (object, streaming, errors).
The server runs on a thread of its own, so it serves other processes too, and counts what it sent.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self

from tests.support.connections import Connections
from tests.support.wait import until


@dataclass(frozen=True)
class Usage:
    """The tokens of one reply; cached tokens are part of the prompt, reasoning tokens part of the completion."""

    prompt: int = 11
    completion: int = 7
    cached: int = 0
    reasoning: int = 0
    cache_write: int = 0
    tool_prompt: int = 0
    """Tokens that the provider's own tools put into the prompt; part of it."""

    def as_json(self) -> dict[str, Any]:
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
            "prompt_tokens_details": {"cached_tokens": self.cached, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": self.reasoning, "audio_tokens": 0},
        }


@dataclass(frozen=True)
class Reply:
    """How the server responds to one request; made by `says`, `calls_tool`, `fails`, `sends` and `stalls`."""

    text: str = ""
    tool_calls: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    usage: Usage | None = field(default_factory=Usage)
    finish: str | None = None
    """The finish reason, in the provider's word; None for the usual one."""
    model: str | None = None
    """The model that the reply names; the requested one where None."""
    delay: float = 0.0
    """Seconds before the first byte."""
    wait_for: Event | None = None
    """Nothing is sent before this event is set."""
    pause: float = 0.0
    """Seconds before each chunk of a stream."""
    break_after: int | None = None
    """Chunks of a stream, or bytes of a plain body, after which the connection is dropped."""
    stall_after: int | None = None
    """Chunks of a stream after which nothing more is sent; 0 stalls a plain reply too."""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    """Sent as it is, in place of a body made of all the above."""
    completion: Mapping[str, Any] | None = None
    """A completion object that is sent in place of one made of all the above, in a stream as its chunks."""


def says(text: str = "A fine answer to a fine question.", **details: Any) -> Reply:
    """Return a reply with a text."""
    return Reply(text=text, **details)


def calls_tool(name: str, arguments: Mapping[str, Any], **details: Any) -> Reply:
    """Return a reply with one tool call, which is also how a typed output arrives."""
    return Reply(tool_calls=((name, arguments),), **details)


def fails(status: int, message: str = "scripted failure", *, retry_after: float | None = None, **error: Any) -> Reply:
    """Return a reply with an error object (https://platform.openai.com/docs/guides/error-codes)."""
    body = {"error": {"message": message, "type": "server_error", "param": None, "code": None, **error}}
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Reply(status=status, usage=None, headers=headers, body=json.dumps(body).encode())


def sends(body: bytes, content_type: str = "application/json", status: int = 200) -> Reply:
    """Return a reply with these bytes as its body, valid or not."""
    return Reply(status=status, usage=None, headers={"Content-Type": content_type}, body=body)


def sends_completion(body: Mapping[str, Any]) -> Reply:
    """Return a reply with this completion object, in a stream as the chunks that it would come in."""
    return Reply(usage=None, completion=body)


def stalls() -> Reply:
    """Return a reply that is never sent: the server waits until the client disconnects."""
    return Reply(usage=None, stall_after=0)


@dataclass(frozen=True)
class ChatRequest:
    """One request as the server received it."""

    model: str
    messages: list[dict[str, Any]]
    stream: bool
    body: dict[str, Any]
    headers: dict[str, str]


Behaviour = Reply | Sequence[Reply] | Callable[[ChatRequest], Reply]


@dataclass
class Tally:
    """Counts of what the server did, to compare metrics with."""

    requests: int = 0
    streams: int = 0
    completed: int = 0
    """Replies of status 200, other than those of `sends`, that were sent completely."""
    disconnects: int = 0
    """Clients that disconnected before they had the whole reply."""
    statuses: dict[int, int] = field(default_factory=dict)
    prompt_tokens: int = 0
    """As sent to clients: in complete replies, and in streams whose request asks for usage."""
    completion_tokens: int = 0
    usages: list[tuple[str, Usage]] = field(default_factory=list)
    """The same, reply by reply, each with the model that was requested."""


class OpenAIServer:
    """The server: a ``with`` block runs it on a free port.

    ``behaviour`` is one reply for every request, a sequence of replies (the last one is repeated), or a function of the
    request. It may be set again at any time.
    """

    def __init__(self, behaviour: Behaviour | None = None, models: Sequence[str] = ("gpt-4o-mini",)) -> None:
        self.behaviour = says() if behaviour is None else behaviour
        self.models = tuple(models)
        self.tally = Tally()
        self.requests: list[ChatRequest] = []
        self.base_url = ""
        self._numbers = count(1)
        self._ready = Event()

    @property
    def behaviour(self) -> Behaviour:
        """How the server responds."""
        return self._behaviour

    @behaviour.setter
    def behaviour(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        if isinstance(behaviour, Reply):
            self._next_reply: Callable[[ChatRequest], Reply] = lambda _: behaviour
        elif callable(behaviour):
            self._next_reply = behaviour
        else:
            replies = in_turn(behaviour)
            self._next_reply = lambda _: next(replies)

    def __enter__(self) -> Self:
        self._ready.clear()  # it may be started again
        self._thread = Thread(target=lambda: asyncio.run(self._serve()), name="openai_server", daemon=True)
        self._thread.start()
        assert self._ready.wait(10), "the server did not start"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive(), "the server did not stop"

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        connections = Connections(self._serve_request)
        server = await asyncio.start_server(connections, "127.0.0.1", 0)
        self.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        self._ready.set()
        await self._stop.wait()
        await connections.close(server)

    def parse_request(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> ChatRequest | None:
        """Return the request in a path and a body; None for a path that is not served."""
        if path != "/v1/chat/completions":
            return None
        return ChatRequest(body["model"], body["messages"], bool(body.get("stream")), body, headers)

    def read_body(self, body: bytes) -> dict[str, Any]:
        """Return the body of a request."""
        parsed: dict[str, Any] = json.loads(body)
        return parsed

    def includes_usage(self, request: ChatRequest) -> bool:
        """Return whether the reply has its usage in it: a stream only where the request asks for it."""
        return not request.stream or bool((request.body.get("stream_options") or {}).get("include_usage"))

    def response_body(self, reply: Reply, number: int) -> dict[str, Any]:
        """Return the body of a plain reply."""
        return completion(reply, number)

    def stream_events(self, reply: Reply, number: int, *, usage: bool) -> Iterator[str]:
        """Yield the server-sent events of a streamed reply."""
        return (f"data: {chunk}\n\n" for chunk in chunks(reply, number, usage=usage))

    async def _serve_request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve the one request of a connection."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            method, path, _ = head[0].split(" ")
            if (method, path) == ("GET", "/v1/models"):
                models = [{"id": name, "object": "model", "created": 0, "owned_by": "tests"} for name in self.models]
                writer.write(response(200, json.dumps({"object": "list", "data": models}).encode()))
            elif method == "POST" and (request := self.parse_request(path, self.read_body(body), headers)) is not None:
                await self._reply_to(request, reader, writer)
            else:
                writer.write(response(404, b'{"error": {"message": "no such path", "code": null}}'))
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client disconnected; _reply_to has counted it where it had sent a request

    async def _reply_to(
        self,
        request: ChatRequest,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        reply = self._next_reply(request)
        reply = replace(reply, model=reply.model or request.model)
        self.requests.append(request)
        self.tally.requests += 1
        self.tally.streams += request.stream
        self.tally.statuses[reply.status] = self.tally.statuses.get(reply.status, 0) + 1
        number = next(self._numbers)
        finishing = asyncio.Event()
        sending = asyncio.ensure_future(self._send(reply, request, number, writer, finishing))
        client_leaves = asyncio.ensure_future(reader.read(1))  # returns when it disconnects: it sends nothing more
        try:
            await asyncio.wait({sending, client_leaves}, return_when=asyncio.FIRST_COMPLETED)
            if not (sending.done() or finishing.is_set()):
                self.tally.disconnects += 1
        finally:
            sending.cancel()
            client_leaves.cancel()
            [outcome, _] = await asyncio.gather(sending, client_leaves, return_exceptions=True)
        if isinstance(outcome, ConnectionError):
            self.tally.disconnects += not finishing.is_set()
        elif isinstance(outcome, Exception):
            raise outcome

    async def _send(
        self, reply: Reply, request: ChatRequest, number: int, writer: asyncio.StreamWriter, finishing: asyncio.Event
    ) -> None:
        """Send a reply. It is counted *before* its last piece: with that the client may read the tally."""
        await asyncio.sleep(reply.delay)
        if reply.wait_for is not None:
            await until(reply.wait_for.is_set, within=300)
        if reply.stall_after == 0:
            await asyncio.Event().wait()
        if reply.body is not None:
            finishing.set()
            writer.write(response(reply.status, reply.body, reply.headers))
            await writer.drain()
            return
        usage = reply.usage if self.includes_usage(request) else None

        def finish() -> None:
            finishing.set()
            if reply.break_after is None:
                self.tally.completed += 1
                if usage is not None:
                    self.tally.prompt_tokens += usage.prompt
                    self.tally.completion_tokens += usage.completion
                    self.tally.usages.append((request.model, usage))

        if request.stream:
            included = usage is not None or (reply.completion is not None and self.includes_usage(request))
            await self._stream(list(self.stream_events(reply, number, usage=included)), reply, writer, finish)
        else:
            whole = response(reply.status, json.dumps(self.response_body(reply, number)).encode(), reply.headers)
            finish()
            writer.write(whole if reply.break_after is None else whole[: reply.break_after])
            await writer.drain()

    async def _stream(
        self, events: Sequence[str], reply: Reply, writer: asyncio.StreamWriter, finish: Callable[[], None]
    ) -> None:
        headers = {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked", **reply.headers}
        writer.write(response(reply.status, None, headers))
        for number, event in enumerate(events):
            await writer.drain()
            if number == reply.break_after:
                writer.transport.abort()
                return
            if number == reply.stall_after:
                await asyncio.Event().wait()
            await asyncio.sleep(reply.pause)
            if number == len(events) - 1:
                finish()
            data = event.encode()
            writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        writer.write(b"0\r\n\r\n")
        await writer.drain()


def in_turn(replies: Sequence[Reply]) -> Iterator[Reply]:
    """Yield each reply once, then the last one for ever."""
    yield from replies
    while True:
        yield replies[-1]


def response(status: int, body: bytes | None, headers: Mapping[str, str] | None = None) -> bytes:
    """Return the bytes of an HTTP/1.1 response; without a body, of its head alone."""
    lines = {"Content-Type": "application/json", "Connection": "close", **(headers or {})}
    if body is not None:
        lines["Content-Length"] = str(len(body))
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status} Scripted\r\n{head}\r\n".encode() + (body or b"")


def completion(reply: Reply, number: int) -> dict[str, Any]:
    """Return a chat completion object."""
    if reply.completion is not None:
        return {**reply.completion}
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or None, "refusal": None}
    if reply.tool_calls:
        message["tool_calls"] = tool_calls(reply, number)
    body: dict[str, Any] = {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": reply.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason(reply)}],
    }
    if reply.usage is not None:
        body["usage"] = reply.usage.as_json()
    return body


def chunks(reply: Reply, number: int, *, usage: bool) -> Iterator[str]:
    """Yield the events of a stream: the role, each word, the end, and the usage if it is to be included."""

    def chunk(choices: list[dict[str, Any]], **more: Any) -> str:
        body = {"id": f"chatcmpl-{number}", "object": "chat.completion.chunk", "created": 1_700_000_000}
        names = {"model": (reply.completion or {}).get("model", reply.model)}
        return json.dumps({**body, **names, "choices": choices, **more})

    def delta(content: dict[str, Any], finish: str | None = None) -> str:
        more = {"usage": None} if usage else {}
        return chunk([{"index": 0, "delta": content, "logprobs": None, "finish_reason": finish}], **more)

    yield delta({"role": "assistant", "content": "", "refusal": None})
    if reply.completion is not None:
        [choice] = reply.completion["choices"]
        if choice["message"].get("content"):
            yield delta({"content": choice["message"]["content"]})
        for position, call in enumerate(choice["message"].get("tool_calls", ())):
            yield delta({"tool_calls": [{"index": position, **call}]})
        yield delta({}, choice["finish_reason"])
        if usage and "usage" in reply.completion:
            yield chunk([], usage=reply.completion["usage"])
        yield "[DONE]"
        return
    for word in re.findall(r"\s*\S+|\s+$", reply.text):
        yield delta({"content": word})
    for position, call in enumerate(tool_calls(reply, number)):
        yield delta({"tool_calls": [{"index": position, **call}]})
    yield delta({}, finish_reason(reply))
    if usage and reply.usage is not None:
        yield chunk([], usage=reply.usage.as_json())
    yield "[DONE]"


def tool_calls(reply: Reply, number: int) -> list[dict[str, Any]]:
    """Return the tool calls of a reply."""
    return [
        {
            "id": f"call_{number}_{place}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(arguments)},
        }
        for place, (name, arguments) in enumerate(reply.tool_calls)
    ]


def finish_reason(reply: Reply) -> str:
    """Return the finish reason of a reply."""
    return reply.finish or ("tool_calls" if reply.tool_calls else "stop")
