"""Rendering of a registry as the text that a scraper reads, over twenty times faster than ``generate_latest``.

prometheus_client's own instruments are rendered by `metrics.fastpath.write`, or `metrics.fastpath.write_protobuf` for
scrapers that want messages; everything else from its ``collect()``. A collector that fails loses its own family alone:
`collector_failed` is emitted and a line logged.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from time import perf_counter, sleep
from typing import Any

from prometheus_client import CollectorRegistry, Metric

from events import collector_failed
from events.bus.failures import error_location
from events.bus.log_throttle import LogThrottle

from ..fastpath import write, written_families
from ..text_format.families import Block, render_family
from ..text_format.formats import TEXT, Format

log = logging.getLogger("metrics")


@dataclass(frozen=True, slots=True)
class RenderedRegistry:
    """A registry's text and the number of samples in it; a part is the same object as long as nothing in it changes."""

    parts: tuple[bytes, ...]
    sample_count: int

    @property
    def body(self) -> bytes:
        """The text as a whole."""
        return b"".join(self.parts)


def render(registry: CollectorRegistry, text_format: Format = TEXT, names: Collection[str] | None = None) -> bytes:
    """Return a registry's text; by default what ``generate_latest`` writes, byte for byte.

    It takes a third of a microsecond a sample and holds the interpreter meanwhile: in a thread beside an event loop
    call `render_with_count` with a `GilYielder`.
    """
    return render_with_count(registry, text_format, names).body


def render_with_count(
    registry: CollectorRegistry,
    text_format: Format = TEXT,
    names: Collection[str] | None = None,
    after_block: Callable[[], object] | None = None,
) -> RenderedRegistry:
    """Return a registry's text and the number of its samples.

    Args:
        registry: A registry, or anything with ``collect()``.
        text_format: The format.
        names: If given, only samples of these names and families of these names are rendered.
        after_block: Called after every block of some hundred samples.
    """
    renderer = _Renderer(text_format, None if names is None else frozenset(names), after_block)
    collectors = write.registered_collectors(registry)
    if collectors is None:  # not a CollectorRegistry of the known kind, but it can be collected
        renderer.collect("registry", registry)
    else:
        if target_info := registry.get_target_info():
            metric = Metric("target", "Target metadata", "info")
            metric.add_sample("target_info", target_info, 1)
            renderer.add_family(metric)
        announce_failures(collectors)
        for collector, registered_names in collectors:
            renderer.add_collector(collector, registered_names)
    return renderer.finish()


def announce_failures(collectors: Iterable[tuple[Any, list[str]]]) -> None:
    """Announce the failures of collectors that may fail: those of other classes than prometheus_client's and ours."""
    for collector, registered_names in [each for each in collectors if not write.is_plain(each[0])]:
        if not getattr(collector, "never_fails", False):
            collector_failed.announce(collector=collector_name(collector, registered_names))


def collector_name(collector: Any, registered_names: list[str]) -> str:
    """Return how a collector is called where it fails: by its first family, else by its class."""
    return registered_names[0] if registered_names else type(collector).__name__


class GilYielder:
    """Releases the GIL every millisecond, so that an event loop in another thread never waits much longer.

    Without it the loop waits for Python's switch interval, 5 ms, each time that it returns from a system call.

    Args:
        interval: Seconds between two pauses.
        pause: Seconds that a pause lasts.
    """

    def __init__(self, interval: float = 0.001, pause: float = 0.00005) -> None:
        self._interval = interval
        self._pause = pause
        self._last_pause = perf_counter()

    def __call__(self) -> None:
        """Pause, if the interval has passed."""
        if perf_counter() - self._last_pause >= self._interval:
            sleep(self._pause)  # sleep(0) would often take the GIL back before the loop's thread wakes up
            self._last_pause = perf_counter()


_Unchanged = Callable[[Any, Format], written_families.WrittenFamily | None]
_RenderCollector = Callable[[Any, Format], Iterator[Block] | None]
_RenderFamily = Callable[[Metric, Format], Iterator[Block]]


def _functions_for(text_format: Format) -> tuple[_Unchanged, _RenderCollector, _RenderFamily]:
    """Return what finds a family as it was, what renders a collector of a known class, and what renders any family."""
    if not text_format.is_protobuf:
        return written_families.unchanged, write.render_blocks, render_family
    from ..fastpath import write_protobuf  # few scrapers ask for it
    from ..protobuf_format import family_messages

    return lambda *_: None, write_protobuf.render_blocks, family_messages.render_family


class _Renderer:
    """Collects the text of the families rendered so far; a family is in it as a whole or not at all."""

    def __init__(
        self, text_format: Format, names: frozenset[str] | None, after_block: Callable[[], object] | None
    ) -> None:
        self._format = text_format
        self._unchanged, self._write, self._render_family = _functions_for(text_format)
        self._names = names
        self._after_block = after_block
        self._parts: list[bytes] = []
        self._sample_count = 0

    def add_collector(self, collector: Any, registered_names: list[str]) -> None:
        """Render a collector, as far as its names are selected: by the fast path if it can, else by ``collect()``."""
        names = self._names
        if names is None and self._add_unchanged(collector):
            return
        if names is not None and registered_names and names.isdisjoint(registered_names):
            return
        name = collector_name(collector, registered_names)
        if names is None or name in names:
            with suppress(Exception):  # it changed meanwhile, or it fails: collect() below will show which
                if (blocks := self._write(collector, self._format)) is not None:
                    self._append(blocks)
                    return
        self.collect(name, collector)

    def _add_unchanged(self, collector: Any) -> bool:
        """Add a family as it was written the last time; return whether nothing in it has changed since."""
        try:
            last = self._unchanged(collector, self._format)
        except Exception:  # it is not as it was
            return False
        if last is None:
            return False
        self._parts += last.texts
        self._sample_count += last.samples
        if self._after_block is not None:
            self._after_block()
        return True

    def collect(self, name: str, collector: Any) -> None:
        """Render the families that a collector's ``collect()`` returns."""
        try:
            for metric in collector.collect():
                self.add_family(metric)
        except Exception as error:
            _report_failure(name, error)

    def add_family(self, metric: Metric) -> None:
        """Render a family, or those of its samples whose names are selected."""
        if self._names is not None and metric.name not in self._names:
            samples = [sample for sample in metric.samples if sample.name in self._names]
            if not samples:
                return
            metric = copy(metric)
            metric.samples = samples
        try:
            self._append(self._render_family(metric, self._format))
        except Exception as error:  # a value that is not a number, a label value whose str() fails
            _report_failure(metric.name, error)

    def _append(self, blocks: Iterator[Block]) -> None:
        parts = []
        sample_count = 0
        for text, samples in blocks:
            parts.append(text)
            sample_count += samples
            if self._after_block is not None:
                self._after_block()
        self._parts += parts
        self._sample_count += sample_count

    def finish(self) -> RenderedRegistry:
        """Return the complete text."""
        if self._format.is_openmetrics:
            self._parts.append(b"# EOF\n")
        return RenderedRegistry(tuple(self._parts), self._sample_count)


_throttle = LogThrottle()


def _report_failure(collector: str, error: Exception) -> None:
    # The type and the location alone, as for receivers, since a message may quote the values that it was given.
    if _throttle.is_due(collector):
        log.warning("%s: left out of /metrics, %s at %s", collector, type(error).__name__, error_location(error))
    collector_failed.emit(collector=collector, error=type(error).__name__)
