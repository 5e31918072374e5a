"""LiteLLM's chat completions, asked for in a plain and in an asynchronous program."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Literal

Mode = Literal["sync", "async"]
MODES: tuple[Mode, ...] = ("sync", "async")


def run(mode: Mode, sync: Callable[..., Any], asynchronous: Callable[..., Any], **options: Any) -> Any:
    """Return the result of one of two functions."""
    return sync(**options) if mode == "sync" else asyncio.run(asynchronous(**options))


def ask(mode: Mode, litellm: Any, **options: Any) -> Any:
    """Return a chat completion, of a model or of one of a Router's groups."""
    return run(mode, litellm.completion, litellm.acompletion, **{**DEFAULTS, **options})


def read(mode: Mode, litellm: Any, chunks: int | None = None, **options: Any) -> list[str]:
    """Return the contents of the chunks of a stream, all or the first of them; then the reader leaves the loop."""
    contents: list[str] = []

    def add(chunk: Any) -> bool:
        contents.append((chunk.choices[0].delta.content or "") if chunk.choices else "")
        return len(contents) == chunks

    def read_sync(**options: Any) -> None:
        for chunk in litellm.completion(**options):
            if add(chunk):
                break

    async def read_async(**options: Any) -> None:
        async for chunk in await litellm.acompletion(**options):
            if add(chunk):
                break

    run(mode, read_sync, read_async, **{**DEFAULTS, "stream": True, **options})
    return contents


DEFAULTS: dict[str, Any] = {
    "model": "openai/gpt-4o-mini",
    "messages": [{"role": "user", "content": "Hello?"}],
    "api_key": "none",
    "max_retries": 0,
}
