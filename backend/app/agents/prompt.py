"""The prompt of an agent: brief, lookups and earlier steps, shortened to fit the model's context window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from .agent_definitions import AgentSpec
from .schemas import Assignment

DEFAULT_WINDOW = 4096  # tokens; Ollama's default, and it drops the front of longer prompts
MAX_WINDOW = 16_384  # tokens
RESERVED_TOKENS = 512  # for the answer, a second attempt and what the chat format adds
MAX_NAME_BYTES = 60  # of a name in the closing sentence
NAME_PLACEHOLDERS = {"brand": "this brand", "product": "product", "audience": "everybody"}


class Prompt(NamedTuple):
    """The text of a prompt, and how many bytes of its material were left out."""

    text: str
    dropped: int


def max_prompt_bytes(window: int | None) -> int:
    """Return how many bytes instructions and prompt may have together, for a context window in tokens.

    A token holds one byte at worst in the tokenizers of today's models. So what fits as bytes fits as tokens, and no
    tokenizer is needed.
    """
    return min(window or DEFAULT_WINDOW, MAX_WINDOW) - RESERVED_TOKENS


def compose(spec: AgentSpec, assignment: Assignment, lookups: Mapping[str, str], window: int | None) -> Prompt:
    """Return the prompt of an agent, one line for each piece of material, the longest ones shortened to fit.

    Args:
        spec: The agent.
        assignment: Its task.
        lookups: The results of its tools, by the tools' names.
        window: The model's context window in tokens; None when it is not known.
    """
    material = [
        ("Brand", assignment.brand),
        ("About the brand", lookups.get("brand_facts", "")),
        ("Product", assignment.product),
        ("Features", ", ".join(assignment.features)),
        ("Audience", assignment.audience),
        ("Written before", lookups.get("earlier_copy", "")),
        *((step.replace("_", " ").capitalize(), text) for step, text in assignment.earlier),
    ]
    lines = [(title, cleaned) for title, text in material if (cleaned := single_line(text))]
    names = {
        name: truncate_bytes(single_line(getattr(assignment, name)), MAX_NAME_BYTES) or placeholder
        for name, placeholder in NAME_PLACEHOLDERS.items()
    }
    task, closing = f"Task: {assignment.task}\n", f"\n{spec.closing.format(**names)}"
    fixed = sum(map(byte_size, (spec.instructions, task, closing, *(f"{title}: \n" for title, _ in lines))))
    texts = shorten_longest([text for _, text in lines], max_prompt_bytes(window) - fixed)
    dropped = sum(byte_size(text) for _, text in lines) - sum(map(byte_size, texts))
    body = "".join(f"{title}: {text}\n" for (title, _), text in zip(lines, texts, strict=True))
    return Prompt(task + body + closing, dropped)


def single_line(text: str) -> str:
    """Return a text on one line; what UTF-8 cannot encode (a lone surrogate) becomes a question mark."""
    return " ".join(text.encode("utf-8", "replace").decode().split())


def byte_size(text: str) -> int:
    """Return the size of a text in bytes, as it is sent."""
    return len(text.encode())


def shorten_longest(texts: Sequence[str], limit: int) -> list[str]:
    """Return the texts, the longest ones truncated to one length, so that they have ``limit`` bytes at most."""
    left, longest = max(limit, 0), 0
    sizes = sorted(byte_size(text) for text in texts)
    for index, size in enumerate(sizes):
        longest = left // (len(sizes) - index)
        if size > longest:
            break
        left -= size
    else:
        return list(texts)
    return [truncate_bytes(text, longest) for text in texts]


def truncate_bytes(text: str, limit: int) -> str:
    """Return the first ``limit`` bytes of a text, without the last character if it is not whole."""
    return text.encode()[:limit].decode("utf-8", "ignore")
