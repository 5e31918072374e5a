"""What to say when there is no model to ask."""

from __future__ import annotations

from typing import Any, NoReturn

from pydantic_ai.messages import ModelResponse
from pydantic_ai.models import Model


class ModelUnavailable(ConnectionError):
    """The model cannot be asked; the message says in one line why, and what to do."""


class UnavailableModel(Model):
    """Stands in for a model that is missing, so that the studio starts and says what it lacks."""

    def __init__(self, name: str, reason: ModelUnavailable) -> None:
        super().__init__()
        self._name = name
        self._reason = reason

    @property
    def model_name(self) -> str:
        """The name of the model that is missing."""
        return self._name

    @property
    def system(self) -> str:
        """The provider's name."""
        return "embedded"

    async def request(self, *_args: Any, **_kwargs: Any) -> ModelResponse:
        """Say that it is missing."""
        await self.refuse()

    async def refuse(self) -> NoReturn:
        """Raise ModelUnavailable."""
        raise ModelUnavailable(str(self._reason))
