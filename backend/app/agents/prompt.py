"""What an agent is told: brief, look-ups and earlier steps, put into a prompt that fits the model's window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from .registry import AgentSpec
from .schemas import Assignment

DEFAULT_WINDOW = 4096  # tokens; what Ollama takes when nobody says otherwise, and it drops the front of longer prompts
MAX_WINDOW = 16_384
RESERVED_TOKENS = 512  # tokens for the answer, a second try and what the chat format adds
MAX_NAME_BYTES = 60  # bytes of a name in the closing sentence
NAME_PLACEHOLDERS = {"brand": "this brand", "product": "product", "audience": "everybody"}


class Prompt(NamedTuple):
    """A prompt, and how many bytes of its material were left out of it."""

    text: str
    dropped: int


def room(window: int | None) -> int:
    """Say how many bytes instructions and prompt may have together.

    No tokenizer is asked: those of today's models make a token of a byte at worst, so what fits as bytes fits.
    """
    return min(window or DEFAULT_WINDOW, MAX_WINDOW) - RESERVED_TOKENS


def compose(spec: AgentSpec, assignment: Assignment, found: Mapping[str, str], window: int | None) -> Prompt:
    """Write the prompt of one execution: a line each, the longest ones shortened where it must be."""
    lines = [
        ("Brand", assignment.brand),
        ("About the brand", found.get("brand_facts", "")),
        ("Product", assignment.product),
        ("Features", ", ".join(assignment.features)),
        ("Audience", assignment.audience),
        ("Written before", found.get("earlier_copy", "")),
        *((step.replace("_", " ").capitalize(), text) for step, text in assignment.earlier),
    ]
    told = [(label, cleaned) for label, text in lines if (cleaned := one_line(text))]
    names = {
        name: cut(one_line(getattr(assignment, name)), MAX_NAME_BYTES) or unnamed
        for name, unnamed in NAME_PLACEHOLDERS.items()
    }
    task, form = f"Task: {assignment.task}\n", f"\n{spec.form.format(**names)}"
    fixed = size(spec.instructions) + size(task) + size(form) + sum(size(f"{label}: \n") for label, _ in told)
    texts = shortened([text for _, text in told], room(window) - fixed)
    dropped = sum(size(text) for _, text in told) - sum(map(size, texts))
    lines_kept = "".join(f"{label}: {text}\n" for (label, _), text in zip(told, texts, strict=True))
    return Prompt(task + lines_kept + form, dropped)


def one_line(text: str) -> str:
    """Put a text on one line; what is no text in UTF-8 (a lone surrogate) becomes a question mark."""
    return " ".join(text.encode("utf-8", "replace").decode().split())


def size(text: str) -> int:
    """Count the bytes of a text as it is sent."""
    return len(text.encode())


def shortened(texts: Sequence[str], limit: int) -> list[str]:
    """Cut the longest texts, all to one length, so that their bytes together are within the limit."""
    left, longest = max(limit, 0), 0
    sizes = sorted(size(text) for text in texts)
    for place, length in enumerate(sizes):
        longest = left // (len(sizes) - place)
        if length > longest:
            break
        left -= length
    else:
        return list(texts)
    return [cut(text, longest) for text in texts]


def cut(text: str, longest: int) -> str:
    """Keep so many bytes of a text, and no part of a character."""
    return text.encode()[:longest].decode("utf-8", "ignore")
