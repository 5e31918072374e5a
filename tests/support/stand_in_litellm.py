"""A module that stands in for LiteLLM, which takes seconds to import: its parts are made alike."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

USAGE = SimpleNamespace(prompt_tokens=30, completion_tokens=5)


def choice(**delta: Any) -> SimpleNamespace:
    finish = delta.pop("finish_reason", None)
    return SimpleNamespace(delta=SimpleNamespace(**delta), finish_reason=finish)


def answer(**more: Any) -> SimpleNamespace:
    choices = [SimpleNamespace(finish_reason="stop")]
    return SimpleNamespace(model="m-1", choices=choices, usage=USAGE, _hidden_params={"response_cost": 0.5}, **more)


class Stream:
    """As LiteLLM's: what it received is in ``chunks``, and it gives its reader more than that."""

    def __init__(self, *received: Any, breaks: BaseException | None = None) -> None:
        self.model, self.custom_llm_provider, self.logging_obj = "m", "openai", None
        self.chunks: list[Any] = []
        self._received, self._breaks = list(received), breaks

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        if not self._received:
            if self._breaks is not None:
                raise self._breaks
            self.close()
            raise StopIteration
        self.chunks.append(self._received.pop(0))
        return self.chunks[-1]

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        try:
            return next(self)
        except StopIteration:
            raise StopAsyncIteration from None

    def close(self) -> None:
        self._received = []

    async def aclose(self) -> None:
        self._received = []


def words(*, breaks: BaseException | None = None) -> Stream:
    last = SimpleNamespace(model="m-1", choices=[choice(finish_reason="stop")], usage=USAGE)
    contents = [SimpleNamespace(model="m-1", choices=[choice(content=word)]) for word in ("", "One ", "two.")]
    return Stream(*contents, *([] if breaks else [last]), breaks=breaks)


class Library(ModuleType):
    """A module whose functions do what a test says."""

    def __init__(self) -> None:
        super().__init__("litellm")
        self.does: Callable[..., Any] = lambda **options: answer()
        self.provider_list = ["openai", "anthropic"]

        self.ModelResponse = self.Usage = SimpleNamespace
        self.completion_cost = lambda answer, **options: answer.usage.prompt_tokens / 100

        def completion(*args: Any, **options: Any) -> Any:
            return self.does(**options)

        async def acompletion(*args: Any, **options: Any) -> Any:
            result = self.does(**options)
            return await result if asyncio.iscoroutine(result) else result

        library = self

        class Router:
            def completion(self, model: str, **options: Any) -> Any:
                for name in ("openai/a", "anthropic/b"):
                    try:
                        return library.completion(model=name, **options)
                    except ValueError as failure:
                        error = failure
                raise error

        self.completion, self.acompletion, self.Router = completion, acompletion, Router
