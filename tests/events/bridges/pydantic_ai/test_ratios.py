"""Families of model calls stand in fixed ratios to each other, over any mix of outcomes, chains and sellers."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from math import isclose
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.samples import Sample
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, UserPromptPart
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.usage import RequestUsage

from events import agent_run
from events.bridges.pydantic_ai import Cost, instrument
from metrics import AGENTS, LLM, subscribe
from tests.support.samples import summed

pytestmark = pytest.mark.slow

PROMPT: list[ModelMessage] = [ModelRequest(parts=[UserPromptPart("Say something.")])]
TEXT = ("one ", "two ", "three")
COSTS = {"cheap": (1e-6, 2e-6), "dear": (5e-5, 25e-5)}
"""USD of a token of the prompt and of the completion; the other models have no price."""

Behaviour = Literal[
    "answers", "is cut", "refuses", "counts nothing", "names its cost",
    "is rate limited", "fails", "times out", "is cancelled", "breaks", "is left",
]  # fmt: skip
BEHAVIOURS: tuple[Behaviour, ...] = Behaviour.__args__  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Asked:
    """One request as it reached a model, and what the model counted for it."""

    model: str
    seller: str
    prompt: int = 0
    completion: int = 0
    cost: float = 0.0
    outcome: str = "success"

    def is_at(self, other: Asked) -> bool:
        """Return whether another request is at the same model of the same seller."""
        return (self.model, self.seller) == (other.model, other.seller)


@dataclass(frozen=True)
class Plan:
    """One call: its members, each with a name, a seller and what it does; how it is asked, and by whom."""

    members: tuple[tuple[str, str, Behaviour], ...]
    streamed: bool
    asks_twice: bool
    agents: tuple[str, ...]
    prompt: int
    completion: int


@dataclass
class Ledger:
    """What really happened, written down by the models themselves."""

    calls: list[list[Asked]] = field(default_factory=list)

    @property
    def attempts(self) -> list[Asked]:
        return [asked for call in self.calls for asked in call]

    def by_model(self, amount: str) -> dict[tuple[str, ...], float]:
        found: defaultdict[tuple[str, ...], float] = defaultdict(float)
        for asked in self.attempts:
            found[(asked.model,)] += getattr(asked, amount)
        return {key: value for key, value in found.items() if value}


def price(_seller: str, model: str, usage: RequestUsage) -> Cost | None:
    if model not in COSTS:
        return None
    prompt, completion = COSTS[model]
    parts = usage.input_tokens * prompt, usage.output_tokens * completion
    return Cost(total=sum(parts), input=parts[0], output=parts[1])


FAILURES = {"is rate limited": "rate_limited", "fails": "error", "times out": "timeout", "is cancelled": "cancelled"}
"""The outcomes of attempts that fail at once, by what a model does."""


class Member(FunctionModel):
    """A model of a seller that behaves as planned, and writes down what it bills."""

    def __init__(self, name: str, seller: str, behaviour: Behaviour, plan: Plan, ledger: Ledger) -> None:
        super().__init__(self._answer, stream_function=self._stream, model_name=name)
        self._system, self._behaviour, self._plan, self._ledger = seller, behaviour, plan, ledger
        self._names_cost = behaviour == "names its cost" and not plan.streamed

    @property
    def _outcome(self) -> str:
        """How an attempt ends that behaves like this; a consumer leaves where the first member has it leave."""
        if self._plan.streamed:
            if self._behaviour == "is left":
                return "cancelled" if self._plan.members[0][2] == "is left" else "success"
            return {**FAILURES, "breaks": "error"}.get(self._behaviour, "success")
        return {**FAILURES, "refuses": "error"}.get(self._behaviour, "success")

    def _record(self, prompt: int = 0, completion: int = 0) -> Asked:
        cost = 0.0
        if prompt and completion:
            known = COSTS.get(self.model_name, (0.0, 0.0))
            cost = 0.5 if self._names_cost else prompt * known[0] + completion * known[1]
        asked = Asked(self.model_name, self.system, prompt, completion, cost, self._outcome)
        self._ledger.calls[-1].append(asked)
        return asked

    def _fail(self) -> None:
        errors: dict[str, BaseException] = {
            "is rate limited": ModelHTTPError(429, self.model_name),
            "fails": ModelHTTPError(500, self.model_name),
            "times out": TimeoutError(),
            "is cancelled": asyncio.CancelledError(),
        }
        if self._behaviour in errors:
            self._record()
            raise errors[self._behaviour]

    async def _answer(self, _messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
        self._fail()
        if self._behaviour == "counts nothing":
            self._record()
            return ModelResponse([TextPart("fine")], usage=RequestUsage(unmeasured_requests=1), finish_reason="stop")
        usage = RequestUsage(input_tokens=self._plan.prompt, output_tokens=self._plan.completion)
        if self._names_cost:
            usage.cost = 0.5  # type: ignore[assignment]
        self._record(usage.input_tokens, usage.output_tokens)
        finish: dict[str, Any] = {"is cut": "length", "refuses": "content_filter"}
        parts = [] if self._behaviour == "refuses" else [TextPart("fine")]
        return ModelResponse(parts, usage=usage, finish_reason=finish.get(self._behaviour, "stop"))

    async def _stream(self, _messages: list[ModelMessage], _info: AgentInfo) -> AsyncIterator[str]:
        self._fail()
        place = len(self._ledger.calls[-1])
        self._record()
        for sent, text in enumerate(TEXT):
            if self._behaviour == "breaks" and sent == 2:
                raise ModelHTTPError(529, self.model_name)
            # As pydantic-ai's FunctionModel counts: 50 for the prompt, one for each word.
            self._ledger.calls[-1].pop(place)
            self._record(50, sent + 1)
            yield text


class AsksTwice(WrapperModel):
    """Asks the same model again where it failed."""

    async def request(self, *request: Any) -> ModelResponse:
        try:
            return await self.wrapped.request(*request)
        except Exception:
            return await self.wrapped.request(*request)


def was_cut(response: ModelResponse) -> bool:
    return response.finish_reason in ("length", "content_filter")


def model_of(plan: Plan, ledger: Ledger) -> Model:
    """Return the instrumented model of a plan: one member, or a chain of them."""
    members: list[Model] = [Member(*member, plan, ledger) for member in plan.members]
    if plan.asks_twice:
        members = [AsksTwice(instrument(member)) for member in members]
    fallback_on: Any = [Exception] if plan.streamed else [Exception, was_cut]  # an answer that was streamed is out
    return instrument(FallbackModel(*members, fallback_on=fallback_on) if members[1:] else members[0], price=price)


async def ask(plan: Plan, ledger: Ledger) -> None:
    """Make the call of a plan inside its agents, one around the other."""
    if plan.agents:
        with agent_run(agent_name=plan.agents[0]):
            await ask(Plan(**{**vars(plan), "agents": plan.agents[1:]}), ledger)
        return
    ledger.calls.append([])
    model = model_of(plan, ledger)
    with suppress(Exception, asyncio.CancelledError):
        if not plan.streamed:
            await model.request(PROMPT, None, ModelRequestParameters())
            return
        async with model.request_stream(PROMPT, None, ModelRequestParameters()) as stream:
            async for _ in stream:
                if plan.members[0][2] == "is left":
                    return


def plans(members: int) -> st.SearchStrategy[Plan]:
    """Return a strategy of calls with up to so many members."""
    member = st.tuples(
        st.sampled_from(["cheap", "dear", "unpriced"]), st.sampled_from(["here", "there"]), st.sampled_from(BEHAVIOURS)
    )
    return st.builds(
        Plan,
        members=st.lists(member, min_size=1, max_size=members).map(tuple),
        streamed=st.booleans(),
        asks_twice=st.booleans(),
        agents=st.lists(st.sampled_from(["editor", "writer"]), min_size=1, max_size=2).map(tuple),
        prompt=st.integers(1, 10**6),
        completion=st.integers(1, 10**6),
    )


def scraped(made: Iterable[Plan], ledger: Ledger) -> list[Sample]:
    """Make calls, and return the samples after them."""

    async def run() -> None:
        for plan in made:
            await ask(plan, ledger)

    registry = CollectorRegistry()
    with subscribe((*LLM, *AGENTS), registry, namespace="sparklio"):
        asyncio.run(run())
        return [sample for family in registry.collect() for sample in family.samples]


def assert_close(one: dict[tuple[str, ...], float], other: dict[tuple[str, ...], float]) -> None:
    assert one.keys() == other.keys()
    assert all(isclose(one[key], other[key], rel_tol=1e-9) for key in one), (one, other)


def models_of(samples: Iterable[Sample], *families: str) -> dict[str, set[str]]:
    """Return the models in each family."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for sample in samples:
        if sample.name.removeprefix("sparklio_") in families:
            found[sample.name].add(sample.labels["model"])
    return found


# The first family of each has every model that was asked; causes and histograms have those that moved them.
REQUESTS = (
    "llm_requests_total",
    "llm_errors_total",
    "llm_finish_reasons_total",
    "llm_invalid_outputs_total",
    "llm_request_duration_seconds_count",
    "llm_time_to_first_token_seconds_count",
    "llm_time_per_output_token_seconds_count",
)
BILLED = (
    "llm_tokens_total",
    "llm_tokens_per_request_count",
    "llm_tokens_estimated_total",
    "llm_token_details_total",
    "llm_usage_missing_total",
    "llm_unpriced_requests_total",
    "llm_cost_usd_total",
    "llm_cost_by_kind_usd_total",
    "llm_cost_by_agent_usd_total",
)
ATTEMPTS = ("llm_attempts_total", "llm_retries_total")


@settings(max_examples=25, deadline=None)
@given(st.lists(plans(members=3), min_size=1, max_size=5))
def test_calls_bills_and_attempts_stand_under_their_own_models_and_add_up(made: list[Plan]) -> None:
    ledger = Ledger()
    samples = scraped(made, ledger)
    assert_labels_are_right(samples, ledger)
    assert_sums_agree(samples, ledger)
    for whole, *parts in (REQUESTS, BILLED, ATTEMPTS):
        found = models_of(samples, whole, *parts)
        models = found.pop(f"sparklio_{whole}")
        assert all(some <= models for some in found.values()), (models, found)


@settings(max_examples=8, deadline=None)
@given(st.lists(plans(members=1), min_size=1, max_size=5))
def test_without_chains_all_families_have_the_same_models(made: list[Plan]) -> None:
    ledger = Ledger()
    samples = scraped(made, ledger)
    assert_labels_are_right(samples, ledger)
    found = models_of(samples, *REQUESTS, *BILLED, *ATTEMPTS)
    models = {asked.model for asked in ledger.attempts}
    for whole, *_ in (REQUESTS, BILLED, ATTEMPTS):
        assert found.pop(f"sparklio_{whole}") == models
    assert all(some <= models for some in found.values()), (models, found)


def assert_labels_are_right(samples: list[Sample], ledger: Ledger) -> None:
    """Calls stand under the last model that was asked, attempts under each, tokens and cost under the one billed."""
    assert summed(samples, "llm_requests_total", "model", "provider") == Counter(
        (call[-1].model, call[-1].seller) for call in ledger.calls
    )
    assert summed(samples, "llm_attempts_total", "model", "provider", "outcome") == Counter(
        (asked.model, asked.seller, asked.outcome) for asked in ledger.attempts
    )
    pairs = [pair for call in ledger.calls for pair in pairwise(call)]
    retries = Counter((one.model,) for one, other in pairs if one.is_at(other))
    fallbacks = Counter((one.model, other.model) for one, other in pairs if not one.is_at(other))
    assert summed(samples, "llm_retries_total", "model") == retries
    assert summed(samples, "llm_fallbacks_total", "from_model", "to_model") == fallbacks
    prompt = {(model, "prompt"): count for (model,), count in ledger.by_model("prompt").items()}
    completion = {(model, "completion"): count for (model,), count in ledger.by_model("completion").items()}
    assert summed(samples, "llm_tokens_total", "model", "token_type") == prompt | completion
    assert_close(summed(samples, "llm_cost_usd_total", "model"), ledger.by_model("cost"))


def assert_sums_agree(samples: list[Sample], ledger: Ledger) -> None:
    """Statuses add up to calls, kinds and agents to the cost of models, and agents' own shares to those of models."""
    calls = Counter((call[-1].model,) for call in ledger.calls)
    assert summed(samples, "llm_requests_total", "model") == calls
    by_status = summed(samples, "llm_requests_total", "model", "status")
    succeeded = {(model,): count for (model, status), count in by_status.items() if status == "success"}
    failed = summed(samples, "llm_errors_total", "model")
    assert {key: succeeded.get(key, 0) + failed.get(key, 0) for key in calls} == calls
    assert summed(samples, "llm_request_duration_seconds_count", "model") == succeeded
    cost = summed(samples, "llm_cost_usd_total", "model")
    assert_close(summed(samples, "llm_cost_by_kind_usd_total", "model"), cost)
    assert_close(summed(samples, "llm_cost_by_agent_usd_total", "model"), cost)
    by_agent = summed(samples, "llm_cost_by_agent_usd_total", "agent_name")
    assert_close(summed(samples, "agent_cost_usd_total", "agent_name"), by_agent)
    assert_close(summed(samples, "agent_cost_usd_total"), summed(samples, "llm_cost_usd_total"))
    assert summed(samples, "agent_tokens_total", "token_type") == summed(samples, "llm_tokens_total", "token_type")
    tokens = summed(samples, "llm_tokens_total", "model", "token_type")
    assert summed(samples, "llm_tokens_per_request_sum", "model", "token_type") == tokens
    first_tokens = summed(samples, "llm_time_to_first_token_seconds_count")
    assert summed(samples, "llm_time_to_first_token_by_agent_seconds_count") == first_tokens
