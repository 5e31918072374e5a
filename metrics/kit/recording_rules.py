"""The recording rules: targets, how fast budgets of errors burn, and ratios that alerts and panels share.

They are named as Prometheus advises, ``level:metric:operations``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from . import promql
from .objectives import BURN_WINDOWS, OBJECTIVES, USD_A_DAY, Objective
from .placeholders import NAME


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A series that Prometheus computes and stores; ``needs`` names families beside those of ``expr``."""

    record: str
    expr: str
    labels: Mapping[str, str] = field(default_factory=dict)
    needs: str = ""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Rules that are evaluated one after the other, at one interval."""

    name: str
    interval: str
    rules: tuple[Recording, ...]


def target_rules() -> Iterator[Recording]:
    """Yield the targets as series, to be drawn and compared with."""
    for objective in OBJECTIVES:
        yield Recording(
            record="NS:slo_target:ratio",
            expr=f"vector({objective.target:g})",
            labels={"slo": objective.name},
            needs=objective.total,
        )
    yield Recording(record="NS:cost_budget:usd_per_day", expr=f"vector({USD_A_DAY})", needs="NS_llm_cost_usd_total")


def burn_rules(objective: Objective) -> Iterator[Recording]:
    """Yield the share of errors of an objective over each window, and how many times too fast it burns the budget."""
    for window in BURN_WINDOWS:
        errors, total = (f"sum by (job) (rate({each}[{window}]))" for each in (objective.errors, objective.total))
        yield Recording(
            record=f"NS:slo_errors:ratio_rate{window}",
            expr=f"({errors} or 0 * {total})\n/ ({total} > 0)",
            labels={"slo": objective.name},
        )
        yield Recording(
            record=f"NS:slo_burn:rate{window}",
            expr=f'NS:slo_errors:ratio_rate{window}{{slo="{objective.name}"}}\n'
            "/ on (slo) group_left () (1 - NS:slo_target:ratio)",
            labels={"slo": objective.name},
        )


def recorded_quantile(family: str, by: str, window: str) -> str:
    """Return the 95th percentile of a histogram, absent while nothing is observed.

    It is not a number then, and one of these among a day's values makes the day's mean none either.
    """
    return f"({promql.quantile(0.95, family, by, window=window)}) >= 0"


NOT_THE_MODELS = "cancelled|content_filtered|context_length_exceeded|invalid_request"
"""Types of errors of calls that come to nothing because of who asks, not because of the model."""

FAILED_CALLS = promql.grown("llm_errors_total", "job, model", "5m", f'error_type!~"{NOT_THE_MODELS}"')
CALLS = promql.increase("llm_requests_total", "job, model", 'status!="cancelled"', "5m")
LIMITED = promql.rate("llm_attempts_total", "job, provider", 'outcome="rate_limited"', "5m")
ATTEMPTS = promql.rate("llm_attempts_total", "job, provider", "", "5m")
RUN_COST = promql.increase("workflow_cost_usd_total", "job, workflow_type", "", "1h")
WASTED = promql.increase("workflow_cost_usd_total", "job, workflow_type", 'outcome="wasted"', "1h")
COMPLETED = promql.increase("workflows_total", "job, workflow_type", 'status="completed"', "1h")
FAILED_AGENTS = promql.rate("agent_executions_total", "job, agent_name", 'status=~"error|timeout"', "10m")
AGENTS = promql.rate("agent_executions_total", "job, agent_name", 'status!="cancelled"', "10m")

# fmt: off
GROUPS = (
    Group(name="targets", interval="1m", rules=tuple(target_rules())),
    *(Group(name=f"slo-{objective.name}", interval="30s", rules=tuple(burn_rules(objective)))
        for objective in OBJECTIVES),
    Group(name="models", interval="30s", rules=(
        Recording(record="model:NS_llm_errors:ratio_rate5m", expr=promql.share(FAILED_CALLS, CALLS)),
        Recording(record="model:NS_llm_request_duration_seconds:p95_rate5m",
            expr=recorded_quantile( "llm_request_duration_seconds", "job, model", window="5m")),
        Recording(record="provider:NS_llm_rate_limited:ratio_rate5m", expr=promql.share(LIMITED, ATTEMPTS)),
    )),
    Group(name="cost", interval="1m", rules=(
        Recording(record="job:NS_llm_cost_usd:rate10m", expr=promql.rate("llm_cost_usd_total", "job", "", "10m")),
        Recording(record="job:NS_llm_cost_usd:rate1h", expr=promql.rate("llm_cost_usd_total", "job", "", "1h")),
        Recording(record="job:NS_llm_cost_usd:increase1d",
            expr=promql.increase("llm_cost_usd_total", "job", "", "1d")),
        Recording(record="workflow:NS_run_cost_usd:mean1h", expr=promql.share(RUN_COST, COMPLETED)),
        Recording(record="workflow:NS_cost_wasted:ratio1h", expr=promql.share(WASTED, RUN_COST)),
    )),
    # What every host reads of the one database that they share: the largest, as one may have read it earlier.
    Group(name="hosts", interval="30s", rules=(
        Recording(record="job:NS_workflows_unfinished:max", expr="max by (job, status) (NS_workflows_unfinished)"),
        Recording(record="job:NS_workflow_oldest_unfinished_seconds:max",
            expr="max by (job, status) (NS_workflow_oldest_unfinished_seconds)"),
        Recording(record="job:NS_workflows_without_holder:max",
            expr="max by (job, status) (NS_workflows_without_holder)"),
        Recording(record="job:NS_workflow_executors:max", expr="max by (job) (NS_workflow_executors)"),
    )),
    Group(name="work", interval="30s", rules=(
        Recording(record="agent:NS_agent_failures:ratio_rate10m", expr=promql.share(FAILED_AGENTS, AGENTS)),
        Recording(record="step:NS_workflow_step_duration_seconds:p95_rate15m",
            expr=recorded_quantile( "workflow_step_duration_seconds", "job, workflow_type, step", window="15m")),
        Recording(record="workflow:NS_workflow_queue_wait_seconds:p95_rate10m",
            expr=recorded_quantile( "workflow_queue_wait_seconds", "job, workflow_type", window="10m")),
        Recording(record="endpoint:NS_http_request_duration_seconds:p95_rate5m",
            expr=recorded_quantile( "http_request_duration_seconds", "job, endpoint", window="5m")),
        Recording(record="pool:NS_db_pool_used:ratio",
            expr='sum by (job, pool) (NS_db_pool_connections{state="used"})'
            " / sum by (job, pool) (NS_db_pool_capacity)"),
    )),
)
# fmt: on

RECORDED = {rule.record: rule.expr for group in GROUPS for rule in group.rules}
"""What each series is recorded from; of several rules for one, the last."""


def resolved(text: str) -> str:
    """Return expressions with what series are recorded from in the place of these, down to families."""
    while any(name in RECORDED for name in NAME.findall(text)):  # one that is recorded from another
        text = NAME.sub(lambda match: RECORDED.get(match[0], match[0]), text)
    return text
