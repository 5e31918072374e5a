"""The dashboard of the numbers themselves, and of the processes that they come from."""

from __future__ import annotations

from . import promql
from .objectives import DESCRIPTORS_USED, LOOP_LAG_SECONDS, SERIES
from .panel_rows import Dashboard, Panel, Section, q

INTERVAL = "$__rate_interval"
LOST = (
    ("receiver_failures_total", "failures of listeners"),
    ("events_dropped_total", "events dropped"),
    ("label_overflows_total", "labels past their limit"),
    ("dropped_values_total", "values left out"),
    ("collector_failures_total", "metrics lost"),
    ("worker_file_faults_total", "faults of workers' files"),
)

# fmt: off
PIPELINE = Dashboard(uid="pipeline", title="Pipeline and processes", what="Can the numbers be believed, and are the processes well?",
    sections=(
        Section(title="Can the numbers be believed?", panels=(
            Panel(title="Time of a scrape", show="lines", unit="s", width=6, height=7, queries=(
                q('scrape_duration_seconds{job="JOB"}', "{{instance}}"), q(promql.quantile(0.95, "metrics_render_duration_seconds"), "writing, p95"))),
            Panel(title="Series", show="lines", unit="short", width=6, height=7, steps={0: "green", SERIES: "red"}, queries=(q("NS_metrics_rendered_series", "{{instance}}"),)),
            Panel(title="What got lost, in the range", show="stat", unit="short", width=12, height=7, steps={0: "green", 1: "red"}, what="0 is well.",
                queries=tuple(q(f"{promql.trouble_seen(family, '', '$__range')} or vector(0)", legend) for family, legend in LOST)),
            Panel(title="Signals", show="table", unit="short", width=12, height=10, join="signal", queries=(
                q(promql.increase("events_total", "signal"), "events"), q("clamp_min(time() - max by (signal) (NS_last_event_timestamp_seconds > 0), 0)", "last", "s"))),
            Panel(title="Events a second", show="stacked", unit="ops", width=12, height=10, queries=(q(f"topk(10, {promql.rate('events_total', 'signal')})", "{{signal}}"),)),
            Panel(title="Events of listeners, a second", show="stacked", what="Of the audit trail, the log, the webhook and the live feed: delivered, or what else became of them.", unit="ops", width=16, height=7, empty="No listener passed anything on.", queries=(
                q(f"{promql.rate('listener_events_total', 'listener, outcome')} > 0", "{{listener}} {{outcome}}"),)),
            Panel(title="Clients of the live feed", show="lines", unit="short", width=8, height=7, empty="There is no live feed.", queries=(q("sum by (instance) (NS_live_feed_clients)", "{{instance}}"),)),
            Panel(title="Largest metrics", show="bar gauge", what="Series of each metric, over all instances.", unit="short", width=24, height=10, queries=(q('topk(12, count by (__name__) ({__name__=~"NS_.+",job="JOB"}))', "{{__name__}}"),)),
        )),
        Section(title="Are the processes well?", panels=(
            Panel(title="Memory", show="lines", what="Resident memory of each process; of several workers, their sum.", unit="bytes", width=6, height=7, queries=(q('process_resident_memory_bytes{job="JOB"}', "{{instance}}"),)),
            Panel(title="Processor", show="lines", unit="percentunit", width=6, height=7, what="1 is one core.", queries=(q('rate(process_cpu_seconds_total{job="JOB"}[$__rate_interval])', "{{instance}}"),)),
            Panel(title="File descriptors", show="lines", what="Open ones, as a share of those that a process may have.", unit="percentunit", width=6, height=7, steps={0: "green", DESCRIPTORS_USED: "red"}, queries=(q('process_open_fds{job="JOB"} / process_max_fds{job="JOB"}', "{{instance}}"),)),
            Panel(title="Event loop's lag", show="lines", what="One long stall is one late look of many: the mean shows it.", width=6, height=7, steps={0: "green", LOOP_LAG_SECONDS: "red"},
                queries=(q(promql.quantile(0.95, "event_loop_lag_seconds", "instance"), "{{instance}} p95"), q(promql.mean("event_loop_lag_seconds", "instance"), "{{instance}} mean"))),
            Panel(title="Components that can be reached", show="lines", unit="none", width=6, height=7, queries=(q("min by (component) (NS_component_up)", "{{component}}"),)),
            Panel(title="Builds", show="table", unit="short", width=8, height=7, queries=(q("count by (version, revision) (NS_build_info)", "instances"),)),
            Panel(title="Memory of models' processes", show="lines", width=5, height=7, empty="The application runs no model itself.", queries=(q("sum by (model) (NS_llm_process_resident_memory_bytes)", "{{model}}"),)),
            Panel(title="Workers and restarts", show="lines", unit="short", width=5, height=7, what="Workers that serve, and starts of processes and of workers that replaced others, in each interval.", queries=(
                q("sum(NS_workers)", "serving"), q(f'sum(changes(process_start_time_seconds{{job="JOB"}}[{INTERVAL}]))', "restarts"), q(promql.increase("workers_started_total", window=INTERVAL), "workers started"))),
        )),
    ))
# fmt: on
