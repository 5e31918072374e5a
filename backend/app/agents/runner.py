"""The execution of an agent: run its tools, build the context, ask the model, account for the usage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from pydantic import BaseModel
from pydantic_ai.models import Model
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import UsageLimits

from app.llm_usage import LLMUsage
from events import ActiveSpan, agent_run, answer_evaluated, review_decided
from events.bridges.pydantic_ai import instrument

from .agent_definitions import AGENTS, SCORES, AgentSpec, Review
from .context import PromptContext, estimate_tokens
from .counting_model import CountingModel
from .error_messages import user_message
from .error_types import agent_error_type, is_timeout
from .prompt import byte_size, compose
from .pydantic_agents import build_agent, clean_answer, supports_tools
from .schemas import AgentFailed, AgentResult, AgentTimedOut, Assignment, Library
from .tools import ToolContext, run_tool

SEED = 7  # the same brief gives the same text, as far as the model can
REQUEST_LIMIT = 6  # calls of one execution: attempts at an answer that fits, and some for tools
LARGE_MODEL_MAX_TOKENS = 2000  # some larger models reason before they answer, and their reasoning counts


async def execute(
    agent_name: str,
    assignment: Assignment,
    *,
    model: Model,
    library: Library,
    usage: LLMUsage | None = None,
    window: int | None = None,
    on_call: Callable[[LLMUsage, bool], None] = lambda *_: None,
) -> AgentResult:
    """Run an agent on a task and return its answer.

    Args:
        agent_name: A key of `AGENTS`.
        assignment: The task.
        model: The model to ask.
        library: What the agent's tools read.
        usage: Is kept up to date, call by call, until the execution ends in any way, a cancellation included.
        window: The model's context window in tokens, where the caller knows better than the model itself.
        on_call: Is called with the usage so far and with whether a call of the model is under way: before each call,
            and when it has ended, before anything is awaited. A call under way is not in the usage.

    Raises:
        AgentFailed: The model or a tool failed; AgentTimedOut when time ran out.
    """
    spec, usage = AGENTS[agent_name], usage if usage is not None else LLMUsage()
    with agent_run(agent_name=agent_name, task=assignment.task) as run:
        context = ToolContext(library, assignment.brand)
        try:
            with account_usage(run, usage) as update:

                def tell(in_call: bool) -> None:
                    update()
                    on_call(usage, in_call)

                counting = partial(CountingModel, instrument(model), usage, on_call=tell)
                output = await _ask(spec, assignment, counting, context, window or model.context_window)
        except Exception as error:
            run.note(error=type(error).__name__, error_type=agent_error_type(error))
            message = user_message(error, model)
            if message is None:
                raise
            failure = AgentTimedOut if is_timeout(error) else AgentFailed
            raise failure(message, usage) from error
        if isinstance(output, Review):
            emit_review(output, spec, assignment.author, run.totals.get("cost"))
    if isinstance(output, BaseModel):
        data = output.model_dump(mode="json")
        return AgentResult(data, ", ".join(str(value) for value in data.values()), usage)
    return AgentResult({"text": output}, output, usage)


def emit_review(review: Review, reviewer: AgentSpec, author: str, cost: float | None) -> None:
    """Emit the verdict of a review, and the evaluation that it is of the author's answer."""
    review_decided.emit(verdict=review.verdict)
    answer_evaluated.emit(
        agent_name=author or "unknown",
        evaluator=reviewer.name,
        evaluator_version=reviewer.version,
        result="pass" if review.verdict == "approved" else "fail",
        score=SCORES[review.verdict],
        cost=cost,
    )


@contextmanager
def account_usage(run: ActiveSpan, usage: LLMUsage) -> Iterator[Callable[[], None]]:
    """Add the tokens and cost of an execution to ``usage``, however the block is left.

    They are the totals of the `llm_called` events inside the span. So a call that was cut off is counted too, and no
    value is implausible.

    Yields:
        A function that adds what there is so far.
    """
    before = replace(usage)

    def update() -> None:
        totals = run.totals
        usage.prompt_tokens = before.prompt_tokens + int(totals.get("prompt_tokens", 0))
        usage.completion_tokens = before.completion_tokens + int(totals.get("completion_tokens", 0))
        if "cost" in totals:
            usage.cost = (before.cost or 0.0) + totals["cost"]

    try:
        yield update
    finally:
        update()


async def _ask(
    spec: AgentSpec,
    assignment: Assignment,
    counting: Callable[[PromptContext], CountingModel],
    tool_context: ToolContext,
    window: int | None,
) -> str | BaseModel:
    """Run the tools, build the context and ask the model; an answer that does not fit is asked for again."""
    lookups = {name: await run_tool(name, tool_context) for name in spec.tools}
    prompt, dropped = compose(spec, assignment, lookups, window)
    sent = spec.instructions + prompt
    context = PromptContext(byte_size(sent), estimate_tokens(sent), dropped, window)
    model = counting(context)
    with_tools = supports_tools(model.wrapped)
    try:
        answer = await build_agent(spec.name, with_tools).run(
            prompt,
            model=model,
            deps=tool_context,
            model_settings=ModelSettings(
                max_tokens=LARGE_MODEL_MAX_TOKENS if with_tools else spec.max_tokens,
                temperature=spec.temperature,
                seed=SEED,
            ),
            usage_limits=UsageLimits(request_limit=REQUEST_LIMIT),
        )
    finally:
        context.emit_once(None)  # the context was built, even if no call was made
    output: str | BaseModel = answer.output
    if isinstance(output, str):
        return clean_answer(output, cut_off=answer.response.finish_reason == "length")
    return output
