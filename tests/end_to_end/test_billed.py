"""What runs cost is one number to the provider, in ``/metrics``, in the rows and in the API: difference 0.

Every workflow runs on a loopback provider that serves a model of a known price. Some runs are refused, limited, broken,
rejected, cancelled or handed on to a model of no price, and the studio is killed with -9 in the middle of one. The
provider keeps its own books; they are priced here by genai-prices, past the studio.
"""

from __future__ import annotations

import re
import signal
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import count
from math import fsum
from pathlib import Path
from typing import Any

import genai_prices
import pytest
from prometheus_client.samples import Sample

from tests.support.in_process_studio import matching_reply
from tests.support.openai_server import ChatRequest, OpenAIServer, Reply, Tally, Usage, fails, stalls
from tests.support.samples import summed
from tests.support.studio import WORKFLOWS, StudioProcess
from tests.support.wait import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

PRICED, UNPRICED = "gpt-4o-mini", "home-made"
KINDS = ("Plain", "Limited", "Broken", "Refused", "Rejected", "Elsewhere")


def exactly(amount: Any) -> Any:
    """Compare sums of floats: added up in another order, they differ in their last digits."""
    return pytest.approx(amount, rel=1e-12, abs=1e-15)


class Provider:
    """Answers as the brand in a request wants, each answer with a bill of its own."""

    def __init__(self) -> None:
        self.killing = True
        self.asked: Counter[str] = Counter()
        self._numbers = count(1)

    def __call__(self, request: ChatRequest) -> Reply:
        prompt = str(request.messages)
        found = re.search(r"Brand: (\w+) (\w+)", prompt)
        assert found is not None
        kind, nth = found[1], self.asked[found[0]]
        self.asked[found[0]] += 1
        n = next(self._numbers)
        usage = Usage(200 + n, 20 + n % 7, cached=128 if n % 2 else 0, reasoning=n % 5)
        answer = replace(matching_reply(request), usage=usage)
        reviews = bool(answer.tool_calls)
        rejection = tuple((tool, {"verdict": "rejected"}) for tool, _ in answer.tool_calls)
        # fmt: off
        special: dict[str, tuple[bool, Reply]] = {
            "Killed":    (nth == 1 and self.killing, stalls()),
            "Cancelled": (nth == 1,                  stalls()),
            "Limited":   (nth == 0,                  fails(429, retry_after=0.01)),
            "Broken":    (nth == 0,                  replace(answer, break_after=3)),
            "Refused":   (reviews,                   fails(500)),
            "Rejected":  (reviews,                   replace(answer, tool_calls=rejection)),
            "Elsewhere": (request.model == PRICED,   fails(503, retry_after=0.01)),
        }
        # fmt: on
        applies, other = special.get(kind, (False, answer))
        return other if applies else answer


@dataclass
class Billed:
    """What each party knows of two lives of a studio, the first of which was killed."""

    tally: Tally
    runs: list[dict[str, Any]]
    rows: list[dict[str, Any]]
    first: list[Sample]
    second: list[Sample]

    def told(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """Add up what both lives showed."""
        return summed([*self.first, *self.second], name, *labels)


@pytest.fixture(scope="module")
def billed(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[Billed]:
    directory = tmp_path_factory.mktemp("billed")
    provider = Provider()
    with pytest.MonkeyPatch.context() as environment, OpenAIServer(provider) as server:
        environment.setenv("OPENAI_API_KEY", "none")

        def studio() -> StudioProcess:
            model = {
                "llm": f"openai:{PRICED}",
                "llm_base_url": server.base_url,
                "llm_prices": "openai",
                "llm_retries": 1,
            }
            return StudioProcess(directory, free_port(), **model, llm_fallbacks=f"openai:{UNPRICED}", concurrency=8)

        with studio() as one:
            started = [one.submit("product_content", brand="Killed product_content")]
            wait_until(lambda: server.tally.requests == 2)  # the second call is under way, and stalls
            first = one.scrape()
            one.stop(signal.SIGKILL)
        provider.killing = False
        with studio() as other:
            started += [other.submit(kind, brand=f"{brand} {kind}") for kind in WORKFLOWS for brand in KINDS]
            cancelled = other.submit("product_content", brand="Cancelled product_content")
            wait_until(lambda: provider.asked["Brand: Cancelled product_content"] == 2)  # it stalls
            assert other.call("POST", "/api/v1/runs/{run_id}/cancel", run_id=cancelled).status_code == 200
            runs = [other.wait_for_end(run_id) for run_id in [*started, cancelled]]
            yield Billed(server.tally, runs, stored(directory), first, other.scrape())


def stored(directory: Path) -> list[dict[str, Any]]:
    """Read the steps past the API."""
    with closing(sqlite3.connect(directory / "data" / "studio.db")) as database:
        database.row_factory = sqlite3.Row
        rows = database.execute("SELECT workflow_type, steps.* FROM steps JOIN runs ON runs.id = run_id").fetchall()
    return [dict(row) for row in rows]


def bill(usage: Usage) -> float:
    """Price one answer of the priced model as its provider does."""
    counted = genai_prices.Usage(
        input_tokens=usage.prompt, cache_read_tokens=usage.cached, output_tokens=usage.completion
    )
    return float(genai_prices.calc_price(counted, PRICED, provider_id="openai").total_price)


def test_the_prices_are_those_of_the_providers_list() -> None:
    """USD a million tokens: 0.15 read, 0.075 of them from the cache, 0.60 written."""
    assert bill(Usage(10**6, 0)) == 0.15
    assert bill(Usage(10**6, 0, cached=10**6)) == 0.075
    assert bill(Usage(0, 10**6)) == 0.6


def test_cost_is_the_same_to_all_who_know_of_it(billed: Billed) -> None:
    """The provider's books, each model's metrics, the rows and the API; and the agents' metrics by agent."""
    owed = fsum(bill(usage) for model, usage in billed.tally.usages if model == PRICED)
    assert owed > 0
    assert billed.told("llm_cost_usd_total", "model", "source") == {(PRICED, "price_table"): exactly(owed)}
    assert fsum(row["cost"] or 0 for row in billed.rows) == exactly(owed)
    assert fsum(run["cost"] or 0 for run in billed.runs) == exactly(owed)
    assert fsum(step["cost"] or 0 for run in billed.runs for step in run["steps"]) == exactly(owed)
    by_agent: defaultdict[tuple[str, ...], list[float]] = defaultdict(list)
    for row in billed.rows:
        by_agent[row["agent_name"],].append(row["cost"] or 0)
    stored_by_agent = {agent: fsum(costs) for agent, costs in by_agent.items()}
    assert billed.told("agent_cost_usd_total", "agent_name") == exactly(stored_by_agent)


def test_runs_are_billed_whole_when_they_end_by_what_came_of_them(billed: Billed) -> None:
    """Also the one that was killed, with what both lives paid; its cost is told by the second alone."""
    owed: defaultdict[tuple[str, ...], list[float]] = defaultdict(list)
    for run in billed.runs:
        verdicts = [step["output"]["verdict"] for step in run["steps"] if (step["output"] or {}).get("verdict")]
        useful = run["status"] == "completed" and verdicts[-1:] != ["rejected"]
        owed[run["workflow_type"], "useful" if useful else "wasted"].append(run["cost"] or 0)
    expected = {key: fsum(costs) for key, costs in owed.items()}
    assert {kind for kind, _ in expected} == set(WORKFLOWS)
    assert {outcome for _, outcome in expected} == {"useful", "wasted"}
    assert summed(billed.second, "workflow_cost_usd_total", "workflow_type", "outcome") == exactly(expected)
    assert summed(billed.first, "workflow_cost_usd_total") == {}
    [killed] = [run for run in billed.runs if run["brand"] == "Killed product_content"]
    assert (killed["status"], len(killed["steps"])) == ("completed", 3)
    assert 0 < fsum(summed(billed.first, "llm_cost_usd_total").values()) < killed["cost"]


def test_tokens_are_those_of_the_providers_books(billed: Billed) -> None:
    for token_type in ("prompt", "completion"):
        owed: Counter[str] = Counter()
        for model, usage in billed.tally.usages:
            owed[model] += getattr(usage, token_type)
        told = billed.told("llm_tokens_total", "model", "token_type")
        assert {model: value for (model, kind), value in told.items() if kind == token_type} == owed
        assert sum(row[f"{token_type}_tokens"] for row in billed.rows) == owed.total()
        assert sum(run["tokens"][token_type] for run in billed.runs) == owed.total()
    details: Counter[tuple[str, ...]] = Counter()
    for model, usage in billed.tally.usages:
        details.update({(model, "cache_read"): usage.cached, (model, "reasoning"): usage.reasoning})
    assert billed.told("llm_token_details_total", "model", "detail") == details


def test_a_model_of_no_price_is_unpriced_and_costs_nobody_knows_what(billed: Billed) -> None:
    asked = sum(model == UNPRICED for model, _ in billed.tally.usages)
    assert asked
    assert billed.told("llm_unpriced_requests_total", "model") == {(UNPRICED,): asked}
    elsewhere = [run for run in billed.runs if run["brand"].startswith("Elsewhere")]
    assert {run["cost"] for run in elsewhere} == {None}
    assert {step["cost"] for run in elsewhere for step in run["steps"]} == {None}


def test_calls_and_attempts_are_those_that_the_provider_saw(billed: Billed) -> None:
    """But for the attempt that died with its process: nobody was left to tell it."""
    assert billed.told("llm_attempts_total") == {(): billed.tally.requests - 1}
    assert billed.told("llm_requests_total") == {(): sum(run["llm_calls"] for run in billed.runs)}
    is_answering = Counter(model for model, _ in billed.tally.usages)
    assert billed.told("llm_requests_total", "model", "status")[UNPRICED, "success"] == is_answering[UNPRICED]
    assert billed.told("llm_requests_total", "model", "status")[PRICED, "success"] == is_answering[PRICED]
    assert billed.told("llm_fallbacks_total", "to_model") == {
        (UNPRICED,): billed.told("llm_requests_total", "model")[UNPRICED,]
    }
    assert billed.told("llm_errors_total", "model", "error_type") == {
        (UNPRICED, "provider_5xx"): len(WORKFLOWS),
        (PRICED, "cancelled"): 1,
    }
    refused = {status: n for status, n in billed.tally.statuses.items() if status != 200}
    retries = billed.told("llm_retries_total", "reason")
    assert retries["rate_limited",] == refused[429] == len(WORKFLOWS)
    assert retries["connection",] == len(WORKFLOWS)


def test_nothing_failed_on_the_way_and_nothing_is_under_way(billed: Billed) -> None:
    for name in ("receiver_failures_total", "label_overflows_total", "dropped_values_total"):
        assert billed.told(name) == {}
    for name in ("llm_active_requests", "active_workflows", "active_agent_executions"):
        assert summed(billed.second, name) == {}
