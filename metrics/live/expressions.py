"""Expressions that are PromQL and a value: the text asks a Prometheus for what two snapshots say here.

A table of them names families as the catalogue does, without the namespace::

    Rate("workflows_total", by="status", window="1m", times=60)
    Ratio(Increase("workflow_tokens_total", 'outcome="wasted"'), Increase("workflow_tokens_total"))
    Quantile(0.95, "workflow_duration_seconds", 'status="completed"', window="15m")
    Latest("db_pool_connections", 'state="used"', by="pool")

Every expression is parted by one label at most, and its values are named by the values of that label. A value is None
where there is nothing to tell: no observation, nothing to take a share of, or a family that could not be read.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import Protocol

from ..alert_when import seconds
from ..diagnostics.scrape_rates import quantile
from ..kit import promql
from .increases import Numbers, covered, increases, scaled
from .snapshot import OF_PROCESSES, Snapshot
from .sources import ALL, How, Source, sources_of


class Expression(Protocol):
    """An expression: its text, what it reads, how far back it looks, and its values."""

    @property
    def text(self) -> str:
        """The PromQL, with ``NS_`` for the namespace and ``JOB`` for the scrape job, as the kit's tables have them."""

    @property
    def sources(self) -> tuple[Source, ...]:
        """The sources that it reads of a snapshot."""

    @property
    def span(self) -> float:
        """The seconds between the two snapshots; 0 where the later one suffices."""

    def values(self, before: Snapshot, after: Snapshot) -> Numbers:
        """Return its values at the later of two snapshots."""


class Windowed:
    """The common part of expressions that look back for a window at one family."""

    __slots__ = ()
    family: str
    where: str
    by: str
    window: str

    @property
    def sources(self) -> tuple[Source, ...]:
        """The family."""
        return sources_of(self.family, self.where, self.by)

    @property
    def span(self) -> float:
        """The window."""
        return span_of(self.window)


@dataclass(frozen=True, slots=True)
class Rate(Windowed):
    """The increase of a counter a second, or in ``times`` seconds.

    ``above_zero`` leaves out what did not go up, ``top`` all but so many of the largest.

    Of a process that is younger than the window, it is the increase since its start in a whole window, as Prometheus
    has it too: one run in the first second makes no sixty a minute.
    """

    family: str
    where: str = ""
    by: str = ""
    window: str = "5m"
    times: float = 1
    above_zero: bool = False
    top: int = 0

    @property
    def text(self) -> str:
        """The PromQL."""
        text = own(promql.rate(self.family, self.by, of_job(self.family, self.where), self.window))
        text = text if self.times == 1 else f"{text} * {self.times:g}"
        text = f"{text} > 0" if self.above_zero else text
        return f"topk({self.top}, {text})" if self.top else text

    def values(self, before: Snapshot, after: Snapshot) -> Numbers:
        """Return the rates over the time between the snapshots."""
        found = scaled(increases(self.sources[0], before, after), self.times / covered(before, after, self.span))
        if self.above_zero:
            found = {name: value for name, value in found.items() if value}
        if not self.top:
            return found
        largest = sorted(found, key=lambda name: found[name] or 0.0, reverse=True)[: self.top]
        return {name: found[name] for name in largest}


@dataclass(frozen=True, slots=True)
class Increase(Windowed):
    """The increase of a counter within the window; ``or_zero`` says 0 while it has no series."""

    family: str
    where: str = ""
    by: str = ""
    window: str = "15m"
    or_zero: bool = False

    @property
    def text(self) -> str:
        """The PromQL."""
        text = own(promql.increase(self.family, self.by, of_job(self.family, self.where), self.window))
        return f"{text} or vector(0)" if self.or_zero else text

    def values(self, before: Snapshot, after: Snapshot) -> Numbers:
        """Return the increases between the snapshots."""
        factor = self.span / covered(before, after, self.span)
        found = scaled(increases(self.sources[0], before, after), factor)
        if self.or_zero and not after.values.get(self.sources[0], {"": ()}):
            return {ALL: 0.0}
        return found


@dataclass(frozen=True, slots=True)
class Quantile(Windowed):
    """The quantile ``share`` of what a histogram observed within the window."""

    share: float
    family: str
    where: str = ""
    by: str = ""
    window: str = "5m"

    @property
    def text(self) -> str:
        """The PromQL, for classic and for native histograms."""
        return promql.quantile(self.share, self.family, self.by, self.where, self.window)

    def values(self, before: Snapshot, after: Snapshot) -> Numbers:
        """Return the quantiles of the observations between the snapshots."""
        bounds = after.bounds.get(self.family, ())
        found = increases(self.sources[0], before, after)
        return {
            name: quantile(self.share, dict(zip(bounds, accumulate(each[1:]), strict=True))) if each else None
            for name, each in found.items()
        }


@dataclass(frozen=True, slots=True)
class Latest:
    """The values of a gauge, or the totals of a counter, as they are now: their sum, the largest or the least.

    ``same_for`` is a label for whose values each process shows what all share, such as a queue: there it is the largest
    over instances, and then their sum.
    """

    family: str
    where: str = ""
    by: str = ""
    how: How = "sum"
    same_for: str = ""

    @property
    def text(self) -> str:
        """The PromQL."""
        chosen = own(promql.selector(self.family, of_job(self.family, self.where)))
        if self.same_for:
            return f"sum(max by ({self.same_for}) ({chosen}))"
        return f"{self.how} by ({self.by}) ({chosen})" if self.by else f"{self.how}({chosen})"

    @property
    def sources(self) -> tuple[Source, ...]:
        """The gauge."""
        return sources_of(self.family, self.where, self.by, self.how)

    @property
    def span(self) -> float:
        """None."""
        return 0.0

    def values(self, before: Snapshot, after: Snapshot) -> Numbers:  # noqa: ARG002  # as of every expression
        """Return the values at the later snapshot."""
        found = after.values.get(self.sources[0])
        if found is None or (not found and not self.by):
            return {} if self.by else {ALL: None}
        return {name: values[0] for name, values in found.items()}


@dataclass(frozen=True, slots=True)
class Ratio:
    """One expression divided by another, parted by the same label; None where there is nothing to divide by."""

    part: Expression
    whole: Expression

    @property
    def text(self) -> str:
        """The PromQL."""
        part = self.part.text
        return promql.share(f"({part})" if " or " in part else part, self.whole.text)

    @property
    def sources(self) -> tuple[Source, ...]:
        """Those of both."""
        return (*self.part.sources, *self.whole.sources)

    @property
    def span(self) -> float:
        """The longer of the two."""
        return max(self.part.span, self.whole.span)

    def values(self, before: Snapshot, after: Snapshot) -> Numbers:
        """Return the ratio of each name that both have."""
        wholes = self.whole.values(before, after)
        return {
            name: part / whole if part is not None and (whole := wholes.get(name) or 0.0) > 0 else None
            for name, part in self.part.values(before, after).items()
            if name in wholes
        }


@cache
def span_of(window: str) -> float:
    """Return the seconds of a window.

    Raises:
        ValueError: it is no duration, as 5m is.
    """
    if found := seconds(window):
        return found
    raise ValueError(f"a window is a duration as Prometheus writes it, as 5m is, got {window!r}")


def own(text: str) -> str:
    """Return an expression in which prometheus_client's own families have no namespace."""
    for prefix in OF_PROCESSES:
        text = text.replace(f"NS_{prefix}", prefix)
    return text


def of_job(family: str, where: str) -> str:
    """Return a selector that takes the application's job alone, where every program has the family."""
    return ",".join(filter(None, (where, 'job="JOB"'))) if family.startswith(OF_PROCESSES) else where
