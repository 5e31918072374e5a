"""A loopback server that speaks OpenAI's Chat Completions format and does what a test tells it to.

>>> with OpenAIServer([says("Hello"), fails(429, retry_after=1), says("Hello again")]) as server:  # doctest: +SKIP
...     provider = OpenAIProvider(base_url=server.base_url, api_key="none")

Bodies are in the documented format: https://platform.openai.com/docs/api-reference/chat (object, streaming, errors).
The server runs on a thread of its own, so it serves other processes too, and keeps a tally of what it did.
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

from tests.support.wait import until


@dataclass(frozen=True)
class Usage:
    """What an answer costs; cached tokens are part of the prompt, reasoning tokens part of the completion."""

    prompt: int = 11
    completion: int = 7
    cached: int = 0
    reasoning: int = 0
    cache_write: int = 0
    tool_prompt: int = 0
    """What tools of the provider's own put into the prompt; part of it."""

    def as_json(self) -> dict[str, Any]:
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
            "prompt_tokens_details": {"cached_tokens": self.cached, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": self.reasoning, "audio_tokens": 0},
        }


@dataclass(frozen=True)
class Answer:
    """What the server does with one request; made by `says`, `calls`, `fails`, `sends` and `stalls`."""

    text: str = ""
    tool_calls: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    usage: Usage | None = field(default_factory=Usage)
    finish: str | None = None
    """Why it ends, in the provider's word; None where nothing is special."""
    model: str | None = None
    """The model that served; the one that was asked where None."""
    delay: float = 0.0
    """Seconds before the first byte."""
    once: Event | None = None
    """Nothing is sent before this is set."""
    pause: float = 0.0
    """Seconds before each chunk of a stream."""
    break_after: int | None = None
    """Chunks of a stream, or bytes of a plain body, after which the connection is dropped."""
    stall_after: int | None = None
    """Chunks of a stream after which nothing more comes; 0 stalls a plain answer too."""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    """Sent as it is, instead of all the above."""


def says(text: str = "A fine answer to a fine question.", **details: Any) -> Answer:
    """Answer with a text."""
    return Answer(text=text, **details)


def calls(name: str, arguments: Mapping[str, Any], **details: Any) -> Answer:
    """Answer with one call of a tool: also how a typed output arrives."""
    return Answer(tool_calls=((name, arguments),), **details)


def fails(status: int, message: str = "told to fail", *, retry_after: float | None = None, **error: Any) -> Answer:
    """Refuse with an error object (https://platform.openai.com/docs/guides/error-codes)."""
    body = {"error": {"message": message, "type": "server_error", "param": None, "code": None, **error}}
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Answer(status=status, usage=None, headers=headers, body=json.dumps(body).encode())


def sends(body: bytes, content_type: str = "application/json", status: int = 200) -> Answer:
    """Answer with these bytes, sense or not."""
    return Answer(status=status, usage=None, headers={"Content-Type": content_type}, body=body)


def stalls() -> Answer:
    """Never answer: wait until the client goes away."""
    return Answer(usage=None, stall_after=0)


@dataclass(frozen=True)
class Asked:
    """One request as it came in."""

    model: str
    messages: list[dict[str, Any]]
    stream: bool
    body: dict[str, Any]
    headers: dict[str, str]


Behaviour = Answer | Sequence[Answer] | Callable[[Asked], Answer]


@dataclass
class Tally:
    """What the server did, to compare with what others say it did."""

    requests: int = 0
    streams: int = 0
    completed: int = 0
    """Answers of status 200 in this server's own words that were sent whole."""
    disconnects: int = 0
    """Clients that went away before they had their answer."""
    statuses: dict[int, int] = field(default_factory=dict)
    prompt_tokens: int = 0
    """As sent to clients: in whole answers, and in streams that ask for usage."""
    completion_tokens: int = 0
    bills: list[tuple[str, Usage]] = field(default_factory=list)
    """The same, answer by answer, each with the model that it was asked of."""


class OpenAIServer:
    """The server: a ``with`` block runs it on a free port.

    ``behaviour`` is one answer for every request, answers one after the other (the last one stays), or a function of
    the request. It may be set anew at any time.
    """

    def __init__(self, behaviour: Behaviour | None = None, models: Sequence[str] = ("gpt-4o-mini",)) -> None:
        self.behaviour = says() if behaviour is None else behaviour
        self.models = tuple(models)
        self.tally = Tally()
        self.asked: list[Asked] = []
        self.base_url = ""
        self._numbers = count(1)
        self._ready = Event()

    @property
    def behaviour(self) -> Behaviour:
        """What it does."""
        return self._behaviour

    @behaviour.setter
    def behaviour(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        if isinstance(behaviour, Answer):
            self._choose: Callable[[Asked], Answer] = lambda _: behaviour
        elif callable(behaviour):
            self._choose = behaviour
        else:
            answers = in_turn(behaviour)
            self._choose = lambda _: next(answers)

    def __enter__(self) -> Self:
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
        self._busy: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in self._busy:
            task.cancel()
        await asyncio.gather(*self._busy, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._converse(reader, writer))
        self._busy.add(task)
        task.add_done_callback(self._busy.discard)

    def read(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> Asked | None:
        """Read a request; None for a path that is not served."""
        if path != "/v1/chat/completions":
            return None
        return Asked(body["model"], body["messages"], bool(body.get("stream")), body, headers)

    def tells_usage(self, asked: Asked) -> bool:
        """Tell whether an answer carries its usage: a stream only when it was asked for."""
        return not asked.stream or bool((asked.body.get("stream_options") or {}).get("include_usage"))

    def whole(self, answer: Answer, number: int) -> dict[str, Any]:
        """Make the body of a plain answer."""
        return completion(answer, number)

    def frames(self, answer: Answer, number: int, *, usage: bool) -> Iterator[str]:
        """Make the server-sent events of a streamed answer."""
        return (f"data: {chunk}\n\n" for chunk in chunks(answer, number, usage=usage))

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one request of a connection; the connection ends with it."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            method, path, _ = head[0].split(" ")
            if (method, path) == ("GET", "/v1/models"):
                listed = [{"id": name, "object": "model", "created": 0, "owned_by": "tests"} for name in self.models]
                writer.write(response(200, json.dumps({"object": "list", "data": listed}).encode()))
            elif method == "POST" and (asked := self.read(path, json.loads(body), headers)) is not None:
                await self._complete(asked, reader, writer)
            else:
                writer.write(response(404, b'{"error": {"message": "no such path", "code": null}}'))
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client left; _complete has counted it where it had asked for something
        finally:
            writer.close()

    async def _complete(
        self,
        asked: Asked,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        answer = self._choose(asked)
        answer = replace(answer, model=answer.model or asked.model)
        self.asked.append(asked)
        self.tally.requests += 1
        self.tally.streams += asked.stream
        self.tally.statuses[answer.status] = self.tally.statuses.get(answer.status, 0) + 1
        number = next(self._numbers)
        ending = asyncio.Event()
        sending = asyncio.ensure_future(self._send(answer, asked, number, writer, ending))
        leaving = asyncio.ensure_future(reader.read(1))  # a client has nothing more to say: this ends when it leaves
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not (sending.done() or ending.is_set()):
                self.tally.disconnects += 1
        finally:
            sending.cancel()
            leaving.cancel()
            [outcome, _] = await asyncio.gather(sending, leaving, return_exceptions=True)
        if isinstance(outcome, ConnectionError):
            self.tally.disconnects += not ending.is_set()
        elif isinstance(outcome, Exception):
            raise outcome

    async def _send(
        self, answer: Answer, asked: Asked, number: int, writer: asyncio.StreamWriter, ending: asyncio.Event
    ) -> None:
        """Send an answer. It is tallied *before* its last piece, with which the client may go and look at the tally."""
        await asyncio.sleep(answer.delay)
        if answer.once is not None:
            await until(answer.once.is_set, within=300)
        if answer.stall_after == 0:
            await asyncio.Event().wait()
        if answer.body is not None:
            ending.set()
            writer.write(response(answer.status, answer.body, answer.headers))
            await writer.drain()
            return
        usage = answer.usage if self.tells_usage(asked) else None

        def end() -> None:
            ending.set()
            if answer.break_after is None:
                self.tally.completed += 1
                if usage is not None:
                    self.tally.prompt_tokens += usage.prompt
                    self.tally.completion_tokens += usage.completion
                    self.tally.bills.append((asked.model, usage))

        if asked.stream:
            await self._stream(list(self.frames(answer, number, usage=usage is not None)), answer, writer, end)
        else:
            whole = response(answer.status, json.dumps(self.whole(answer, number)).encode(), answer.headers)
            end()
            writer.write(whole if answer.break_after is None else whole[: answer.break_after])
            await writer.drain()

    async def _stream(
        self, events: Sequence[str], answer: Answer, writer: asyncio.StreamWriter, end: Callable[[], None]
    ) -> None:
        headers = {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked", **answer.headers}
        writer.write(response(answer.status, None, headers))
        for number, event in enumerate(events):
            await writer.drain()
            if number == answer.break_after:
                writer.transport.abort()
                return
            if number == answer.stall_after:
                await asyncio.Event().wait()
            await asyncio.sleep(answer.pause)
            if number == len(events) - 1:
                end()
            data = event.encode()
            writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        writer.write(b"0\r\n\r\n")
        await writer.drain()


def in_turn(answers: Sequence[Answer]) -> Iterator[Answer]:
    """Give each answer once and the last one for ever."""
    yield from answers
    while True:
        yield answers[-1]


def response(status: int, body: bytes | None, headers: Mapping[str, str] | None = None) -> bytes:
    """Put an HTTP/1.1 response together; without a body, its head alone."""
    lines = {"Content-Type": "application/json", "Connection": "close", **(headers or {})}
    if body is not None:
        lines["Content-Length"] = str(len(body))
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status} Told\r\n{head}\r\n".encode() + (body or b"")


def completion(answer: Answer, number: int) -> dict[str, Any]:
    """Make a chat completion object."""
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or None, "refusal": None}
    if answer.tool_calls:
        message["tool_calls"] = tool_calls(answer, number)
    made: dict[str, Any] = {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": answer.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason(answer)}],
    }
    if answer.usage is not None:
        made["usage"] = answer.usage.as_json()
    return made


def chunks(answer: Answer, number: int, *, usage: bool) -> Iterator[str]:
    """Make the events of a stream: the role, each word, the end, the usage where it was asked for."""

    def chunk(choices: list[dict[str, Any]], **more: Any) -> str:
        made = {"id": f"chatcmpl-{number}", "object": "chat.completion.chunk", "created": 1_700_000_000}
        return json.dumps({**made, "model": answer.model, "choices": choices, **more})

    def delta(said: dict[str, Any], finish: str | None = None) -> str:
        more = {"usage": None} if usage else {}
        return chunk([{"index": 0, "delta": said, "logprobs": None, "finish_reason": finish}], **more)

    yield delta({"role": "assistant", "content": "", "refusal": None})
    for word in re.findall(r"\s*\S+|\s+$", answer.text):
        yield delta({"content": word})
    for position, call in enumerate(tool_calls(answer, number)):
        yield delta({"tool_calls": [{"index": position, **call}]})
    yield delta({}, finish_reason(answer))
    if usage and answer.usage is not None:
        yield chunk([], usage=answer.usage.as_json())
    yield "[DONE]"


def tool_calls(answer: Answer, number: int) -> list[dict[str, Any]]:
    """Make the tool calls of an answer."""
    return [
        {"id": f"call_{number}_{place}", "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
        for place, (name, given) in enumerate(answer.tool_calls)
    ]


def finish_reason(answer: Answer) -> str:
    """Say why an answer ends."""
    return answer.finish or ("tool_calls" if answer.tool_calls else "stop")
