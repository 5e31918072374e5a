"""A stand-in for a model that is not installed."""

from __future__ import annotations

from typing import Any, NoReturn

from pydantic_ai.messages import ModelResponse
from pydantic_ai.models import Model

from .model_errors import ModelUnavailable


class UnavailableModel(Model):
    """A model whose calls and checks raise `ModelUnavailable`, so that the studio starts without its model."""

    def __init__(self, name: str, reason: ModelUnavailable) -> None:
        super().__init__()
        self._name = name
        self._reason = reason

    @property
    def model_name(self) -> str:
        """The name of the model that is not installed."""
        return self._name

    @property
    def system(self) -> str:
        """The provider's name."""
        return "embedded"

    async def request(self, *_args: Any, **_kwargs: Any) -> ModelResponse:
        """Raise ModelUnavailable."""
        await self.raise_unavailable()

    async def raise_unavailable(self) -> NoReturn:
        """Raise ModelUnavailable."""
        raise ModelUnavailable(str(self._reason))
