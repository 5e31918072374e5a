"""An agent's execution: tools are used, the context is built, the model is asked, the cost is kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from pydantic import BaseModel
from pydantic_ai import Agent, ModelRetry
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import UsageLimits

from events import ActiveSpan, agent_run, review_decided
from events.bridges.pydantic_ai import instrument

from . import tools
from .context import Context, estimate
from .error_messages import reason
from .error_types import cause, timed_out
from .phase_timer import PhaseTimer
from .prompt import compose, size
from .registry import AGENTS, AgentSpec, Review
from .schemas import AgentFailed, AgentTimedOut, Assignment, Execution, Library, Spent

SEED = 7  # the same brief gives the same text, as far as the model can
RETRIES = 2  # second and third tries at an answer that does not fit
REQUESTS = 6  # calls of one execution: those tries, and some for tools
THINKING = 2000  # tokens a larger model may write: some think before they answer, and their thoughts count


async def execute(
    agent_name: str,
    assignment: Assignment,
    *,
    model: Model,
    library: Library,
    usage: Spent | None = None,
    window: int | None = None,
) -> Execution:
    """Let an agent do its task.

    ``usage`` is kept up to date however this is left, by a cancellation too. ``window`` is how many tokens the model
    takes, where that is known better here than by the model itself.

    Raises:
        AgentFailed: model or tool failed; AgentTimedOut when time ran out.
    """
    spec, spent = AGENTS[agent_name], usage if usage is not None else Spent()
    with agent_run(agent_name=agent_name, task=assignment.task) as run:
        desk = tools.ToolContext(library, assignment.brand)
        try:
            with charged(run, spent, desk.phases):
                output = await ask(spec, assignment, model, desk, spent, window or model.context_window)
        except Exception as error:
            run.note(error=type(error).__name__, error_type=cause(error))
            said = reason(error, model.model_name)
            if said is None:
                raise
            failed = AgentTimedOut if timed_out(error) else AgentFailed
            raise failed(said, **vars(spent)) from error
        if isinstance(output, Review):
            review_decided.emit(verdict=output.verdict)
    if isinstance(output, BaseModel):
        data = output.model_dump(mode="json")
        return Execution(data, ", ".join(str(value) for value in data.values()), **vars(spent))
    return Execution({"text": output}, output, **vars(spent))


@contextmanager
def charged(run: ActiveSpan, spent: Spent, phases: PhaseTimer) -> Iterator[None]:
    """Add up what an execution cost and what its time went to, however the block is left.

    What it cost is what its calls told: one that was cut off has cost something too, and no count is past all reason.
    A call of a model is waited for with its pauses between attempts; those are a phase of their own.
    """
    try:
        yield
    finally:
        told = run.totals
        spent.prompt_tokens += int(told.get("prompt_tokens", 0))
        spent.completion_tokens += int(told.get("completion_tokens", 0))
        if "cost" in told:
            spent.cost = (spent.cost or 0.0) + told["cost"]
        tool, backoff = phases.seconds("tool"), told.get("backoff_time", 0.0)
        llm = max(0.0, phases.seconds("llm") - backoff)
        own = max(0.0, run.elapsed - llm - backoff - tool)
        run.note(llm_time=llm, tool_time=tool, backoff_time=backoff, self_time=own)


async def ask(  # noqa: PLR0917 - its caller hands over all that it has
    spec: AgentSpec, assignment: Assignment, model: Model, desk: tools.ToolContext, spent: Spent, window: int | None
) -> str | BaseModel:
    """Look up, build the context, ask; an answer that does not fit is asked for again."""
    found = {name: await tools.use(name, desk) for name in spec.tools}
    prompt, dropped = compose(spec, assignment, found, window)
    sent = spec.instructions + prompt
    context = Context(size(sent), estimate(sent), dropped, window)
    calls_tools = all(one.profile.get("supports_tools", True) for one in members(model))
    try:
        answer = await made(spec.name, calls_tools).run(
            prompt,
            model=CountingModel(instrument(model), spent, desk.phases, context),
            deps=desk,
            model_settings=ModelSettings(
                max_tokens=THINKING if calls_tools else spec.max_tokens, temperature=spec.temperature, seed=SEED
            ),
            usage_limits=UsageLimits(request_limit=REQUESTS),
        )
    finally:
        context.answered(None)  # also where no call was made: it was built all the same
    output: str | BaseModel = answer.output
    if isinstance(output, str):
        return tidy(output, cut_off=answer.response.finish_reason == "length")
    return output


def members(model: Model) -> list[Model]:
    """Name the models of a chain, or the only one: a chain has no profile of its own."""
    inner = model
    while isinstance(inner, WrapperModel):
        inner = inner.wrapped
    return inner.models if isinstance(inner, FallbackModel) else [model]


@lru_cache
def made(name: str, calls_tools: bool) -> Agent[tools.ToolContext, Any]:
    """Make a pydantic-ai agent of a row of the roster, with its tools if the model can call them."""
    spec = AGENTS[name]
    agent: Agent[tools.ToolContext, Any] = Agent(
        name=name,
        instructions=spec.instructions,
        output_type=spec.output_type or str,
        deps_type=tools.ToolContext,
        tools=[tools.offered(tool) for tool in spec.tools] if calls_tools else [],
        retries=RETRIES,
    )

    @agent.output_validator
    def is_something(output: Any) -> Any:
        if isinstance(output, str) and not tidy(output):
            raise ModelRetry("The answer is empty. Answer with a text.")
        return output

    return agent


def tidy(text: str, *, cut_off: bool = False) -> str:
    """Take off what a model puts around its answer: space, quotation marks, and a sentence that it did not finish."""
    text = text.strip()
    if cut_off:
        text = text[: max(text.rfind(mark) for mark in ".!?") + 1] or text
    return text[1:-1].strip() if len(text) > 1 and text[0] == text[-1] == '"' and text.count('"') == 2 else text


class CountingModel(WrapperModel):
    """A model that counts its calls for one execution, times them, and sees what became of the context.

    pydantic-ai counts those calls alone that were answered.
    """

    def __init__(self, wrapped: Model, spent: Spent, phases: PhaseTimer, context: Context) -> None:
        super().__init__(wrapped)
        self._spent = spent
        self._phases = phases
        self._context = context

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Count, then ask."""
        self._spent.llm_calls += 1
        with self._phases.of("llm"):
            try:
                response = await self.wrapped.request(messages, model_settings, model_request_parameters)
            except BaseException as error:
                self._context.answered(None, error)
                raise
        self._context.answered(response.usage)
        return response
