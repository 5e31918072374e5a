"""Alerts on the processes, and on the pipeline that the other alerts rely on."""

from __future__ import annotations

from . import promql
from .alert_rows import Alert
from .objectives import DESCRIPTORS_USED, LOOP_LAG_MEAN_SECONDS, LOOP_LAG_SECONDS, SCRAPE_SECONDS, SERIES

UP = 'up{job="JOB"}'
LARGEST = 'topk(10, count by (__name__) ({job="JOB"}))'

YOUNG = '(time() - process_start_time_seconds{job="JOB"} < 1800)'
"""There for half an hour after a start."""

LOST = 'listener!="live_feed",outcome=~"dropped|failed|dead_letter"'
"""Events that a listener was to deliver and did not."""

# fmt: off
PROCESSES = (
    Alert(name="Down", severity="page", wait="1m",
        expr=f"max by (job) ({UP}) == 0",
        summary="{{ $labels.job }}: /metrics does not answer",
        means="No instance answers scrapes. Every other alert of the job is blind, and muted while this one fires.",
        hurts="Everybody, where the process is down; nobody, where only the scrape fails.",
        confirm=(UP, 'changes(process_start_time_seconds{job="JOB"}[1h])'),
        act=("Ask /health/live of the application. It answers: the scrape is wrong (token, port, name).",
            "It does not: the process and its log; the kernel's log for the out-of-memory killer.",
            "Runs go on where they stopped once it is back.")),
    Alert(name="InstanceDown", severity="ticket", wait="2m",
        expr=f"{UP} == 0\nand on (job) max by (job) ({UP}) == 1",
        summary="{{ $labels.instance }}: /metrics does not answer, other instances do",
        means="One of several instances does not answer scrapes.",
        hurts="Nobody while the others have room.",
        confirm=(UP,),
        act=("As for Down, on that instance.",)),
    Alert(name="Absent", severity="page", wait="5m",
        expr=f"absent({UP})",
        summary="Prometheus has no target of the job {{ $labels.job }}",
        means="The job is configured nowhere, or discovery finds nothing for it: all other alerts are blind.",
        hurts="Whoever relies on being woken.",
        confirm=("count by (job) (up)",),
        act=("See *Status, Targets* in Prometheus, and what was changed in its configuration.",)),
    # It waits for longer than DatabaseFails needs, which mutes it.
    Alert(name="ComponentDown", severity="page", wait="3m",
        expr="min by (job, component) (NS_component_up) == 0",
        summary="{{ $labels.component }} cannot be reached",
        means="What the application needs does not answer its check: the database, each of the models, or the workflow engine. "
        "Calls may fail at a model that can be reached: ModelFails. A full queue leaves the engine up: QueueNearlyFull.",
        hurts="Database: everybody. Model, workflows: whoever waits for a run.",
        confirm=("min by (instance, component) (NS_component_up)", promql.grown("db_errors_total", "phase, error", "5m") + " > 0",
            "sum by (provider, outcome) (increase(NS_llm_attempts_total[5m])) > 0"),
        act=("Ask /health: it says of each component what is wrong.", "Database: as for DatabaseFails; model: as for ModelFails.",
            "Nothing is lost: runs go on once it is back.")),
    Alert(name="EventLoopLags", severity="ticket", wait="5m",
        expr=f"({promql.quantile(0.95, 'event_loop_lag_seconds', 'job, instance', window='5m')}) > {LOOP_LAG_SECONDS}\n"
        f"or {promql.mean('event_loop_lag_seconds', 'job, instance', window='5m')} > {LOOP_LAG_MEAN_SECONDS}",
        summary="{{ $labels.instance }}: the event loop is {{ $value | humanizeDuration }} late",
        means="Something keeps the event loop busy, or the process has no processor time: every request waits. One long "
        "stall is one late look of many, which the mean shows and the 95th percentile does not.",
        hurts="Whoever waits for an answer.",
        confirm=(promql.quantile(0.95, "event_loop_lag_seconds", "instance", window="5m"),
            promql.mean("event_loop_lag_seconds", "instance", window="5m"), 'rate(process_cpu_seconds_total{job="JOB"}[5m])'),
        act=("The processor is busy: give the process more, or start more of them.",
            "It is not: blocking work on the loop; `py-spy dump --pid PID` shows where.")),
    Alert(name="RestartsOften", severity="ticket",
        expr=f'changes(process_start_time_seconds{{job="JOB"}}[30m]) > 3\n'
        f"or (increase(NS_workers_started_total[30m]) unless on (job, instance) {YOUNG}) > 5\n"
        f"or increase(NS_workers_started_total[30m]) - (max_over_time(NS_workers[30m]) and on (job, instance) {YOUNG}) > 5",
        summary="{{ $labels.instance }} started anew {{ $value | humanize }} times in half an hour",
        means="The process, or its workers, end and are started again. The first start of each worker is not counted.",
        hurts="Whose requests and runs are interrupted; runs are taken up again.",
        confirm=('changes(process_start_time_seconds{job="JOB"}[30m])', 'process_resident_memory_bytes{job="JOB"}'),
        act=("The last lines of the log before each start.", "The kernel's log for the out-of-memory killer.")),
    Alert(name="MemoryGrows", severity="ticket", wait="30m",
        expr='predict_linear(process_resident_memory_bytes{job="JOB"}[2h], 6 * 3600)'
        ' > 2 * process_resident_memory_bytes{job="JOB"}\n'
        'and deriv(process_resident_memory_bytes{job="JOB"}[30m]) > 0\n'
        'and on (job, instance) (time() - process_start_time_seconds{job="JOB"} > 7200)',
        summary="{{ $labels.instance }}: memory doubles within six hours",
        means="Memory has grown steadily for two hours, and does so still.",
        hurts="Nobody until the process is killed.",
        confirm=('process_resident_memory_bytes{job="JOB"}', 'deriv(process_resident_memory_bytes{job="JOB"}[30m])'),
        act=("It grows with what is under way: that is load.", "It grows by itself: a leak; a restart buys time.")),
    Alert(name="DescriptorsRunOut", severity="page", wait="5m",
        expr=f'process_open_fds{{job="JOB"}} / process_max_fds{{job="JOB"}} > {DESCRIPTORS_USED}',
        summary="{{ $labels.instance }}: {{ $value | humanizePercentage }} of the file descriptors are open",
        means="Soon no connection can be accepted and no file opened.",
        hurts="Everybody, soon.",
        confirm=('process_open_fds{job="JOB"} / process_max_fds{job="JOB"}',),
        act=("`ls -l /proc/PID/fd`: connections to clients, to a model's provider, to the database?",
            "Raise the limit, then find out who does not close.")),
)

PIPELINE = (
    Alert(name="ListenerFails", severity="ticket",
        expr=promql.first_trouble("receiver_failures_total", "job, signal, receiver", "10m"),
        summary="{{ $labels.receiver }} fails on {{ $labels.signal }}",
        means="A listener raised an exception; the event went on to the others.",
        hurts="Who relies on that listener: what it counts or stores is incomplete.",
        confirm=("sum by (signal, receiver) (increase(NS_receiver_failures_total[1h])) > 0",),
        act=("The log has the traceback.",)),
    Alert(name="EventsDropped", severity="ticket",
        expr=promql.first_trouble("events_dropped_total", "job, signal, receiver", "10m"),
        summary="{{ $labels.receiver }} is too slow for {{ $labels.signal }}: events are dropped",
        means="A background listener's queue is full.",
        hurts="Who relies on that listener.",
        confirm=("sum by (signal, receiver) (increase(NS_events_dropped_total[1h])) > 0",
            "sum by (signal) (rate(NS_events_total[10m]))"),
        act=("Make it faster, or give it less to do.",)),
    Alert(name="ListenerLoses", severity="ticket",
        expr=promql.first_trouble("listener_events_total", "job, listener, outcome", "10m", LOST),
        summary="{{ $labels.listener }}: events are lost ({{ $labels.outcome }})",
        means="A listener that passes events on, as an audit trail or a webhook, had no room or no time for some, or could"
        " not deliver them. A live feed is not meant: whoever follows it too slowly is left behind on purpose.",
        hurts="Who relies on that listener: what it stored or sent is incomplete.",
        confirm=("sum by (listener, outcome) (increase(NS_listener_events_total[1h])) > 0",),
        act=("dropped: what it writes to is away or slower than events come; the log says which.",
            "failed, dead_letter: what it writes to refused them; the log has the reason.")),
    Alert(name="SignalSilent", severity="ticket", wait="5m",
        expr="sum by (job) (increase(NS_workflows_started_total[30m])) > 0\n"
        "and on (job) sum by (job) (NS_workflows_started_total offset 30m) >= 0\n"
        'unless on (job) sum by (job) (increase(NS_events_total{signal="llm_called"}[30m])) > 0',
        summary="Runs begin, but for half an hour no call of a model was counted",
        means="Runs ask models; that no call is counted means that the bridge was taken out, or its model replaced.",
        hurts="Who reads these numbers: cost and tokens stand still.",
        confirm=('sum by (signal) (increase(NS_events_total{signal=~"llm_called|workflow_started"}[30m]))',),
        act=("`python -m metrics check`", "Compare with the last deploy.")),
    Alert(name="LabelOverflows", severity="ticket",
        expr=promql.first_trouble("label_overflows_total", "job, metric, label", "1h"),
        summary="{{ $labels.metric }}: new values of {{ $labels.label }} are counted as other",
        means="A label has more values than its limit. Totals stay exact.",
        hurts="Who looks for the values that are other now.",
        confirm=("sum by (metric, label) (increase(NS_label_overflows_total[1h])) > 0",),
        act=("An identifier got into the label: take it out.", "There are so many: raise the label's limit.")),
    Alert(name="FamilyLost", severity="ticket",
        expr=promql.first_trouble("collector_failures_total", "job, collector", "10m"),
        summary="The collector {{ $labels.collector }} fails: its metrics are missing",
        means="A collector of one's own raised an exception; the scrape went on without its metrics.",
        hurts="Who reads these metrics.",
        confirm=("sum by (collector) (increase(NS_collector_failures_total[1h])) > 0",),
        act=("The log has the traceback.",)),
    Alert(name="SetupWrong", severity="ticket",
        expr="sum by (job, instance, fault) (NS_setup_faults_total) > 0\n"
        f"or {promql.first_trouble('worker_file_faults_total', 'job, instance, fault', '1h')}",
        summary="{{ $labels.instance }} was started in a way that makes its numbers wrong ({{ $labels.fault }})",
        means="Several processes do not share their numbers, a file of theirs cannot be used, or the clock jumped.",
        hurts="Who reads these numbers: they are too low or jump.",
        confirm=("sum by (instance, fault) (NS_setup_faults_total) > 0",
            "sum by (instance, fault) (increase(NS_worker_file_faults_total[1h])) > 0"),
        act=("`python -m metrics doctor` says what is wrong and what to do.",)),
    Alert(name="TooManySeries", severity="ticket", wait="10m",
        expr=f"NS_metrics_rendered_series > {SERIES}",
        summary="{{ $labels.instance }} has {{ $value | humanize }} series",
        means="One instance has so many series that Prometheus pays for it in memory.",
        hurts="Who runs Prometheus.",
        confirm=(LARGEST, "sum by (metric, label) (max_over_time(NS_label_overflows_total[1d])) > 0"),
        act=("See which family is largest, and which of its labels has so many values; lower that limit.",)),
    Alert(name="ScrapeSlow", severity="ticket", wait="10m",
        expr=f'scrape_duration_seconds{{job="JOB"}} > {SCRAPE_SECONDS}',
        summary="{{ $labels.instance }}: a scrape takes {{ $value | humanizeDuration }}",
        means="Prometheus gives up after ten seconds by default; then there is nothing at all.",
        hurts="Whoever relies on these numbers.",
        confirm=('scrape_duration_seconds{job="JOB"}',
            promql.quantile(0.95, "metrics_render_duration_seconds", "format", window="10m"),
            "NS_metrics_rendered_series"),
        act=("Many series: as for TooManySeries.", "Few: the process has no processor time left."),
        needs="NS_metrics_rendered_series"),
)
# fmt: on
