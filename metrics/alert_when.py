"""The condition under which a row's metric is trouble, for rows that ask for an alert."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal, get_args

Severity = Literal["page", "ticket"]
UNITS = {"y": 31_536_000.0, "w": 604_800.0, "d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
"""Seconds of each unit: https://prometheus.io/docs/prometheus/latest/querying/basics/#time-durations"""

DURATION = re.compile("".join(f"(?:([0-9]+){unit})?" for unit in UNITS))
"""Each unit once at most, the longest first: as Prometheus takes them."""


@dataclass(frozen=True, kw_only=True)
class AlertWhen:
    """When ``python -m metrics build`` writes an alert on a row's metric to fire, and what its runbook says.

    A counter's increase within ``window``, a histogram's 95th percentile over it, or a gauge's value has to be above
    ``above`` for ``wait``. ``page`` wakes somebody, ``ticket`` is looked at within a day. ``hurts`` says who is hurt,
    ``do`` what to do, step by step.
    """

    above: float = 0.0
    window: str = "10m"
    wait: str = ""
    severity: Severity = "ticket"
    hurts: str = "Nobody has written this down yet."
    do: tuple[str, ...] = ("See what the confirming queries say, and write down here what helped.",)


def alert_errors(alert: Any) -> Iterator[str]:
    """Yield each error in what a row has for its alert."""
    if alert is None:
        return
    if not isinstance(alert, AlertWhen):
        yield f"alert is an AlertWhen, as AlertWhen(above=5) is, got {alert!r:.60}"
        return
    if alert.severity not in get_args(Severity):
        yield f"the severity of an alert is one of {', '.join(get_args(Severity))}, got {alert.severity!r}"
    given: dict[str, Any] = vars(alert)  # of any type: who wrote the row may not check types
    above, hurts, do = given["above"], given["hurts"], given["do"]
    if isinstance(above, bool) or not isinstance(above, int | float) or not isfinite(above):
        yield f"above of an alert is a finite number, got {above!r}"
    if not isinstance(hurts, str):
        yield f"hurts of an alert says who is hurt, as text, got {hurts!r:.60}"
    if not isinstance(do, tuple | list) or not all(isinstance(step, str) for step in do):
        yield f"do of an alert is a tuple of steps, as do=('Look at the log.',) is, got {do!r:.60}"
    for name in ("window", "wait"):
        text = getattr(alert, name)
        if not isinstance(text, str) or (not seconds(text) and (name == "window" or text)):
            yield f"the {name} of an alert is a duration as Prometheus writes it, as 10m is, got {text!r}"


def seconds(duration: str) -> float:
    """Return the seconds of a duration as Prometheus writes it, as ``1h30m`` is; 0 of a text that is none."""
    match = DURATION.fullmatch(duration)
    numbers = match.groups(default="0") if match else ()
    return sum(int(number) * unit for number, unit in zip(numbers, UNITS.values(), strict=False))
