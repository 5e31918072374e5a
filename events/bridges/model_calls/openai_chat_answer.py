"""The answer of Chat Completions, and of what is alike: completions, embeddings, images, transcriptions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ...bus.fields import ErrorType
from ...llm import FinishReason
from .finish_reasons import finish_reason_of
from .token_usage import TokenUsage, get, getter_of, openai_usage, with_items

REASONING_TEXTS = ("reasoning_content", "reasoning")
"""Of DeepSeek, vLLM and OpenRouter."""


class ChatAnswer:
    """The answer of a chat completion: its chunks have the tokens in the last one, if they were asked for."""

    model: str | None = None
    finish_reason: FinishReason | None = None
    error_type: ErrorType | None = None
    has_ended = False
    _usage: Any = None

    def add_whole(self, body: Any) -> None:
        """Add an answer that came as a whole: an object of the SDK, or a mapping."""
        look_up = getter_of(body)
        choices = look_up("choices") or ()
        self._add(look_up, map(getter_of, choices))
        self.has_ended = True
        if self.finish_reason is None and choices:
            self.finish_reason = "unknown"

    def add_chunk(self, chunk: Any) -> tuple[int, bool]:
        """Add a chunk of a stream; return how many characters of content it has, and whether that is reasoning."""
        look_up = getter_of(chunk)
        choices = [getter_of(choice) for choice in look_up("choices") or ()]
        self._add(look_up, choices)
        if str(look_up("type") or "").endswith(".done"):  # of a transcription, or an image that comes in parts
            self.has_ended = True
        text, reasoning = _length(look_up("delta")), 0  # of a transcription
        for choice in choices:
            text += _length(choice("text"))
            if (delta := choice("delta")) is not None:
                part = getter_of(delta)
                text += _length(part("content")) + _length(part("refusal"))
                reasoning += max(_length(part(name)) for name in REASONING_TEXTS)
                text += sum(_length_of_tool_call(call) for call in part("tool_calls") or ())
        return text or reasoning, not text and reasoning > 0

    def usage(self) -> TokenUsage:
        """Return the tokens that the provider has counted so far."""
        return openai_usage(self._usage)

    def raw_usage(self) -> Any:
        """Return the usage as the provider sent it; None where it sent none."""
        return self._usage

    def _add(self, look_up: Callable[[str], Any], choices: Iterable[Callable[[str], Any]]) -> None:
        self.model = look_up("model") or self.model
        if (usage := look_up("usage")) is not None:
            self._usage, self.has_ended = with_items(usage), True
        for choice in choices:
            if (reason := choice("finish_reason")) is not None:
                self.finish_reason, self.has_ended = finish_reason_of(reason), True
                if self.finish_reason == "error":
                    self.error_type = "other"


def _length_of_tool_call(call: Any) -> int:
    function = get(call, "function")
    return _length(get(function, "name")) + _length(get(function, "arguments"))


def _length(text: Any) -> int:
    return len(text) if isinstance(text, str) else 0
