"""A model that counts the calls of one execution."""

from __future__ import annotations

from collections.abc import Callable

from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings

from app.llm_usage import LLMUsage

from .context import PromptContext


class CountingModel(WrapperModel):
    """A model that counts its calls in ``usage``, and has the context's events emitted after the first.

    pydantic-ai counts only the calls that were answered. ``on_call(True)`` is called before each call, and
    ``on_call(False)`` after it, answered or not.
    """

    def __init__(
        self, wrapped: Model, usage: LLMUsage, context: PromptContext, on_call: Callable[[bool], None] = lambda _: None
    ) -> None:
        super().__init__(wrapped)
        self._usage = usage
        self._context = context
        self._on_call = on_call

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Count the call and make it."""
        self._on_call(True)
        self._usage.llm_calls += 1
        try:
            response = await self.wrapped.request(messages, model_settings, model_request_parameters)
        except BaseException as error:
            self._context.emit_once(None, error)
            raise
        finally:
            self._on_call(False)
        self._context.emit_once(response.usage)
        return response
