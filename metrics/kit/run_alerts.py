"""Alerts on budgets of errors, runs and agents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from . import promql
from .alert_rows import Alert
from .objectives import (
    AGENT_CALLS,
    AGENT_FAILURES,
    FAST_BURNS,
    OBJECTIVES,
    QUEUE_SECONDS,
    QUEUE_USED,
    REJECTED,
    RUN_TIME_LIMITS,
    SLOW_BURNS,
    Objective,
)

WHERE_TO_LOOK = {
    "runs": (
        promql.grown("workflow_errors_total", "workflow_type, error_type", "1h") + " > 0",
        promql.grown("agent_errors_total", "agent_name, error_type", "1h", 'error_type!="cancelled"') + " > 0",
        'sum by (workflow_type, step) (increase(NS_workflow_steps_total{status!~"success|cancelled"}[1h])) > 0',
    ),
    "http": (
        "sum by (endpoint, outcome) (increase("
        'NS_http_request_outcomes_total{outcome=~"server_error|stream_aborted|timeout"}[1h])) > 0',
        promql.grown("db_errors_total", "phase, error", "1h") + " > 0",
        "changes(process_start_time_seconds[1h]) > 0",
    ),
}
"""Queries that show what uses up an objective's budget."""

WHAT_TO_DO = {
    "runs": (
        "See which agent fails with which error: causes of a model's are on the dashboard *Models and cost*.",
        "One workflow alone fails: compare its last deploy; take it back first and look for the cause afterwards.",
        "All of them fail: look at the model, then at the database.",
    ),
    "http": (
        "Something was deployed within the hour (a line in every panel): take it back first.",
        "One endpoint alone: the log has the traceback of each fault.",
        "All of them: look at the database, then at memory and event loop of the process.",
    ),
}


def burning(burns: Sequence[tuple[str, str, float]], name: str) -> str:
    """Return an expression that is there while a budget burns too fast in both windows of any pair."""
    of = f'{{slo="{name}"}}'
    pairs = [f"(NS:slo_burn:rate{long}{of} > {most} and NS:slo_burn:rate{short}{of} > {most})"
             for long, short, most in burns]  # fmt: skip
    return "\nor ".join(pairs)


def budget_alerts(objective: Objective) -> Iterator[Alert]:
    """Yield the two alerts on how fast an objective's budget of errors burns."""
    name, title = objective.name, objective.title
    begin = name.capitalize().removesuffix("s") if name == "runs" else name.capitalize()
    windows = " and ".join(long for long, _, _ in FAST_BURNS)
    enough = f"sum by (job) (increase({objective.errors}[1h])) >= {objective.least_errors_an_hour}"
    yield Alert(
        name=f"{begin}BudgetBurnsFast", severity="page", wait="2m",
        expr=f"({burning(FAST_BURNS, name)})\nand on (job) {enough}",
        summary=f"The month's budget of errors ({title}) burns {{{{ $value | humanize }}}} times too fast",
        means=f"The target is {objective.target:.4g} of {title} in 30 days. Over {windows} so many failed that what may "
        f"fail in a month is used up within days. With fewer than {objective.least_errors_an_hour} errors in an hour "
        "nobody is woken.",
        hurts="Whoever uses the application now." if name == "http" else "Whoever waits for a run.",
        confirm=(f'NS:slo_errors:ratio_rate1h{{slo="{name}"}}', *WHERE_TO_LOOK[name]), act=WHAT_TO_DO[name],
    )  # fmt: skip
    yield Alert(
        name=f"{begin}BudgetBurnsSlowly", severity="ticket", wait="1h", expr=burning(SLOW_BURNS, name),
        summary=f"At this pace ({{{{ $value | humanize }}}} times) the month's budget of errors ({title}) does not last",
        means=f"The target is {objective.target:.4g} of {title} in 30 days. Few fail, but they do so all day long.",
        hurts="Few, again and again: look for one workflow, endpoint or customer that fails every time.",
        confirm=(f'NS:slo_errors:ratio_rate1d{{slo="{name}"}}', *WHERE_TO_LOOK[name]), act=WHAT_TO_DO[name],
    )  # fmt: skip


# fmt: off
RUNS = (
    *(alert for objective in OBJECTIVES for alert in budget_alerts(objective)),
    Alert(name="RunStuck", severity="page", wait="2m",
        expr="max by (job, workflow_type) (NS_workflow_oldest_active_seconds)\n"
        f"> on (job) group_left () ({RUN_TIME_LIMITS} * max by (job) (NS_workflow_time_limit_seconds))",
        summary="A run of {{ $labels.workflow_type }} has been under way for {{ $value | humanizeDuration }}",
        means=f"A run is {RUN_TIME_LIMITS} times as old as its time limit allows. It holds one of the places for runs until it ends.",
        hurts="Who waits for this run, and with all places held who waits for any.",
        confirm=("max by (workflow_type) (NS_workflow_oldest_active_seconds)",
            "sum by (workflow_type) (NS_active_workflows)", "sum by (model) (NS_llm_active_requests)",
            "max by (pool) (NS_db_connection_oldest_hold_seconds)"),
        act=("Find the oldest active run by the API, and cancel it.",
            "Several hang: see whether they wait for a model (calls under way) or for the database (holds).",
            "Restart the process: runs are taken up again where they stopped.")),
    Alert(name="QueueSlow", severity="ticket", wait="10m",
        expr=f"workflow:NS_workflow_queue_wait_seconds:p95_rate10m > {QUEUE_SECONDS}\n"
        f"or max by (job, workflow_type) (NS_workflow_oldest_queued_seconds) > {QUEUE_SECONDS}",
        summary="Runs of {{ $labels.workflow_type }} wait {{ $value | humanizeDuration }} before they begin",
        means=f"One in twenty runs waited longer than {QUEUE_SECONDS} seconds in the queue, or the first in it waits longer: "
        "while all places are taken no run leaves the queue, and no wait is measured.",
        hurts="Whoever submits a run; the results are as good as ever, only late.",
        confirm=("max by (workflow_type) (NS_workflow_oldest_queued_seconds)",
            "sum by (workflow_type) (NS_active_workflows)",
            "sum by (workflow_type) (rate(NS_workflows_started_total[10m])) * 60",
            promql.quantile(0.95, "workflow_duration_seconds", "workflow_type", 'status="completed"', "10m")),
        act=("Runs take longer than they did: look for a slow model or step first.",
            "More are submitted: raise the number of runs at once, if pool and rate limit have room.")),
    Alert(name="QueueStands", severity="page", wait="5m",
        expr="max by (job) (sum by (job, instance) (NS_workflows_queued)) > 0\n"
        "and on (job) sum by (job) (NS_active_workflows) < on (job) sum by (job) (NS_workflow_slots)\n"
        "unless on (job) sum by (job) (increase(NS_workflows_started_total[10m])) > 0",
        summary="{{ $value | humanize }} runs wait, there are free places, and none has begun for ten minutes",
        means="The queue stands still. Runs that wait while all places are taken are no trouble of this kind.",
        hurts="Whoever waits for a run.",
        confirm=("max by (workflow_type) (NS_workflows_queued)", "sum(NS_active_workflows) / sum(NS_workflow_slots)",
            "max by (workflow_type) (NS_workflow_oldest_queued_seconds)",
            "sum by (pool, error) (increase(NS_db_pool_errors_total[10m])) > 0"),
        act=("The workflow engine lost its database: see the failures by pool.",
            "Restart the process: runs stay in the queue and are taken up.")),
    Alert(name="RunsWithoutHolder", severity="page", wait="2m",
        expr="job:NS_workflows_without_holder:max > 0\nunless on (job) job:NS_workflow_executors:max == 0",
        summary="{{ $value | humanize }} {{ $labels.status }} runs are in the hands of no process",
        means="The process that performed them is dead, or none lives of the version that they wait for. A sweep of any host "
        "gives such runs to another process within seconds, and has not done so for two minutes. With no process at all it "
        "is NoExecutor.",
        hurts="Whoever waits for these runs: nobody performs them.",
        confirm=("max by (status) (NS_workflows_without_holder)", "max(NS_workflow_executors)",
            "max by (status) (NS_workflow_oldest_unfinished_seconds)", promql.grown("workflow_requeues_total", "reason", "10m") + " > 0",
            "count by (version) (NS_build_info)"),
        act=("The log of each host says why its sweeps fail: what it says of the database first.",
            "Another program holds their rows: `pg_stat_activity` of the database shows who waits for whom.",
            "Otherwise restart a process: it looks through all unfinished runs at its start.")),
    Alert(name="NoExecutor", severity="page", wait="2m",
        expr="job:NS_workflow_executors:max == 0\nand on (job) sum by (job) (job:NS_workflows_unfinished:max) > 0",
        summary="No process that performs runs is alive, and runs wait",
        means="Runs are taken and stand in the queue, or were begun: all processes that perform them are stopped or dead.",
        hurts="Whoever waits for a run.",
        confirm=("max(NS_workflow_executors)", "max by (status) (NS_workflows_unfinished)", "sum by (instance) (NS_workflow_slots)", 'up{job="JOB"}'),
        act=("Start a process that performs runs: it takes up those that were begun, and then the queue.",
            "They are there: their leases have lapsed, so they do not reach the database, or too late. Ask their /health.")),
    Alert(name="QueueNearlyFull", severity="ticket", wait="2m",
        expr="max by (job) (sum by (job, instance) (NS_workflows_queued))\n"
        f"/ max by (job) (NS_workflow_queue_limit) > {QUEUE_USED}",
        summary="The queue of runs is at {{ $value | humanizePercentage }} of what it may hold; more are refused",
        means="More runs are submitted than are performed.",
        hurts="Whoever submits one next: it is refused with 429.",
        confirm=("max by (workflow_type) (NS_workflows_queued)",
            "sum by (workflow_type) (rate(NS_workflows_started_total[10m])) * 60"),
        act=("See who submits so many.", "Raise the number of runs at once, if pool and rate limit have room.")),
    Alert(name="AgentFails", severity="ticket", wait="5m",
        expr=f"agent:NS_agent_failures:ratio_rate10m > {AGENT_FAILURES}\nand on (job, agent_name) sum by (job, agent_name) "
        '(increase(NS_agent_executions_total{status!="cancelled"}[10m])) >= 10',
        summary="{{ $labels.agent_name }} fails in {{ $value | humanizePercentage }} of its executions",
        means="Of ten executions or more in ten minutes too many came to nothing, retries and fallbacks included.",
        hurts="The runs that need this agent.",
        confirm=(promql.grown("agent_errors_total", "agent_name, error_type", "10m", 'error_type!="cancelled"') + " > 0",),
        act=("rate_limited, provider_5xx, connection: look at the model's provider.",
            "invalid_response: the prompt or the schema changed, or the model did.",
            "timeout: see how long calls take, and what the limit is.")),
    Alert(name="AgentLoops", severity="ticket", wait="10m",
        expr=f"{promql.mean('agent_llm_calls', 'job, agent_name', window='15m')} > {AGENT_CALLS}",
        summary="{{ $labels.agent_name }} asks the model {{ $value | humanize }} times an execution",
        means="An agent needs more calls than an agent should: each is waited for and paid.",
        hurts="Whoever pays, and whoever waits.",
        confirm=("sum by (model, reason) (increase(NS_llm_invalid_outputs_total[15m])) > 0",
            "sum by (tool_name, status) (increase(NS_tool_calls_total[15m])) > 0",
            promql.mean("agent_tool_calls", "agent_name", window="15m")),
        act=("Invalid outputs: answers that do not fit are asked for again; mend prompt or schema.",
            "Many uses of tools: it calls a tool in a circle; limit the number, or mend what the tool returns.")),
    Alert(name="ReviewerRejects", severity="ticket", wait="10m",
        expr='sum by (job, agent_name) (increase(NS_agent_review_verdicts_total{verdict="rejected"}[1h]))\n'
        f"/ (sum by (job, agent_name) (increase(NS_agent_review_verdicts_total[1h])) >= 20) > {REJECTED}",
        summary="{{ $labels.agent_name }} rejects {{ $value | humanizePercentage }} of what it reviews",
        means="Of twenty verdicts or more in an hour too many are rejections: what was made is of no use.",
        hurts="Whoever waits for a result, and whoever pays for what is thrown away.",
        confirm=("sum by (agent_name, verdict) (increase(NS_agent_review_verdicts_total[1h]))",
            'sum by (workflow_type) (increase(NS_workflow_cost_usd_total{outcome="wasted"}[1h]))'),
        act=("A prompt or a model changed: compare with the lines of deploys.",
            "Read three rejected results beside three approved ones.")),
    Alert(name="CountsDoNotAddUp", severity="ticket", wait="10m",
        expr="abs(\n"
        "  (sum by (job, instance) (NS_workflows_started_total) - sum by (job, instance) (NS_workflows_total)"
        " - sum by (job, instance) (NS_active_workflows))\n"
        "  - (sum by (job, instance) (NS_workflows_started_total offset 30m)"
        " - sum by (job, instance) (NS_workflows_total offset 30m)"
        " - sum by (job, instance) (NS_active_workflows offset 30m))\n"
        ") > 0\n"
        "unless on (job, instance) sum by (job, instance) "
        '(increase(NS_events_total{signal=~"workflow_resumed|workflow_released"}[35m])) > 0\n'
        "unless on (job, instance) changes(process_start_time_seconds[35m]) > 0\n"
        "unless on (job, instance) increase(NS_workers_started_total[35m]) > 0",
        summary="{{ $labels.instance }}: {{ $value }} runs have neither ended nor are active",
        means="Runs that began, less those that ended, less those under way, is the same number for as long as nothing "
        "restarts and no run moves to another process. It changed: an event was lost.",
        hurts="Nobody but who reads these numbers.",
        confirm=("sum by (instance) (NS_workflows_started_total) - sum by (instance) (NS_workflows_total)"
            " - sum by (instance) (NS_active_workflows)", "sum by (signal, receiver) (max_over_time(NS_receiver_failures_total[1d])) > 0"),
        act=("Save `/metrics` and the log.", "Failures of receivers explain it; without any, report it as a bug.")),
)
# fmt: on
