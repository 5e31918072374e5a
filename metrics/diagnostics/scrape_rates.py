"""The rates and quantiles of a server between one scrape and the next, as ``python -m metrics watch`` shows them.

No Prometheus is needed: what it would compute by ``rate`` and ``histogram_quantile`` is computed here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client.samples import Sample

from .scrape_client import ScrapeResult

Labels = tuple[tuple[str, str], ...]
"""Names and values of labels."""

QUANTILES = (0.5, 0.95)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table.

    ``value`` is a gauge's, or a counter's total; ``rate`` is a counter's increase, or a histogram's observations, a
    second; ``quantiles`` and ``mean`` are of what a histogram observed in the interval. What a line has not is None.
    """

    family: str
    labels: Labels
    value: float | None = None
    rate: float | None = None
    quantiles: tuple[float | None, ...] = (None,) * len(QUANTILES)
    mean: float | None = None


@dataclass(slots=True)
class Histogram:
    """The observations of several series of a histogram in an interval."""

    buckets: dict[float, float] = field(default_factory=dict)  # cumulative, by upper bound
    count: float = 0.0
    sum: float = 0.0
    total: float = 0.0  # of observations there ever were


def read_lines(before: ScrapeResult, after: ScrapeResult, by: Sequence[str] = ()) -> Iterator[Line]:
    """Yield what two scrapes say together: first gauges, each series by itself, then counters, then histograms.

    Counters and histograms are summed over their labels, but for those in ``by``. A series that is less than before
    began anew, and counts from 0.
    """
    seconds = max(after.received_at - before.received_at, 1e-9)
    old = {(sample.name, *sample.labels.items()): sample.value for sample in before.samples}
    histograms: dict[tuple[str, Labels], Histogram] = {}
    counters: dict[tuple[str, Labels], list[float]] = {}
    are_histograms = {sample.name.removesuffix("_bucket") for sample in after.samples if bound_of(sample) is not None}
    gauges = []
    for sample in after.samples:
        was = old.get((sample.name, *sample.labels.items()), 0.0)
        increase = sample.value - was if sample.value >= was else sample.value
        name, _, part = sample.name.rpartition("_")
        key = tuple((label, sample.labels[label]) for label in by if label in sample.labels)
        bound = bound_of(sample)
        if name in are_histograms and (bound is not None or part in {"count", "sum"}):
            found = histograms.setdefault((name, key), Histogram())
            if bound is not None:
                found.buckets[bound] = found.buckets.get(bound, 0.0) + increase
            elif part == "count":
                found.count += increase
                found.total += sample.value
            else:
                found.sum += increase
        elif part == "total":
            sums = counters.setdefault((sample.name, key), [0.0, 0.0])
            sums[0] += sample.value
            sums[1] += increase
        elif part not in {"info", "created"}:
            gauges.append(Line(sample.name, tuple(sample.labels.items()), value=sample.value))
    yield from gauges
    for (name, key), (total, increase) in counters.items():
        yield Line(name, key, value=total, rate=increase / seconds)
    for (name, key), found in histograms.items():
        yield Line(
            name,
            key,
            value=found.total,
            rate=found.count / seconds,
            quantiles=tuple(quantile(share, found.buckets) for share in QUANTILES),
            mean=found.sum / found.count if found.count else None,
        )


def bound_of(sample: Sample) -> float | None:
    """Return the upper bound of a histogram's bucket; None for any other sample, as servers give names freely."""
    if not sample.name.endswith("_bucket"):
        return None
    try:
        bound = float(sample.labels["le"])
    except (KeyError, ValueError):
        return None
    return None if math.isnan(bound) else bound


def quantile(share: float, buckets: Mapping[float, float]) -> float | None:
    """Return a quantile of observations by their cumulative buckets, as Prometheus's ``histogram_quantile`` does.

    It is interpolated within its bucket, the highest bound where it is above, and None where nothing was observed.
    Source: prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile
    """
    bounds = sorted(buckets)
    if not bounds or not (count := buckets[bounds[-1]]):
        return None
    rank, lower, below = share * count, 0.0, 0.0
    for bound in bounds:
        if (reached := buckets[bound]) >= rank:
            if math.isinf(bound):
                return lower
            start = min(lower, bound)
            return start + (bound - start) * (rank - below) / (reached - below) if reached > below else bound
        lower, below = bound, reached
    return lower
