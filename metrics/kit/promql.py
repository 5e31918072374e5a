"""PromQL in the forms that the kit's tables use, for classic and native histograms alike.

A scraper that takes native histograms has no series with ``_bucket``, ``_sum`` and ``_count``; one that does not has no
series of the bare name. Each form asks for both, and one of them answers.
"""

from __future__ import annotations

from ..alert_when import seconds
from ..rows import Metric

WINDOW = "$__rate_interval"


def quantile(q: float, family: str, by: str = "", where: str = "", window: str = WINDOW) -> str:
    """Return the quantile ``q`` of a histogram, by labels as in ``"model, provider"``."""
    classic, native = (f"rate({selector(family + end, where)}[{window}])" for end in ("_bucket", ""))
    le = f"{by}, le" if by else "le"
    return f"histogram_quantile({q:g}, {sum_by(classic, le)}) or histogram_quantile({q:g}, {sum_by(native, by)})"


def observations(family: str, by: str = "", where: str = "", window: str = WINDOW) -> str:
    """Return how many observations a second a histogram has."""
    return f"({rate(family + '_count', by, where, window)} or histogram_count({rate(family, by, where, window)}))"


def observed(family: str, by: str = "", where: str = "", window: str = WINDOW) -> str:
    """Return the sum of what a histogram observes, a second."""
    return f"({rate(family + '_sum', by, where, window)} or histogram_sum({rate(family, by, where, window)}))"


def mean(family: str, by: str = "", where: str = "", window: str = WINDOW) -> str:
    """Return the mean of what a histogram observes."""
    return f"{observed(family, by, where, window)} / ({observations(family, by, where, window)} > 0)"


def buckets(family: str, where: str = "", window: str = WINDOW) -> str:
    """Return the increase of each bucket, for a heatmap."""
    classic = f"increase({selector(family + '_bucket', where)}[{window}])"
    return f"sum by (le) ({classic}) or sum(increase({selector(family, where)}[{window}]))"


def rate(family: str, by: str = "", where: str = "", window: str = WINDOW) -> str:
    """Return the rate of a counter, a second."""
    return sum_by(f"rate({selector(family, where)}[{window}])", by)


def increase(family: str, by: str = "", where: str = "", window: str = "$__range") -> str:
    """Return the increase of a counter."""
    return sum_by(f"increase({selector(family, where)}[{window}])", by)


def increase_since_birth(family: str, by: str, where: str = "", window: str = "$__range") -> str:
    """Return the same where series begin with their first event: the value of one that is born in the window."""
    chosen = selector(family, where)
    return sum_by(f"{born(chosen, window)} or increase({chosen}[{window}])", by)


def grown(family: str, by: str, window: str, where: str = "") -> str:
    """Return the increase of a counter whose series begin with their first event, and may begin at more than 1.

    `increase` takes what a series begins with for its past; here the whole value of one that began within the window
    counts.
    """
    chosen = selector(family, where)
    return sum_by(f"{born_within(chosen, window)} or increase({chosen}[{window}])", by)


def causes(family: str, by: str, where: str = "", window: str = WINDOW, *, times: int = 60) -> str:
    """Return how much of each cause a panel shows a minute, of those that come for the first time too.

    Their series begin with their first event, which no rate sees: of one that is born within the window this is its
    value. ``times`` is how many seconds of the rate are shown.
    """
    first = sum_by(born(selector(family, where), window), by)
    return f"{rate(family, by, where, window)} * {times} > 0\nor {first} > 0"


def share(part: str, whole: str) -> str:
    """Return a ratio that is absent while nothing happens, rather than not a number."""
    return f"{part} / ({whole} > 0)"


def first_trouble(family: str, by: str, window: str, where: str = "") -> str:
    """Return an expression that is there while a counter of trouble has gone up within the window, as alerts ask it."""
    return trouble(family, by, window, born_within(selector(family, where), window), where)


def trouble_seen(family: str, by: str, window: str, where: str = "") -> str:
    """Return the same for a panel, whose window only Grafana knows; trouble before the first scrape counts too."""
    return trouble(family, by, window, born(selector(family, where), window), where)


def trouble(family: str, by: str, window: str, born_in_it: str, where: str) -> str:
    """Return the increase of a counter within the window where there is one, else the values of series born in it.

    `increase` takes what a series begins with for its past, and does not see a counter that begins at 1.
    """
    return f"{increase(family, by, where, window)} > 0\nor {sum_by(born_in_it, by)} > 0"


def born(chosen: str, window: str) -> str:
    """Return the series without a value at the window's start, with the most that each had: its host may be dead."""
    return f"max_over_time({chosen}[{window}]) unless {chosen} offset {window}"


def born_within(chosen: str, window: str) -> str:
    """Return the series that began within the window.

    A series without a value at its start did, if there was a scrape then, or if the process is younger: after a time
    without scrapes there is no such value of any series, however old.
    """
    started = f"last_over_time(process_start_time_seconds[{window}])"
    scraped = f"up offset {window} == 1 or time() - {started} < {seconds(window):g}"
    return f"({born(chosen, window)}) and on (job, instance) ({scraped})"


def sum_by(expression: str, by: str) -> str:
    """Return a sum by labels, or over all."""
    return f"sum by ({by}) ({expression})" if by else f"sum({expression})"


def over_instances(row: Metric, by: str) -> str:
    """Return a gauge over all instances, as its row has it over processes; of what was set last, the largest."""
    mode = (row.multiprocess_mode or "livesum").removeprefix("live")
    aggregation = "max" if mode == "mostrecent" else mode
    return f"{aggregation} by ({by}) (NS_{row.name})" if by else f"{aggregation}(NS_{row.name})"


def selector(name: str, where: str) -> str:
    """Return the selector of a family of the application."""
    return f"NS_{name}{{{where}}}" if where else f"NS_{name}"
