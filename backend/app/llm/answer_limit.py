"""The limit of a model's answer: what is longer is not read to its end, and the call fails.

An SDK would retry a request whose body cannot be read, and so would the studio. So the body ends where the limit is,
and whoever made the call learns of it from the call's `AnswerSize`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Any

import httpx2
from pydantic_ai.exceptions import UnexpectedModelBehavior
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings

from events import limit_reached

COMPRESSION = 100
"""How many times as long as it is sent a compressed answer may be; servers are asked for none."""


class AnswerTooLong(UnexpectedModelBehavior):
    """A model's answer has more bytes than it may have."""


class AnswerSize:
    """The size of the answer to one call so far: of its body where we have the HTTP client, and of its text."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.exceeded = False
        self._text = 0

    def add(self, event: Any) -> None:
        """Add the text of a streamed event, or of a part of an answer.

        Raises:
            AnswerTooLong: The text is too long by now.
        """
        part = getattr(event, "part", None) or getattr(event, "delta", event)
        for name in ("content", "args", "content_delta", "args_delta"):
            value = getattr(part, name, None)
            if isinstance(value, str):
                self._text += len(value)
        self.exceeded = self.exceeded or self._text > self.limit
        self.check()

    def check(self) -> None:
        """Raise `AnswerTooLong` if the limit is exceeded."""
        if self.exceeded:
            raise AnswerTooLong(f"the answer has more than {self.limit} bytes")


current_answer: ContextVar[AnswerSize | None] = ContextVar("current_answer", default=None)
"""The answer to the call that is under way."""


class LimitedModel(WrapperModel):
    """A model each of whose answers may have so many bytes, as its server sends it."""

    def __init__(self, wrapped: Model, limit: int) -> None:
        super().__init__(wrapped)
        self._limit = limit

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Make the request.

        Raises:
            AnswerTooLong: The answer is too long.
        """
        size = AnswerSize(self._limit)
        token = current_answer.set(size)
        try:
            response = await self.wrapped.request(messages, model_settings, model_request_parameters)
            for part in response.parts:  # an answer that was not streamed, by a client that is not ours
                size.add(part)
            return response
        except Exception as error:
            if not size.exceeded:
                raise
            limit_reached.emit(limit="answer")
            raise AnswerTooLong(f"the answer has more than {self._limit} bytes") from error
        finally:
            current_answer.reset(token)


def limit_answers(client: httpx2.AsyncClient) -> None:
    """End the bodies of a client's responses where the limit of the call under way is."""
    client.headers["Accept-Encoding"] = "identity"
    client.event_hooks["response"].append(_limit_response)


async def _limit_response(response: httpx2.Response) -> None:
    size = current_answer.get()
    if size is not None:
        assert isinstance(response.stream, httpx2.AsyncByteStream)  # noqa: S101 - an asynchronous client's
        is_compressed = response.headers.get("content-encoding", "identity") != "identity"
        response.stream = _LimitedStream(response.stream, size, size.limit // (COMPRESSION if is_compressed else 1))


class _LimitedStream(httpx2.AsyncByteStream):
    """The body of a response, as far as its limit."""

    def __init__(self, stream: httpx2.AsyncByteStream, size: AnswerSize, limit: int) -> None:
        self._stream = stream
        self._size = size
        self._limit = limit

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)  # httpx2 keeps the time that a response took there

    async def __aiter__(self) -> AsyncIterator[bytes]:
        received = 0
        async for chunk in self._stream:
            received += len(chunk)
            if received > self._limit:
                self._size.exceeded = True
                return
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
