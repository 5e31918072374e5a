"""The dashboard of agents and workflows."""

from __future__ import annotations

from . import promql
from .objectives import QUEUE_SECONDS
from .panel_rows import A_MINUTE, Dashboard, Panel, Section, Variable, q

RUN = 'workflow_type=~"$workflow"'
TAKEN_UP = promql.increase("workflows_resumed_total", "workflow_type", RUN)
AGENT = 'agent_name=~"$agent"'
RANGE = "$__range"
EXECUTIONS = promql.increase("agent_executions_total", "agent_name", AGENT)
FAILED = promql.increase("agent_executions_total", "agent_name", f'{AGENT},status=~"error|timeout"')
JUDGED = promql.increase("agent_executions_total", "agent_name", f'{AGENT},status!="cancelled"')
TIME = promql.rate("agent_time_seconds_total", where=AGENT)

# fmt: off
WORK = Dashboard(uid="work", title="Agents and workflows",
    what="Runs from the queue to their end, their steps, and the agents in them.",
    variables=(Variable(name="workflow", family="workflows_total", label="workflow_type"), Variable(name="agent", family="agent_executions_total", label="agent_name")),
    sections=(
        Section(title="Runs", panels=(
            Panel(title="Runs that ended, a minute", show="bars", unit=A_MINUTE, colours={"completed": "green", "failed": "red", "cancelled": "gray", "abandoned": "purple"},
                queries=(q(f"{promql.rate('workflows_total', 'status', RUN)} * 60", "{{status}}"),)),
            Panel(title="Runs under way and queued, and slots", show="lines", unit="short", queries=(
                q(f"sum by (workflow_type) (NS_active_workflows{{{RUN}}})", "{{workflow_type}}"), q(f"sum(max by (workflow_type) (NS_workflows_queued{{{RUN}}}))", "queued"), q("sum(NS_workflow_slots)", "slots"))),
            Panel(title="Oldest run and oldest in the queue", show="lines", unit="s", what="The overview has the oldest run as a share of its time limit.", queries=(
                q(f"max by (workflow_type) (NS_workflow_oldest_active_seconds{{{RUN}}})", "{{workflow_type}}"), q(f"max(NS_workflow_oldest_queued_seconds{{{RUN}}})", "queued"))),
            Panel(title="Slots in use", show="lines", unit="percentunit", steps={0: "green", 1: "orange"}, queries=(q("sum(NS_active_workflows) / (sum(NS_workflow_slots) > 0)", "in use"),)),
            Panel(title="Wait in the queue, p95", show="lines", steps={0: "green", QUEUE_SECONDS: "red"}, queries=(q(promql.quantile(0.95, "workflow_queue_wait_seconds", "workflow_type", RUN), "{{workflow_type}}"),)),
            Panel(title="Time of a completed run", show="heatmap", queries=(q(promql.buckets("workflow_duration_seconds", f'{RUN},status="completed"'), "{{le}}"),)),
            Panel(title="Why runs fail, a minute", show="bars", unit=A_MINUTE, width=6, empty="No run failed.", queries=(q(promql.causes("workflow_errors_total", "workflow_type, error_type", RUN), "{{workflow_type}} {{error_type}}"),)),
            Panel(title="Model calls of a run", show="lines", unit="short", width=6, queries=(q(promql.mean("workflow_llm_calls", "workflow_type", RUN), "{{workflow_type}}"),)),
            Panel(title="Taken up and queued again, in the range", show="table", unit="short", width=12, join="workflow_type", queries=(
                q(TAKEN_UP, "taken up"), q(f'{promql.increase_since_birth("workflow_requeues_total", "workflow_type", RUN)}\nor 0 * {TAKEN_UP}', "queued again"),
                q(promql.increase("workflows_total", "workflow_type", f'{RUN},status="abandoned"'), "abandoned"))),
        )),
        Section(title="Hosts", panels=(
            Panel(title="Processes that perform runs", show="lines", unit="short", width=6, height=7, what="Alive by what they store in the database, and those of them that are scraped.", queries=(
                q("job:NS_workflow_executors:max", "alive"), q("count(NS_workflow_slots > 0)", "scraped"))),
            Panel(title="Runs without a holder", show="lines", unit="short", width=6, height=7, what="0 is well; above it for a moment, a dead process's runs are about to be taken over.", steps={0: "green", 1: "red"}, queries=(
                q("job:NS_workflows_without_holder:max", "{{status}}"),)),
            Panel(title="Unfinished runs", show="lines", unit="short", width=6, height=7, queries=(q("job:NS_workflows_unfinished:max", "{{status}}"),)),
            Panel(title="Oldest unfinished run", show="lines", width=6, height=7, unit="s", queries=(q("job:NS_workflow_oldest_unfinished_seconds:max", "{{status}}"),)),
            Panel(title="Runs under way, by instance", show="stacked", unit="short", width=12, height=7, queries=(q("sum by (instance) (NS_active_workflows)", "{{instance}}"),)),
            Panel(title="Queued again, a minute", show="bars", unit=A_MINUTE, width=12, height=7, empty="No run was queued again.", queries=(q(promql.causes("workflow_requeues_total", "reason"), "{{reason}}"),)),
        )),
        Section(title="Steps", panels=(
            Panel(title="Time of a step, p95", show="bar gauge", unit="s", width=12, queries=(q(f"sort_desc(step:NS_workflow_step_duration_seconds:p95_rate15m{{{RUN}}})", "{{workflow_type}} {{step}}"),)),
            Panel(title="Steps that failed, in the range", show="table", unit="short", width=12, empty="No step failed.",
                queries=(q(f"""sort_desc({promql.increase('workflow_steps_total', 'workflow_type, step, status', f'{RUN},status!~"success|cancelled"')} > 0)""", "times"),)),
        )),
        Section(title="Agents", panels=(
            Panel(title="Agents at a glance", show="table", unit="short", width=24, join="agent_name", queries=(
                q(EXECUTIONS, "executions"), q(promql.share(FAILED, JUDGED), "failed", "percentunit"), q(promql.quantile(0.95, "agent_execution_duration_seconds", "agent_name", AGENT, RANGE), "p95", "s"),
                q(promql.share(promql.increase("agent_cost_usd_total", "agent_name", AGENT), EXECUTIONS), "cost each", "currencyUSD"),
                q(promql.share(promql.increase("agent_tokens_total", "agent_name", AGENT), EXECUTIONS), "tokens each"), q(promql.mean("agent_llm_calls", "agent_name", AGENT, RANGE), "model calls each", "none"))),
            Panel(title="Why agents fail, a minute", show="bars", unit=A_MINUTE, empty="No agent failed.", queries=(q(promql.causes("agent_errors_total", "agent_name, error_type", f'{AGENT},error_type!="cancelled"'), "{{agent_name}} {{error_type}}"),)),
            Panel(title="Where agents' time goes", show="shares", unit="percentunit", queries=(q(f"{promql.rate('agent_time_seconds_total', 'phase', AGENT)} / ignoring (phase) group_left () ({TIME} > 0)", "{{phase}}"),)),
            Panel(title="Verdicts of reviewers, a minute", show="stacked", unit=A_MINUTE, colours={"approved": "green", "revise": "orange", "rejected": "red"}, queries=(q(f"{promql.rate('workflow_review_verdicts_total', 'verdict', RUN)} * 60", "{{verdict}}"),)),
            Panel(title="Share of the window that contexts want, p95", show="lines", width=6, height=6, steps={0: "green", 0.8: "orange", 1: "red"}, queries=(q(promql.quantile(0.95, "context_window_utilization_ratio", "agent_name", AGENT), "{{agent_name}}"),)),
            Panel(title="Contexts cut, a minute", show="bars", unit=A_MINUTE, width=6, height=6, empty="No context was cut.", queries=(q(promql.causes("context_truncations_total", "agent_name, reason", AGENT), "{{agent_name}} {{reason}}"),)),
            Panel(title="Context, p95", show="lines", width=6, height=6, queries=(q(promql.quantile(0.95, "context_size_bytes", "agent_name", AGENT), "{{agent_name}}"),)),
            Panel(title="Uses of tools, a minute", show="lines", unit=A_MINUTE, width=6, height=6, empty="No agent used a tool.", queries=(q(f"{promql.rate('tool_calls_total', 'tool_name, status')} * 60", "{{tool_name}} {{status}}"),)),
            Panel(title="Answers that pass, in the range", show="bar gauge", unit="percentunit", what="Of those that were evaluated, by the agent that gave them.", width=6, height=6, empty="No answer was evaluated.",
                queries=(q(promql.share(promql.increase("evaluations_total", "agent_name", f'{AGENT},result="pass"'), promql.increase("evaluations_total", "agent_name", f'{AGENT},result!="error"')), "{{agent_name}}"),)),
            Panel(title="Score of answers, mean", show="lines", unit="percentunit", what="From 0, the worst, to 1, by who evaluated them.", width=6, height=6, empty="No answer was evaluated.", queries=(q(promql.mean("evaluation_score", "evaluator"), "{{evaluator}}"),)),
            Panel(title="Guardrails that let nothing pass, in the range", show="bar gauge", unit="short", what="Checks that triggered, failed or were cancelled, by the guardrail.", width=6, height=6, empty="No guardrail stopped anything.",
                queries=(q(f"""{promql.increase("guardrail_checks_total", "kind, guardrail, outcome", 'outcome!="passed"')} > 0""", "{{kind}} {{guardrail}} {{outcome}}"),)),
            Panel(title="Guardrails, p95", show="lines", what="A guardrail before the model holds up every answer.", width=6, height=6, empty="No guardrail checked anything.", queries=(q(promql.quantile(0.95, "guardrail_duration_seconds", "guardrail"), "{{guardrail}}"),)),
            Panel(title="Lookups of documents, p95", show="lines", width=6, height=6, empty="Nothing was looked up.", queries=(q(promql.quantile(0.95, "retrieval_duration_seconds", "data_source"), "{{data_source}}"),)),
            Panel(title="Documents that a lookup finds, mean", show="lines", unit="short", width=6, height=6, empty="Nothing was looked up.", queries=(q(promql.mean("retrieval_documents", "data_source"), "{{data_source}}"),)),
        )),
    ))
# fmt: on
