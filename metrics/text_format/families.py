"""Rendering of whole metric families, in every format, from what ``collect()`` of any collector returns.

Text 0.0.4 is byte for byte what ``prometheus_client.generate_latest`` writes. Two of its faults in the other formats
are not repeated: OpenMetrics with a colon in a name, and an exemplar or a native histogram where the format has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from prometheus_client import Metric
from prometheus_client.samples import Sample

from .escaping import escape_metric_name
from .formats import Format
from .lines import openmetrics_line, text_line

BLOCK_SIZE = 256
"""Samples in a block: rendered without giving other threads a chance to run."""

Block = tuple[bytes, int]
"""Rendered text and the number of samples in it."""

_TEXT_TYPES = {"info": "gauge", "stateset": "gauge", "gaugehistogram": "histogram", "unknown": "untyped"}
_TEXT_SUFFIXES = {"counter": "_total", "info": "_info"}
# Only OpenMetrics has these samples within the family; text has them as gauge families of their own, at the end.
_OPENMETRICS_SUFFIXES = ("_created", "_gcount", "_gsum")


def render_family(metric: Metric, text_format: Format) -> Iterator[Block]:
    """Yield a family's text in blocks of up to `BLOCK_SIZE` samples."""
    yield family_header(metric.name, metric.documentation, metric.type, metric.unit, text_format)
    if text_format.is_openmetrics:
        yield from _blocks(openmetrics_line(sample, metric, text_format) for sample in metric.samples)
        return
    main_samples: list[Sample] = []
    extra_samples: dict[str, list[Sample]] = {}  # by suffix
    suffixes = {metric.name + suffix: suffix for suffix in _OPENMETRICS_SUFFIXES}
    for sample in metric.samples:
        suffix = suffixes.get(sample.name)
        (main_samples if suffix is None else extra_samples.setdefault(suffix, [])).append(sample)
    yield from _blocks(text_line(sample, text_format) for sample in main_samples)
    for suffix, samples in sorted(extra_samples.items()):
        yield family_header(metric.name + suffix, metric.documentation, "gauge", "", text_format)
        yield from _blocks(text_line(sample, text_format) for sample in samples)


def _blocks(lines: Iterable[str]) -> Iterator[Block]:
    block = []
    for line in filter(None, lines):
        block.append(line)
        if len(block) == BLOCK_SIZE:
            yield "".join(block).encode(), len(block)
            block.clear()
    if block:
        yield "".join(block).encode(), len(block)


@lru_cache(4096)
def family_header(name: str, documentation: str, kind: str, unit: str, text_format: Format) -> Block:
    """Return the ``# HELP``, ``# TYPE`` and ``# UNIT`` lines of a family; they hold no samples."""
    text = documentation.replace("\\", r"\\").replace("\n", r"\n")
    if text_format.is_openmetrics:
        text = text.replace('"', r"\"")
    else:
        name, kind, unit = name + _TEXT_SUFFIXES.get(kind, ""), _TEXT_TYPES.get(kind, kind), ""
    escaped = escape_metric_name(name, text_format.escaping)
    unit_line = f"# UNIT {escaped} {unit}\n" if unit else ""
    return f"# HELP {escaped} {text}\n# TYPE {escaped} {kind}\n{unit_line}".encode(), 0
