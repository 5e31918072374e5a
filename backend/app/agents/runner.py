"""An agent's execution: tools are used, the context is built, the model is asked, the cost is kept."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from pydantic import BaseModel
from pydantic_ai import Agent, ModelRetry
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RunUsage, UsageLimits

from events import agent_run, context_built

from . import tools
from .assignment import AgentFailed, AgentTimedOut, Assignment, Execution, Library, Spent
from .failures import reason, timed_out
from .prompt import compose, size
from .roster import AGENTS, AgentSpec

SEED = 7  # the same brief gives the same text, as far as the model can
RETRIES = 2  # second and third tries at an answer that does not fit
REQUESTS = 6  # calls of one execution: those tries, and some for tools
THINKING = 2000  # tokens a larger model may write: some think before they answer, and their thoughts count


async def execute(
    agent_name: str, assignment: Assignment, *, model: Model, library: Library, usage: Spent | None = None
) -> Execution:
    """Let an agent do its task.

    ``usage`` is kept up to date however this is left, by a cancellation too.

    Raises:
        AgentFailed: model or tool failed; AgentTimedOut when time ran out.
    """
    spec, spent = AGENTS[agent_name], usage if usage is not None else Spent()
    with agent_run(agent_name=agent_name, task=assignment.task) as run:
        try:
            output = await ask(spec, assignment, model, library, spent)
        except Exception as error:
            said = reason(error, model.model_name)
            if said is None:
                raise
            run.note(error=type(error).__name__)
            failed = AgentTimedOut if timed_out(error) else AgentFailed
            raise failed(said, **vars(spent)) from error
    if isinstance(output, BaseModel):
        data = output.model_dump(mode="json")
        return Execution(data, ", ".join(str(value) for value in data.values()), **vars(spent))
    return Execution({"text": output}, output, **vars(spent))


async def ask(spec: AgentSpec, assignment: Assignment, model: Model, library: Library, spent: Spent) -> str | BaseModel:
    """Look up, build the context, ask; an answer that does not fit is asked for again."""
    desk = tools.Desk(library, assignment.brand)
    found = {name: await tools.use(name, desk) for name in spec.tools}
    prompt = compose(spec, assignment, found, model.context_window)
    context_built.emit(size=size(spec.instructions) + size(prompt))
    calls_tools = model.profile.get("supports_tools", True)
    used = RunUsage()
    try:
        answer = await made(spec.name, calls_tools).run(
            prompt,
            model=Counted(model, spent),
            deps=desk,
            model_settings=ModelSettings(
                max_tokens=THINKING if calls_tools else spec.max_tokens, temperature=spec.temperature, seed=SEED
            ),
            usage=used,
            usage_limits=UsageLimits(request_limit=REQUESTS),
        )
    finally:
        spent.prompt_tokens += used.input_tokens
        spent.completion_tokens += used.output_tokens
    output: str | BaseModel = answer.output
    if isinstance(output, str):
        return tidy(output, cut_off=answer.response.finish_reason == "length")
    return output


@lru_cache
def made(name: str, calls_tools: bool) -> Agent[tools.Desk, Any]:
    """Make a pydantic-ai agent of a row of the roster, with its tools if the model can call them."""
    spec = AGENTS[name]
    agent: Agent[tools.Desk, Any] = Agent(
        name=name,
        instructions=spec.instructions,
        output_type=spec.output_type or str,
        deps_type=tools.Desk,
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


class Counted(WrapperModel):
    """A model that counts its calls for one execution: pydantic-ai counts those alone that were answered."""

    def __init__(self, wrapped: Model, spent: Spent) -> None:
        super().__init__(wrapped)
        self._spent = spent

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Count, then ask."""
        self._spent.llm_calls += 1
        return await self.wrapped.request(messages, model_settings, model_request_parameters)
