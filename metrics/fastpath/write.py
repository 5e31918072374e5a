"""Fast rendering of prometheus_client's own counters, gauges, summaries and histograms.

Values are filled into cached lines (see `metrics.text_format.line_cache`), without building a sample for each.
`fast_write_works` is the self-test: it compares with what prometheus_client itself writes. Where the two differ,
everything is rendered from ``collect()`` instead.
"""

# ruff: noqa: SLF001  # the module's very purpose

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any
from weakref import WeakKeyDictionary

import prometheus_client.metrics as client
from prometheus_client import CollectorRegistry, generate_latest

from ..text_format.families import BLOCK_SIZE, Block, family_header, render_family
from ..text_format.formats import OPENMETRICS, TEXT, Escaping, Format
from ..text_format.line_cache import ChildLines, LinePrefixes, RenderedChildren
from ..text_format.lines import exemplar_suffix
from .child_layouts import LAYOUTS, ChildLayout, UnsupportedCollector, exemplars_of, numbers_of
from .children import created_of
from .self_test import self_test
from .written_families import remember


def registered_collectors(registry: object) -> list[tuple[Any, list[str]]] | None:
    """Return a registry's collectors, each with the names it registered; None if only ``collect()`` can be called."""
    if type(registry) is not CollectorRegistry:
        return None
    try:
        with registry._lock:
            return list(registry._collector_to_names.items())
    except (AttributeError, TypeError, ValueError):
        return None


def is_plain(collector: Any) -> bool:
    """Return whether a collector is of one of prometheus_client's classes of metrics."""
    return type(collector) in LAYOUTS


def render_blocks(collector: Any, text_format: Format) -> Iterator[Block] | None:
    """Return the text of a collector's family, as `families.render_family` writes it; None if it is of no known class.

    The blocks are good only as a whole: the iterator raises where it meets a child that it does not know.
    """
    layout = LAYOUTS.get(type(collector))
    if layout is None or not fast_write_works():
        return None
    return _render(collector, layout, text_format)


def _differences() -> Iterator[str]:
    return (text_format.media_type for text_format in (TEXT, OPENMETRICS) if not _renders_alike(text_format))


fast_write_works = self_test(_differences, otherwise="/metrics is written the slow way, from collect()")
"""Whether this module writes every kind of collector as the prometheus_client at hand does."""


def _renders_alike(text_format: Format) -> bool:
    registry = CollectorRegistry()
    updates = []
    for kind in LAYOUTS:
        name = kind.__name__.lower().strip("_")
        bare = kind(f"{name}_bare", "h", registry=registry)
        labelled = kind(f"{name}_labelled", "h", ["z", "a"], registry=registry)
        children = (bare, labelled.labels('"%s"\\', "\n"), labelled.labels("é", ""))
        updates += [getattr(child, "observe", None) or child.inc for child in children]
    collectors = list(registry._collector_to_names)
    for value in (0.1, 3, 2e6):  # several times: the second render finds cached lines
        for update in updates[1:]:
            update(value)
        ours = _text(chain.from_iterable(_render(each, LAYOUTS[type(each)], text_format) for each in collectors))
        if text_format is TEXT:
            expected = generate_latest(registry)
        else:
            expected = _text(chain.from_iterable(render_family(family, text_format) for family in registry.collect()))
        if ours != expected:
            return False
    return True


def _text(blocks: Iterable[Block]) -> bytes:
    return b"".join(text for text, _ in blocks)


def _says_created(layout: ChildLayout, text_format: Format) -> bool:
    is_usual = layout.created == "as prometheus_client" and bool(client._use_created)
    return is_usual or (layout.created != "never" and text_format.with_created)


# By collector, then by escaping and by whether the ``_created`` lines stand among the others.
_cache: WeakKeyDictionary[Any, dict[tuple[Escaping, bool], list[RenderedChildren]]] = WeakKeyDictionary()


def _render(collector: Any, layout: ChildLayout, text_format: Format) -> Iterator[Block]:
    if collector.collect.__func__ is not client.MetricWrapperBase.collect:
        raise UnsupportedCollector
    name, documentation = collector._name, collector._documentation
    has_created = _says_created(layout, text_format)
    created_inline = has_created and text_format.is_openmetrics  # in text they are a family of their own, at the end
    created: list[Block] = []
    line_count = layout.line_count(collector)
    blocks = [family_header(name, documentation, collector._type, collector._unit, text_format)]
    parts: list[RenderedChildren] = []
    yield blocks[0]
    for children, rendered in _children_with_lines(
        collector, layout, text_format.escaping, has_created=has_created, created_inline=created_inline
    ):
        text = _children_text(collector, layout, children, rendered, text_format)
        began = sum(time is not None for time in rendered.created)
        blocks.append((text, len(children) * line_count + began * created_inline))
        parts.append(rendered)
        yield blocks[-1]
        created.append((rendered.created_lines, began))
    if created and has_created and not created_inline:
        added = [family_header(f"{name}_created", documentation, "gauge", "", text_format), *created]
        blocks += added
        yield from added
    if len(parts) <= 1:
        remember(collector, layout, text_format, parts[0] if parts else None, blocks)


def _children_text(
    collector: Any, layout: ChildLayout, children: list[Any], rendered: RenderedChildren, text_format: Format
) -> bytes:
    """Return the text of some children: that of the last time, the same object, where nothing has changed."""
    values = layout.values(children)
    exemplars = exemplars_of(collector, layout, values, text_format)
    numbers = numbers_of(values)
    text = rendered.last_text(numbers, exemplars)
    if text is None:
        texts = layout.value_texts(collector, numbers, rendered)
        if exemplars:
            texts = _with_exemplars(texts, exemplars, text_format)
        text = rendered.remember(numbers, exemplars, rendered.fill(texts))
    return text


def _children_with_lines(
    collector: Any, layout: ChildLayout, escaping: Escaping, *, has_created: bool, created_inline: bool
) -> Iterator[tuple[list[Any], RenderedChildren]]:
    """Yield a collector's children, some at a time, with their lines: from the cache if the children are the same."""
    keys: list[tuple[str, ...]] = [()]
    children: list[Any] = [collector]
    names = collector._labelnames
    if names:
        with collector._lock:  # two lists: a tuple for each child would set the garbage collector to work
            keys, children = list(collector._metrics), list(collector._metrics.values())
    step = max(1, BLOCK_SIZE // layout.line_count(collector))
    cached = _cache.setdefault(collector, {}).get((escaping, created_inline), [])
    current: list[RenderedChildren] = []
    is_part = len(children) > step
    prefixes: tuple[LinePrefixes, LinePrefixes] | None = None  # those of all children that are new
    for index, start in enumerate(range(0, len(children), step)):
        some = children[start : start + step]
        cached_for = some if names else []  # a collector that its own lines refer to would never be freed
        rendered = cached[index] if index < len(cached) else None
        created = list(map(created_of, some)) if has_created else []
        if (
            rendered is None
            or rendered.children != cached_for
            or rendered.created != created
            or rendered.is_part != is_part
        ):
            prefixes = prefixes or _line_prefixes(collector, layout, escaping)
            lines = ChildLines(prefixes[0], keys[start : start + step], prefixes[1], created)
            rendered = RenderedChildren(cached_for, lines, created_inline=created_inline, is_part=is_part)
        current.append(rendered)
        yield some, rendered
    _cache[collector][escaping, created_inline] = current


def _line_prefixes(collector: Any, layout: ChildLayout, escaping: Escaping) -> tuple[LinePrefixes, LinePrefixes]:
    """Return what renders the lines of a collector's children, and their ``_created`` lines."""
    samples, created = layout.samples(collector), [(f"{collector._name}_created", "")]
    return (
        LinePrefixes(collector._labelnames, samples, escaping),
        LinePrefixes(collector._labelnames, created, escaping),
    )


def _with_exemplars(texts: list[bytes], exemplars: list[Any], text_format: Format) -> list[bytes]:
    return [
        text + exemplar_suffix(exemplar, text_format).encode() if exemplar else text
        for text, exemplar in zip(texts, exemplars, strict=True)
    ]
