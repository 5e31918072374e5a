"""The agents as pydantic-ai runs them."""

from __future__ import annotations

from functools import lru_cache
from time import perf_counter
from typing import Any

from pydantic_ai import Agent, ModelRetry
from pydantic_ai.models import Model
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.wrapper import WrapperModel

from events import guardrail_checked

from .agent_definitions import AGENTS
from .tools import ToolContext, as_pydantic_tool

OUTPUT_RETRIES = 2  # second and third attempts at an answer that does not fit


@lru_cache
def build_agent(name: str, with_tools: bool) -> Agent[ToolContext, Any]:
    """Return the pydantic-ai agent of a name, with its tools if the model can call them."""
    spec = AGENTS[name]
    agent: Agent[ToolContext, Any] = Agent(
        name=name,
        instructions=spec.instructions,
        output_type=spec.output_type or str,
        deps_type=ToolContext,
        tools=[as_pydantic_tool(tool) for tool in spec.tools] if with_tools else [],
        retries=OUTPUT_RETRIES,
    )

    @agent.output_validator
    async def is_not_empty(output: Any) -> Any:
        if isinstance(output, str) and is_empty(output):
            raise ModelRetry("The answer is empty. Answer with a text.")
        return output

    return agent


def is_empty(text: str) -> bool:
    """Return whether nothing is left of an answer; emit `guardrail_checked`, since such an answer is not let pass."""
    began = perf_counter()
    empty = not clean_answer(text)
    guardrail_checked.emit(
        guardrail="answer_is_not_empty",
        kind="output",
        outcome="triggered" if empty else "passed",
        duration=perf_counter() - began,
    )
    return empty


def clean_answer(text: str, *, cut_off: bool = False) -> str:
    """Return a model's answer without surrounding space and quotation marks, and without its unfinished sentence.

    Args:
        text: The answer.
        cut_off: Whether the model was stopped by its token limit.
    """
    text = text.strip()
    if cut_off:
        text = text[: max(text.rfind(mark) for mark in ".!?") + 1] or text
    return text[1:-1].strip() if len(text) > 1 and text[0] == text[-1] == '"' and text.count('"') == 2 else text


def supports_tools(model: Model) -> bool:
    """Return whether a model can call tools; a chain of models can if all of them can, since it has no own profile."""
    inner = model
    while isinstance(inner, WrapperModel):
        inner = inner.wrapped
    members = inner.models if isinstance(inner, FallbackModel) else [model]
    return all(member.profile.get("supports_tools", True) for member in members)
