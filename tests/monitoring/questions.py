"""The questions of operators (O), engineering managers (M) and finance people (F), each with its answer by PromQL.

Expected values are those of the scenario in `conftest.py`: by the values of the result's labels, in the order of the
labels' names, the least and the most that it may be. Further series of a result may have any value that is no NaN.
`BUSY` answers are those at the moment when both slots are taken and three runs wait.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from metrics.kit.promql import grown as kit_grown

Range = tuple[float, float]
ANY: Range = (0.0, inf)
SOME: Range = (1e-9, inf)

RUN = "product_content"
COMPLETED, WASTED = 'status="completed"', 'outcome="wasted"'
INPUT, OUTPUT, CACHED = 'token_type="prompt"', 'token_type="completion"', 'detail="cache_read"'
OPENAI = 'provider="openai"'


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A query with what it is to return; ``empty`` says why nothing is right, where that is so."""

    query: str
    expected: dict[tuple[str, ...], Range]
    busy: bool = False
    empty: str = ""


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question, and the queries that answer it together."""

    who: str
    ask: str
    answers: tuple[Answer, ...]


def question(who: str, ask: str, *answers: Answer) -> Question:
    return Question(who=who, ask=ask, answers=answers)


def answer(
    query: str, expected: dict[tuple[str, ...], Range] | Range = SOME, *, busy: bool = False, empty: str = ""
) -> Answer:
    by_labels: dict[tuple[str, ...], Range] = expected if isinstance(expected, dict) else {(): expected}
    return Answer(query=query, expected={} if empty else by_labels, busy=busy, empty=empty)


def increase(family: str, *by: str, where: str = "", over: str = "10m") -> str:
    """Return the query for how much a counter has increased, summed by some labels."""
    return f"sum by ({', '.join(by)}) (increase(sparklio_{family}{{{where}}}[{over}]))"


def grown(family: str, *by: str, where: str = "", over: str = "10m") -> str:
    """Return the same of causes, whose series begin with their first event, as the kit's alerts ask it."""
    return kit_grown(family, ", ".join(by), over, where).replace("NS_", "sparklio_")


def rate(family: str, *by: str, where: str = "", over: str = "10m") -> str:
    """Return the same by the second."""
    return f"sum by ({', '.join(by)}) (rate(sparklio_{family}{{{where}}}[{over}]))"


def p95(family: str, *by: str) -> str:
    """Return the query for the 95th percentile of a histogram by some labels."""
    return f"histogram_quantile(0.95, {rate(f'{family}_bucket', *by, 'le')})"


def or_nothing(query: str) -> str:
    """Return a query that is 0 where there is no series yet."""
    return f"{query} or vector(0)"


COUNT: Range = (0.5, 60.0)
"""A few of something: `increase` extrapolates."""
CENTS: Range = (1e-6, 1.0)
SECONDS: Range = (0.0, 600.0)
RATIO: Range = (0.0, 1.0)

# fmt: off
QUESTIONS = (
    question("F", "What do we spend, by model, and a day at this pace?",
        answer(increase("llm_cost_usd_total", "model"), {("gpt-4o-mini",): CENTS, ("gpt-4o",): CENTS}),
        answer("sum(rate(sparklio_llm_cost_usd_total[10m])) * 86400", (1e-4, 1e4))),
    question("F", "What does a completed run cost, by workflow?",
        answer(f'{increase("workflow_cost_usd_total", "workflow_type")} / '
               f'({increase("workflows_total", "workflow_type", where=COMPLETED)} > 0)', {(RUN,): CENTS})),
    question("F", "Which agent costs most?",
        answer(f'topk(5, {increase("agent_cost_usd_total", "agent_name")})', {("copywriter",): CENTS})),
    question("F", "Which agent spends on which model?",
        answer(increase("llm_cost_by_agent_usd_total", "agent_name", "model"), {("copywriter", "gpt-4o-mini"): CENTS})),
    question("F", "Which share of the money is wasted, by workflow?",
        answer(f'{increase("workflow_cost_usd_total", "workflow_type", where=WASTED)} / '
               f'({increase("workflow_cost_usd_total", "workflow_type")} > 0)', {(RUN,): (1e-3, 0.999)})),
    question("F", "Why is it wasted?",
        answer(grown("workflow_wasted_cost_usd_total", "reason"),
               {("failed",): CENTS, ("cancelled",): CENTS, ("rejected",): CENTS}),
        answer(or_nothing(grown("workflow_wasted_cost_usd_total", where='reason="abandoned"')), (0, 0))),
    question("F", "Do the totals agree: by model, by agent and model, by result?",
        answer("abs(sum(sparklio_llm_cost_usd_total) - sum(sparklio_llm_cost_by_agent_usd_total))", (0, 1e-9)),
        answer("abs(sum(sparklio_llm_cost_usd_total) - sum(sparklio_llm_cost_by_result_usd_total))", (0, 1e-9))),
    question("F", "What does a customer cost? (docs/who-pays.md)",
        answer("sum by (tenant) (acme_tenant_cost_usd_total)", {("globex",): (0.25, 0.25), ("other",): (0.5, 0.5)})),
    question("F", "What do failed and repeated calls cost, and what input, output and cache?",
        answer(increase("llm_cost_by_result_usd_total", "result"), {("success",): CENTS, ("error",): (0, 1)}),
        answer(increase("llm_cost_by_kind_usd_total", "kind"),
               {("input",): CENTS, ("output",): CENTS, ("cache_read",): CENTS})),
    question("F", "What do the totals leave out?",
        answer(increase("llm_unpriced_requests_total", "model"), {("gpt-4o-mini",): (0, 0)}),
        answer(increase("llm_usage_missing_total", "model"), {("gpt-4o-mini",): ANY})),
    question("M", "Which share of runs succeeds?",
        answer('1 - sum(increase(sparklio_workflows_total{status=~"failed|abandoned"}[10m])) / '
               'sum(increase(sparklio_workflows_total{status!="cancelled"}[10m]))', (0.4, 0.95))),
    question("M", "Which agent fails, and why?",
        answer(grown("agent_errors_total", "agent_name", "error_type"), {("copywriter", "auth"): COUNT})),
    question("M", "Why do runs fail: the model, a time limit, the database?",
        answer(grown("workflow_errors_total", "error_type"), {("auth",): COUNT, ("time_limit",): COUNT}),
        answer(or_nothing(grown("workflow_errors_total", where='error_type="database"')), (0, 0))),
    question("O", "How long does each step take?",
        answer(p95("workflow_step_duration_seconds", "workflow_type", "step"), {("copywriter", RUN): SECONDS})),
    question("O", "How many runs wait, and how long has the first?",
        answer("sum(max by (workflow_type) (sparklio_workflows_queued))", (3, 3), busy=True),
        answer("max(sparklio_workflow_oldest_queued_seconds)", (0.01, 60), busy=True),
        answer("sum(sparklio_workflows_queued) / max(sparklio_workflow_queue_limit)", (0.003, 0.003), busy=True)),
    question("O", "How long do runs wait in the queue?",
        answer(p95("workflow_queue_wait_seconds", "workflow_type"), {("campaign",): SECONDS})),
    question("O", "Is a run stuck?",
        answer("max(sparklio_workflow_oldest_active_seconds)", (0.001, 300), busy=True),
        answer("max(sparklio_workflow_oldest_active_seconds) / max(sparklio_workflow_time_limit_seconds)",
               (0, 10), busy=True)),
    question("O", "Has every run a process, and since when has the oldest been waiting or running?",
        answer("max by (status) (sparklio_workflows_without_holder)",
               {("queued",): (0, 0), ("running",): (0, 0)}, busy=True),
        answer("max(sparklio_workflow_executors)", (1, 1), busy=True),
        answer("max by (status) (sparklio_workflows_unfinished)",
               {("queued",): (3, 3), ("running",): (2, 2)}, busy=True),
        answer("max by (status) (sparklio_workflow_oldest_unfinished_seconds)",
               {("queued",): (0.001, 300), ("running",): (0.001, 300)}, busy=True)),
    question("O", "Which share of the run slots is in use?",
        answer("sum(sparklio_active_workflows) / sum(sparklio_workflow_slots)", (1, 1), busy=True)),
    question("O", "How near is the provider's rate limit?",
        answer("min by (model, resource) (sparklio_llm_rate_limit_remaining / sparklio_llm_rate_limit)",
               {("gpt-4o-mini", "requests"): (0.98, 0.99)}),
        answer(increase("llm_attempts_total", "outcome", where=OPENAI), {("rate_limited",): COUNT})),
    question("O", "How long until the first token, and how many a second?",
        answer(p95("llm_time_to_first_token_seconds", "model"), {("gpt-4o-mini",): SECONDS}),
        answer(f'{rate("llm_tokens_total", "model", where=OUTPUT)} / '
               f'({rate("llm_request_duration_seconds_sum", "model")} > 0)', {("gpt-4o-mini",): (1, 1e6)})),
    question("M", "What does the cache save?",
        answer(f'{rate("llm_token_details_total", "model", where=CACHED)} / '
               f'({rate("llm_tokens_total", "model", where=INPUT)} > 0)',
               {("gpt-4o-mini",): (0.39, 0.41)})),
    question("O", "Is context cut off, and how full is the window?",
        answer(or_nothing(grown("context_truncations_total", where='reason="app_trim"')), ANY),
        answer(p95("context_window_utilization_ratio", "agent_name"), {("copywriter",): (0.001, 2)})),
    question("O", "Which endpoint is slow?",
        answer(f'topk(5, {p95("http_request_duration_seconds", "endpoint")})', {("/api/v1/runs/{run_id}",): SECONDS})),
    question("O", "Is it the database, the model or the endpoint itself?",
        answer(rate("http_request_phase_seconds_total", "endpoint", "phase"),
               {("/api/v1/runs/{run_id}", "database"): SOME, ("/api/v1/runs/{run_id}", "self"): SOME})),
    question("O", "Where does an agent's time go?",
        answer(f'{rate("agent_time_seconds_total", "agent_name", "phase")} / on (agent_name) group_left () '
               f'({rate("agent_time_seconds_total", "agent_name")} > 0)', {("reviewer", "llm"): (0.01, 1)})),
    question("O", "Is the connection pool full?",
        answer("max by (pool) (sparklio_db_pool_peak_connections / on (instance, pool) sparklio_db_pool_capacity)",
               {("main",): RATIO}),
        answer(p95("db_pool_wait_seconds", "pool"), {("main",): SECONDS}),
        answer(increase("db_pool_timeouts_total", "pool"), {("main",): (0, 0)})),
    question("O", "Who sends too many statements?",
        # Of what is 1 at least, in a first bucket from 0 to 1: most requests read a run, by one statement.
        answer(p95("db_scope_queries", "scope"), {("http",): (0.95, 500)}),
        answer(increase("db_repeated_queries_by_endpoint_total", "endpoint"), {("/api/v1/runs/{run_id}",): (0, 0)}),
        answer(increase("db_lazy_loads_total", "relationship"), empty="no relationship is loaded lazily")),
    question("O", "Does something leak?",
        answer('max(deriv(process_resident_memory_bytes{job="sparklio-backend"}[10m]))', (-1e9, 1e9)),
        answer('max(process_open_fds{job="sparklio-backend"} / process_max_fds)', (1e-6, 1)),
        answer("sum(sparklio_db_connections_leaked_total)", (0, 0)),
        answer("max(sparklio_db_connection_oldest_hold_seconds)", ANY)),
    question("M", "Did the last deploy make it worse?",
        answer("count by (revision) (last_over_time(sparklio_build_info[10m]))",
               {("first",): (1, 1), ("second",): (1, 1)}),
        answer("sum by (revision, status) (rate(sparklio_workflows_total[1m]) "
               "* on (instance) group_left (revision) sparklio_build_info)", {("second", "completed"): SOME}),
        answer('sum(changes(process_start_time_seconds{job="sparklio-backend"}[10m]))', (1, 1))),
    question("O", "How many series are there, of which families, and does a label overflow?",
        answer('topk(5, count by (__name__) ({job="sparklio-backend"}))', (10, 5000)),
        answer("max(sparklio_metrics_rendered_series)", (500, 40_000)),
        answer("sum(sparklio_label_overflows_total) or vector(0)", (0, 0))),
    question("O", "Is the pipeline itself healthy?",
        answer('min(up{job="sparklio-backend"})', (1, 1)),
        answer('time() - max(sparklio_last_event_timestamp_seconds{signal="workflow_finished"})', (-1, 600)),
        answer("sum(increase(sparklio_receiver_failures_total[10m])) or vector(0)", (0, 0)),
        answer(p95("metrics_render_duration_seconds"), SECONDS)),
    question("O", "Were there restarts, and are their runs taken up?",
        answer('sum(changes(process_start_time_seconds{job="sparklio-backend"}[10m]))', (1, 1)),
        answer("sum by (workflow_type) (sparklio_workflows_resumed_total)", {(RUN,): (1, 1)}),
        answer('sum(sparklio_workflows_total{status="abandoned"})', (0, 0))),
    question("M", "Do fallbacks save us, and which models are configured for it?",
        answer(increase("llm_fallbacks_total", "from_model", "to_model", "reason"),
               {("gpt-4o-mini", "provider_5xx", "gpt-4o"): COUNT}),
        answer("sum by (role, model, provider) (sparklio_llm_configured_info)",
               {("gpt-4o-mini", "openai", "primary"): (1, 1), ("gpt-4o", "openai", "fallback_1"): (1, 1)})),
    question("M", "How good is what we write, by workflow?",
        answer(increase("workflow_review_verdicts_total", "workflow_type", "verdict"),
               {("approved", RUN): COUNT, ("rejected", RUN): COUNT})),
    question("M", "Which agent's answers do not pass, and what does judging them cost?",
        answer(f"""{increase("evaluations_total", "agent_name", "evaluator", where='result="pass"')} / """
               f"""({increase("evaluations_total", "agent_name", "evaluator", where='result!="error"')} > 0)""",
               {("copywriter", "reviewer"): (0, 1)}),
        answer("sum by (evaluator) (rate(sparklio_evaluation_score_sum[10m])) / "
               "(sum by (evaluator) (rate(sparklio_evaluation_score_count[10m])) > 0)", {("reviewer",): (0, 1)}),
        answer(increase("evaluation_cost_usd_total", "evaluator"), {("reviewer",): SOME})),
    question("O", "How long do lookups for agents take, and do they find anything?",
        answer("histogram_quantile(0.95, sum by (le, data_source) "
               "(rate(sparklio_retrieval_duration_seconds_bucket[10m])))",
               {("brand_facts",): SECONDS, ("earlier_copy",): SECONDS}),
        answer(increase("retrievals_total", "data_source", "status"), {("brand_facts", "success"): COUNT})),
    question("M", "Which guardrails let nothing pass, and what time do they take?",
        answer(increase("guardrail_checks_total", "kind", "guardrail", "outcome"),
               {("answer_is_not_empty", "output", "passed"): COUNT}),
        answer(p95("guardrail_duration_seconds", "guardrail"), {("answer_is_not_empty",): SECONDS})),
    question("O", "Does the event loop stall, and what does the processor do?",
        answer(p95("event_loop_lag_seconds"), (0, 10)),
        answer('max(rate(process_cpu_seconds_total{job="sparklio-backend"}[1m]))', (1e-4, 16))),
    question("O", "Is a part down?",
        answer("min by (component) (sparklio_component_up)",
               {("database",): (1, 1), ("model",): (1, 1), ("workflows",): (1, 1)})),
    question("O", "Which model's attempts are slow or fail, before they are repeated?",
        answer(f'{rate("llm_attempt_seconds_total", "model", "outcome")} / '
               f'({rate("llm_attempts_total", "model", "outcome")} > 0)', {("gpt-4o-mini", "success"): SECONDS}),
        answer(increase("llm_attempts_total", "model", "outcome"), {("gpt-4o-mini", "error"): COUNT}),
        answer("sum(rate(sparklio_llm_attempts_total[10m])) / sum(rate(sparklio_llm_requests_total[10m]))", (1, 5))),
)
# fmt: on
