"""The time limit of model calls."""

from __future__ import annotations

import asyncio

from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings, merge_model_settings


class TimeoutModel(WrapperModel):
    """A model whose calls end within a time limit and are not retried by the provider's SDK; `RetryingModel` retries.

    pydantic-ai enforces the limit of a model that stands alone. In a chain it would ask the innermost model for its
    limit, which has none; there it is enforced here (``in_chain``).
    """

    def __init__(self, wrapped: Model, limit: float, *, in_chain: bool = False) -> None:
        super().__init__(wrapped)
        self._limit = limit if in_chain else None
        # `timeout` is the transport's, between two bytes; `request_timeout` is pydantic-ai's, for the whole call. A
        # setting that a provider does not support is left out, because it would warn at every call.
        wanted = ModelSettings(timeout=limit, request_timeout=limit, max_retries=0)
        unsupported: frozenset[str] = getattr(wrapped, "unsupported_settings", frozenset())
        self._limits = ModelSettings(**{name: value for name, value in wanted.items() if name not in unsupported})  # type: ignore[typeddict-item]  # its own keys

    @property
    def settings(self) -> ModelSettings | None:
        """The wrapped model's settings, with the limits."""
        return merge_model_settings(self.wrapped.settings, self._limits)

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Make the call within the limits."""
        limited = merge_model_settings(self._limits, model_settings)
        async with asyncio.timeout(self._limit):
            return await self.wrapped.request(messages, limited, model_request_parameters)
