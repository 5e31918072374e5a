"""A model with its checks and its resources: what `open_model` returns."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from time import monotonic

from pydantic_ai.models import Model

from events.bridges.pydantic_ai import PriceFunction, instrument

from .model_errors import ModelUnavailable
from .output_schema import matches_schema
from .prices import price
from .probe import Probe

CHECK_VALIDITY = 5.0  # seconds that the result of a check is reused: many clients ask /health, and often


class LLM:
    """An open model. Each call of ``model`` emits `llm_called`.

    Attributes:
        model: The pydantic-ai model.
        name: The name of the model that is asked first.
        names: That name and those of the models that it falls back on.
        resources: What `close` closes.
    """

    def __init__(
        self,
        model: Model,
        name: str,
        probe: Probe,
        resources: AsyncExitStack,
        names: Sequence[str],
        *,
        price: PriceFunction = price,
    ) -> None:
        self.model = instrument(model, price=price, is_valid_output=matches_schema)
        self.name = name
        self.names = tuple(dict.fromkeys(names))
        self.resources = resources
        self._probe = probe
        self._lock = asyncio.Lock()
        self._last_check: tuple[float, ModelUnavailable | None] | None = None

    async def check(self) -> None:
        """Check that one of the models can be reached, without using tokens; the result is reused for some seconds.

        Raises:
            ModelUnavailable: None can be reached; the message says why.
        """
        async with self._lock:
            if self._last_check is None or monotonic() - self._last_check[0] > CHECK_VALIDITY:
                failure = None
                try:
                    await self._probe()
                except ModelUnavailable as error:
                    failure = error
                self._last_check = monotonic(), failure
        if (failure := self._last_check[1]) is not None:
            raise ModelUnavailable(str(failure))

    async def close(self) -> None:
        """Close the model's connections, and end the process of the embedded model."""
        self._last_check = None
        await self.resources.aclose()
