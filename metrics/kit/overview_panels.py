"""The first dashboard, which answers whether all is well, and if not, which dashboard is next."""

from __future__ import annotations

from . import promql
from .objectives import AGENT_FAILURES, MODEL_ERRORS, OBJECTIVES, QUEUE_SECONDS, SPEND_WASTED, USD_A_DAY
from .panel_rows import A_MINUTE, Dashboard, Panel, Section, q

FAILED_RUNS = promql.increase("workflows_total", where='status=~"failed|abandoned"', window="1h")
JUDGED_RUNS = promql.increase("workflows_total", where='status!="cancelled"', window="1h")
WASTED = promql.increase("workflow_cost_usd_total", where='outcome="wasted"', window="1h")
SPENT = promql.increase("workflow_cost_usd_total", window="1h")
RUNS = OBJECTIVES[0]
FAILED_30D, RUNS_30D = (f"sum(increase({each}[30d]))" for each in (RUNS.errors, RUNS.total))
BUDGET_LEFT = f"clamp_min(1 - ({FAILED_30D} or vector(0)) / ({RUNS_30D} > 0) / (1 - {RUNS.target:g}), 0)"
DURATION = "workflow_duration_seconds"
COMPLETED = 'status="completed"'
# Seconds of the last hour for which there are samples: an hour that is not over yet is no slow one.
COVERED = 'scalar(clamp_min(time() - min(min_over_time(timestamp(up{job="JOB"})[1h:15s])), 60))'

# fmt: off
OVERVIEW = Dashboard(uid="overview", title="Overview",
    what="Is it well, and if not, which dashboard next? Each panel opens the dashboard that says more.",
    sections=(
        Section(title="Now", panels=(
            Panel(title="Instances up", show="stat", unit="percentunit", width=3, height=4, opens="pipeline",
                steps={0: "red", 0.01: "orange", 1: "green"}, queries=(q('avg(up{job="JOB"})'),),
                what="The share of instances whose /metrics answers."),
            Panel(title="Runs that end well, 1 h", show="stat", unit="percentunit", width=3, height=4, opens="work",
                steps={0: "red", 0.98: "orange", 0.99: "green"}, what="In the last hour, without those that people cancelled.",
                queries=(q(f"1 - {promql.share(FAILED_RUNS, JUDGED_RUNS)}"),)),
            Panel(title="Budget of errors left", show="gauge", unit="percentunit", width=3, height=4, opens="work",
                steps={0: "red", 0.25: "orange", 0.5: "green"}, what="Of runs, over 30 days; 0 is spent.",
                queries=(q(BUDGET_LEFT),)),
            Panel(title="Runs", show="stat", unit="short", width=3, height=4, opens="work", what="Under way, waiting in the queue, and possible at once.",
                queries=(q("sum(NS_active_workflows)", "active"), q("sum(max by (workflow_type) (NS_workflows_queued))", "queued"), q("sum(NS_workflow_slots)", "slots"))),
            Panel(title="Oldest run, of its limit", show="stat", unit="percentunit", width=3, height=4, opens="work", steps={0: "green", 0.8: "orange", 1: "red"}, what="As a share of a run's time limit.",
                queries=(q("max(NS_workflow_oldest_active_seconds) / max(NS_workflow_time_limit_seconds)"),)),
            Panel(title="Spend a day", show="stat", unit="currencyUSD", width=3, height=4, opens="models", steps={0: "green", 0.8 * USD_A_DAY: "orange", USD_A_DAY: "red"},
                what="At the pace of the last hour, or of as much of it as was scraped.",
                queries=(q(f"{promql.increase('llm_cost_usd_total', window='1h')} / {COVERED} * 86400"),)),
            Panel(title="Wasted, 1 h", show="stat", unit="percentunit", width=3, height=4, opens="models", steps={0: "green", SPEND_WASTED / 2: "orange", SPEND_WASTED: "red"},
                what="Share of the last hour's cost of runs that failed, were cancelled or whose result was rejected.",
                queries=(q(promql.share(WASTED, SPENT)),)),
            Panel(title="Alerts firing", show="stat", what="Of this kit's alerts.", unit="none", width=3, height=4, steps={0: "green", 1: "red"},
                queries=(q('count(ALERTS{alertname=~"ALERT.+",alertstate="firing",job="JOB"}) or vector(0)'),)),
        )),
        Section(title="Is the work done?", panels=(
            Panel(title="Runs that ended, a minute", show="bars", unit=A_MINUTE, opens="work",
                colours={"completed": "green", "failed": "red", "cancelled": "gray", "abandoned": "purple"},
                queries=(q(f"{promql.rate('workflows_total', 'status')} * 60", "{{status}}"),)),
            Panel(title="Burn of budgets of errors", show="lines", unit="none", steps={0: "green", 1: "orange", 14.4: "red"},
                what="1: the budget lasts exactly 30 days. Above 14.4 in both windows somebody is woken, and above 6 for six hours.",
                queries=(q("NS:slo_burn:rate5m", "{{slo}} 5 min"), q("NS:slo_burn:rate1h", "{{slo}} 1 h"))),
            Panel(title="Time of a completed run", show="lines", opens="work",
                queries=(q(promql.quantile(0.5, DURATION, where=COMPLETED), "p50"), q(promql.quantile(0.95, DURATION, where=COMPLETED), "p95"))),
        )),
        Section(title="Why not?", panels=(
            Panel(title="Models: calls that come to nothing", show="lines", unit="percentunit", height=6, opens="models", steps={0: "green", MODEL_ERRORS: "red"},
                queries=(q("model:NS_llm_errors:ratio_rate5m", "{{model}}"),)),
            Panel(title="Agents: executions that fail", show="lines", unit="percentunit", height=6, opens="work", steps={0: "green", AGENT_FAILURES: "red"},
                queries=(q("agent:NS_agent_failures:ratio_rate10m", "{{agent_name}}"),)),
            Panel(title="HTTP: faults of the server", show="lines", what="Without health checks: their 503 is the answer that a probe asks for.", unit="percentunit", height=6, opens="http", steps={0: "green", 0.01: "red"},
                queries=(q('NS:slo_errors:ratio_rate5m{slo="http"}', "faults"),)),
            Panel(title="Database: connections in use", show="lines", unit="percentunit", width=7, height=6, opens="database", steps={0: "green", 0.8: "orange", 0.95: "red"},
                queries=(q("pool:NS_db_pool_used:ratio", "{{pool}}"),)),
            Panel(title="Wait in the queue, p95 of 10 min", show="lines", width=7, height=6, opens="work", steps={0: "green", QUEUE_SECONDS: "red"},
                unit="s", queries=(q("workflow:NS_workflow_queue_wait_seconds:p95_rate10m", "{{workflow_type}}"),)),
            Panel(title="Alerts that fire", show="table", unit="short", width=10, height=6, empty="No alert fires.",
                queries=(q('count by (alertname, severity) (ALERTS{alertname=~"ALERT.+",alertstate="firing",job="JOB"})', "series"),)),
        )),
    ))
# fmt: on
