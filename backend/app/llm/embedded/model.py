"""The embedded model as pydantic-ai asks it."""

from __future__ import annotations

import asyncio

from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.profiles.openai import OpenAIJsonSchemaTransformer
from pydantic_ai.settings import ModelSettings, merge_model_settings

from events.bridges.pydantic_ai import instrument

from ..streaming import request_streamed
from .chat_model import LlamaModel
from .remote import RemoteEmbeddedServer
from .server import CONTEXT_WINDOW, EmbeddedServer

EMBEDDED_PROFILE = ModelProfile(
    supports_tools=False,  # when a tool call was asked for, it wrote one 0 times of 4
    supports_inline_system_prompts=True,
    supports_json_schema_output=True,
    default_structured_output_mode="native",  # llama.cpp lets it write nothing that does not fit the schema
    json_schema_transformer=OpenAIJsonSchemaTransformer,  # no further keys, no titles
    context_window=CONTEXT_WINDOW,
)

# The model tends to repeat what it has read or written. llama.cpp's DRY sampler makes it less likely to repeat a
# sequence of more than `dry_allowed_length` tokens; a brand's or product's name is shorter, and has to be repeated.
TEXT_SETTINGS = ModelSettings(
    stop_sequences=["\n\n"],
    frequency_penalty=0.3,
    extra_body={"dry_multiplier": 0.8, "dry_allowed_length": 6, "dry_penalty_last_n": 512},
)


class EmbeddedModel(WrapperModel):
    """The embedded model: restarted when its process has died, and stopped when its answer is no longer awaited.

    llama.cpp notices that a client has disconnected when it writes to it. So the answer is always streamed: otherwise
    a cancelled call would go on for as long as its answer is long.
    """

    def __init__(self, wrapped: LlamaModel, server: EmbeddedServer | RemoteEmbeddedServer) -> None:
        super().__init__(wrapped)
        self._streaming = instrument(wrapped)  # emits each attempt, with the time to its first token
        self._server = server

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Stream the answer and return it as a whole."""
        if not await asyncio.to_thread(self._server.is_alive):
            await asyncio.to_thread(self._server.ensure_alive)
        if model_request_parameters.output_mode == "text":
            model_settings = merge_model_settings(TEXT_SETTINGS, model_settings)
        return await request_streamed(self._streaming, messages, model_settings, model_request_parameters)
