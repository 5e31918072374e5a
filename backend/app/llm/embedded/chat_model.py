"""The chat endpoint of llama.cpp's server as a model of pydantic-ai, for text and schemas.

pydantic-ai's own model for such a server needs the SDK of OpenAI, whose import is a fifth of the studio's start.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx2
from pydantic_ai import RunContext
from pydantic_ai.exceptions import UnexpectedModelBehavior, UserError
from pydantic_ai.messages import (
    FinishReason,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    ModelResponseStreamEvent,
    SystemPromptPart,
    UserPromptPart,
)
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse, check_allow_model_requests
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RequestUsage

from .chat_errors import body_of, http_error, stream_error, transport_errors
from .remote import RemoteEmbeddedServer
from .server import EmbeddedServer

PARAMETERS = {
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "stop_sequences": "stop",
}
"""The settings that the server knows, and its names for them."""

FINISH_REASONS: dict[str, FinishReason] = {"stop": "stop", "length": "length"}

CONNECT_TIMEOUT = 5.0  # seconds


class LlamaModel(Model[httpx2.AsyncClient]):
    """The model of a llama.cpp server, at the address and with the key that the server has when it is asked."""

    unsupported_settings = frozenset({"extra_headers", "logit_bias", "parallel_tool_calls"})

    def __init__(
        self,
        name: str,
        server: EmbeddedServer | RemoteEmbeddedServer,
        client: httpx2.AsyncClient,
        profile: ModelProfile,
    ) -> None:
        super().__init__(profile=profile)
        self._name = name
        self._server = server
        self._client = client

    @property
    def model_name(self) -> str:
        """The name of the model."""
        return self._name

    @property
    def system(self) -> str:
        """The provider: ``embedded``."""
        return "embedded"

    @property
    def base_url(self) -> str:
        """The base URL of the server's OpenAI-compatible API."""
        return self._server.base_url

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Stream the answer and return it as a whole: the server stops a stream whose client has gone."""
        async with self.request_stream(messages, model_settings, model_request_parameters) as stream:
            async for _ in stream:
                pass
            return stream.get()

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,  # noqa: ARG002 - pydantic-ai's name
    ) -> AsyncGenerator[StreamedResponse]:
        """Yield the answer as it comes.

        Raises:
            ModelConnectionError: The server cannot be reached, or its connection broke.
            ModelHTTPError: It refuses the request, or is still loading.
            UserError: The request has files or tools in it.
        """
        check_allow_model_requests()
        settings, parameters = self.prepare_request(model_settings, model_request_parameters)
        settings = settings or {}
        limit: Any = settings.get("timeout")  # seconds
        request = self._client.build_request(
            "POST",
            f"{self.base_url}/chat/completions",
            headers={"Authorization": f"Bearer {self._server.key}"},
            json=self._body(messages, settings, parameters),
            timeout=httpx2.Timeout(limit, connect=CONNECT_TIMEOUT),
        )
        with transport_errors(self._name):
            response = await self._client.send(request, stream=True)
        try:
            if response.is_error:
                with transport_errors(self._name):
                    await response.aread()
                raise http_error(self._name, response.status_code, body_of(response.text))
            yield LlamaStream(parameters, response, self._name, self.base_url)
        finally:
            await response.aclose()

    def _body(
        self, messages: list[ModelMessage], settings: ModelSettings, parameters: ModelRequestParameters
    ) -> dict[str, Any]:
        if parameters.function_tools or parameters.output_tools:
            raise UserError(f"{self._name} calls no tools")
        given: Mapping[str, Any] = settings
        body = {name: given[key] for key, name in PARAMETERS.items() if given.get(key) is not None}
        body |= {"model": self._name, "messages": chat_messages(messages), "stream": True}
        body["stream_options"] = {"include_usage": True}
        if parameters.output_mode == "native" and (output := parameters.output_object) is not None:
            schema = {"name": output.name or "output", "schema": output.json_schema, "description": output.description}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        extra = given.get("extra_body")
        return body | dict(extra) if isinstance(extra, Mapping) else body


@dataclass
class LlamaStream(StreamedResponse):
    """The server-sent events of an answer."""

    _response: httpx2.Response
    _name: str
    _base_url: str
    _timestamp: datetime = field(default_factory=lambda: datetime.now(UTC))

    async def _get_event_iterator(self) -> AsyncIterator[ModelResponseStreamEvent]:
        with transport_errors(self._name):
            async for line in self._response.aiter_lines():
                if line.startswith("error:"):
                    raise stream_error(self._name, body_of(line.removeprefix("error:")))
                data = line.removeprefix("data:").strip()
                if data in {line, "[DONE]"}:
                    continue
                chunk = body_of(data)
                if not isinstance(chunk, dict):
                    raise UnexpectedModelBehavior(f"the answer of {self._name} cannot be read")
                if "error" in chunk:
                    raise stream_error(self._name, chunk["error"])
                for event in self._read_chunk(chunk):
                    yield event

    def _read_chunk(self, chunk: dict[str, Any]) -> Iterator[ModelResponseStreamEvent]:
        self.provider_response_id = chunk.get("id")
        if usage := chunk.get("usage"):
            cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
            self._usage = RequestUsage(
                input_tokens=usage["prompt_tokens"], output_tokens=usage["completion_tokens"], cache_read_tokens=cached
            )
        for choice in chunk.get("choices") or ():
            if reason := choice.get("finish_reason"):
                self.finish_reason = FINISH_REASONS.get(reason)
                self.provider_details = {"finish_reason": reason}
            if text := choice["delta"].get("content"):
                yield from self._parts_manager.handle_text_delta(vendor_part_id="content", content=text)

    async def close_stream(self) -> None:
        """Close the connection: the server stops writing."""
        await self._response.aclose()

    @property
    def model_name(self) -> str:
        """The name of the model."""
        return self._name

    @property
    def provider_name(self) -> str:
        """The provider: ``embedded``."""
        return "embedded"

    @property
    def provider_url(self) -> str:
        """The base URL of the server."""
        return self._base_url

    @property
    def timestamp(self) -> datetime:
        """When the answer began."""
        return self._timestamp


def chat_messages(messages: list[ModelMessage]) -> list[dict[str, str]]:
    """Return the messages of a conversation as the chat endpoint takes them, instructions after the system's prompts.

    Raises:
        UserError: One is no text.
    """
    chat = [*_parts_of(messages)]
    if isinstance(last := messages[-1], ModelRequest) and last.instructions:
        place = next((number for number, each in enumerate(chat) if each["role"] != "system"), len(chat))
        chat.insert(place, {"role": "system", "content": last.instructions})
    return chat


def _parts_of(messages: Iterable[ModelMessage]) -> Iterator[dict[str, str]]:
    for message in messages:
        if isinstance(message, ModelResponse):
            if message.text:
                yield {"role": "assistant", "content": message.text}
            continue
        for part in message.parts:
            if isinstance(part, SystemPromptPart):
                yield {"role": "system", "content": part.content}
            elif isinstance(part, UserPromptPart) and isinstance(part.content, str):
                yield {"role": "user", "content": part.content}
            else:
                raise UserError(f"the embedded model reads text alone, and not {type(part).__name__}")
