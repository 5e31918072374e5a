"""The dashboard of HTTP."""

from __future__ import annotations

from . import promql
from .panel_rows import A_MINUTE, Dashboard, Panel, Section, Variable, q

OF = 'endpoint=~"$endpoint"'
FAULTS = 'outcome=~"server_error|stream_aborted|timeout"'
TIME = "http_request_duration_seconds"
RANGE = "$__range"
OUTCOMES = {
    "ok": "green",
    "client_error": "yellow",
    "server_error": "red",
    "stream_aborted": "dark-red",
    "timeout": "orange",
    "client_disconnect": "purple",
    "cancelled": "gray",
}

# fmt: off
HTTP = Dashboard(uid="http", title="HTTP", what="Requests, what became of them, and where their time went.",
    variables=(Variable(name="endpoint", family="http_request_outcomes_total", label="endpoint"),),
    sections=(
        Section(title="Requests", panels=(
            Panel(title="Requests by outcome", show="stacked", unit="reqps", colours=OUTCOMES, queries=(q(promql.rate("http_request_outcomes_total", "outcome", OF), "{{outcome}}"),)),
            Panel(title="Faults by endpoint, a minute", show="bars", unit=A_MINUTE, empty="The server made no fault.", queries=(q(f"{promql.rate('http_request_outcomes_total', 'endpoint, outcome', f'{OF},{FAULTS}')} * 60 > 0", "{{endpoint}} {{outcome}}"),)),
            Panel(title="Time of a request, p50 and p95", show="lines", queries=(q(promql.quantile(0.5, TIME, where=OF), "p50"), q(promql.quantile(0.95, TIME, where=OF), "p95"))),
            Panel(title="Endpoints at a glance", show="table", unit="short", width=24, height=12, join="endpoint", queries=(
                q(promql.increase("http_request_outcomes_total", "endpoint", OF), "requests"), q(promql.increase("http_request_outcomes_total", "endpoint", f"{OF},{FAULTS}"), "faults"),
                q(promql.increase("http_request_outcomes_total", "endpoint", f'{OF},outcome="client_disconnect"'), "clients gone"),
                q(promql.quantile(0.5, TIME, "endpoint", OF, RANGE), "p50", "s"), q(promql.quantile(0.95, TIME, "endpoint", OF, RANGE), "p95", "s"))),
        )),
        Section(title="Where the time goes", panels=(
            Panel(title="Time of a request", show="heatmap", queries=(q(promql.buckets(TIME, OF), "{{le}}"),)),
            Panel(title="Time of requests, by what they wait for", show="stacked", unit="s", what="Seconds a second.", queries=(q(promql.rate("http_request_phase_seconds_total", "phase", OF), "{{phase}}"),)),
            Panel(title="Time to first byte, p95", show="lines", queries=(q(promql.quantile(0.95, "http_time_to_first_byte_seconds", "endpoint", OF), "{{endpoint}}"),)),
        )),
        Section(title="More", panels=(
            Panel(title="Under way", show="lines", unit="short", width=6, queries=(q("sum(NS_http_active_requests)", "requests"), q("sum(NS_websocket_active_sessions)", "websockets"))),
            Panel(title="Refused, by status, a minute", show="stacked", unit=A_MINUTE, width=6, empty="Nothing was refused.", queries=(q(f"""{promql.rate('http_requests_total', 'status_code', f'{OF},status_code=~"4.."')} * 60""", "{{status_code}}"),)),
            Panel(title="Limits reached, a minute", show="bars", unit=A_MINUTE, width=6, empty="No limit was reached.", queries=(q(f"{promql.rate('limits_reached_total', 'limit')} * 60 > 0", "{{limit}}"),)),
            Panel(title="Refused access, a minute", show="bars", unit=A_MINUTE, width=6, empty="Nobody was refused.", queries=(q(f"{promql.rate('access_refusals_total', 'reason')} * 60 > 0", "{{reason}}"),)),
            Panel(title="Size of answers, p95", show="lines", width=12, height=6, queries=(q(promql.quantile(0.95, "http_response_body_size_bytes"), "answers"), q(promql.quantile(0.95, "http_request_body_size_bytes"), "requests"))),
            Panel(title="Websockets closed, a minute", show="bars", unit=A_MINUTE, width=12, height=6, empty="The application has no websocket, or nobody used one.",
                queries=(q(f"{promql.rate('websocket_sessions_total', 'channel, close_code')} * 60", "{{channel}} {{close_code}}"),)),
        )),
    ))
# fmt: on
