"""The targets and limits that alerts hold an application to: the one place to change them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Objective:
    """A share of all runs or requests that has to end well in 30 days, and how both are counted.

    ``errors`` and ``total`` are selectors of one counter. With fewer errors than ``least_errors_an_hour`` nobody is
    woken: with few runs at night, one that fails is a large share. How many runs there are does not matter.
    """

    name: str
    title: str
    target: float
    errors: str
    total: str
    least_errors_an_hour: int


# fmt: off
OBJECTIVES = (
    Objective(name="runs", title="runs that end well", target=0.99, least_errors_an_hour=3,
        errors='NS_workflows_total{status=~"failed|abandoned"}',
        total='NS_workflows_total{status!="cancelled"}'),
    # A probe's 503 is the answer that it asks for; whoever went away was not failed.
    Objective(name="http", title="requests without a fault of the server", target=0.999, least_errors_an_hour=10,
        errors='NS_http_request_outcomes_total{outcome=~"server_error|stream_aborted|timeout",endpoint!~"/health.*"}',
        total='NS_http_request_outcomes_total{outcome!~"cancelled|client_disconnect",endpoint!~"/health.*"}'),
)

# How fast the budget of errors burns (1: it lasts exactly 30 days), over a long and a short window that must both
# agree: Google's Site Reliability Workbook, chapter 5, table 5-8.
FAST_BURNS = (("1h", "5m", 14.4), ("6h", "30m", 6))
SLOW_BURNS = (("1d", "2h", 3), ("3d", "6h", 1))
BURN_WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")

USD_A_DAY = 50
RUN_TIME_LIMITS = 1.5
QUEUE_USED = 0.8
QUEUE_SECONDS = 60
AGENT_FAILURES = 0.1
AGENT_CALLS = 4
REJECTED = 0.4
MODEL_ERRORS = 0.05
LEAST_FAILED = 3
SERVED_BY_FALLBACK = 0.2
RATE_LIMITED = 0.1
RATE_LIMIT_LEFT = 0.05
ANSWERS_CUT = 0.05
ANSWERS_UNUSABLE = 0.05
SPEND_WASTED = 0.3
POOL_USED = 0.95
HOLD_SECONDS = 120
REPEATED_STATEMENTS = 50
DESCRIPTORS_USED = 0.8
LOOP_LAG_SECONDS = 0.5
LOOP_LAG_MEAN_SECONDS = 0.1
SERIES = 30_000
SCRAPE_SECONDS = 5
# fmt: on
