"""A scripted model server that knows each answer that it sent, and whether the studio's process has read it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import count
from random import Random

from tests.support.in_process_studio import matching_reply
from tests.support.openai_server import ChatRequest, OpenAIServer, Reply, Usage, stalls

PRICES = (0.15e-6, 0.6e-6)  # USD a token of gpt-4o-mini, read and written: https://openai.com/api/pricing


@dataclass
class Answer:
    """One answer. Its prompt tokens are its number too: no two answers have as many.

    Attributes:
        usage: The usage that it has.
        is_sent: Whether it was sent whole.
        is_read: Whether the client's process has read all of it. A kernel that closes a socket with unread data resets
            the connection instead of ending it (RFC 1122, 4.2.2.13).
    """

    usage: Usage
    is_sent: bool = False
    is_read: bool = False


def _nothing(_answer: Answer) -> None:
    pass


@dataclass
class Hooks:
    """Functions that are called in the server's thread at moments of each answer."""

    asked: Callable[[Answer], None] = field(default=_nothing)
    sent: Callable[[Answer], None] = field(default=_nothing)


class AccountingModelServer(OpenAIServer):
    """The server. It answers in the form that is asked for, streamed, after ``delay`` seconds.

    Attributes:
        answers: All answers, by their numbers.
        hooks: What is called when a request has come, and when its answer is sent whole.
        is_away: Whether connections are dropped instead of answered.
        is_stalling: Whether requests are taken and not answered.
    """

    def __init__(self, rng: Random, delay: float = 0.1) -> None:
        super().__init__(self._behave)
        self.answers: dict[int, Answer] = {}
        self.hooks = Hooks()
        self.delay = delay
        self.is_away = False
        self.is_stalling = False
        self._rng = rng
        self._prompts = count(1000)
        self._by_request: dict[int, Answer] = {}

    @property
    def sent(self) -> dict[int, Answer]:
        """The answers that were sent whole."""
        return {number: answer for number, answer in self.answers.items() if answer.is_sent}

    def _behave(self, request: ChatRequest) -> Reply:
        usage = Usage(prompt=next(self._prompts), completion=self._rng.randint(5, 60))
        answer = self.answers[usage.prompt] = self._by_request[id(request)] = Answer(usage)
        self.hooks.asked(answer)
        if self.is_stalling:
            return replace(stalls(), usage=usage)
        delay = self.delay * self._rng.uniform(0.5, 1.5)
        return replace(matching_reply(request), usage=usage, delay=delay, pause=delay / 20)

    async def _serve_request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_away:
            writer.transport.abort()
        else:
            await super()._serve_request(reader, writer)

    async def _send(
        self,
        reply: Reply,
        request: ChatRequest,
        number: int,
        writer: asyncio.StreamWriter,
        finishing: asyncio.Event,
    ) -> None:
        await super()._send(reply, request, number, writer, finishing)
        if reply.usage is not None:
            answer = self.answers[reply.usage.prompt]
            answer.is_sent = True
            self.hooks.sent(answer)

    async def _reply_to(self, request: ChatRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await super()._reply_to(request, reader, writer)
        answer = self._by_request.pop(id(request))
        if answer.is_sent:
            writer.write_eof()
            with suppress(ConnectionError):
                await reader.read()
                answer.is_read = True
