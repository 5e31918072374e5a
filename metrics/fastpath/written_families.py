"""Families that are as they were the last time: most of a scrape, which is not written anew."""

# ruff: noqa: SLF001  # the module's very purpose

from __future__ import annotations

from typing import Any

import prometheus_client.metrics as client

from ..text_format.families import Block
from ..text_format.formats import Format
from ..text_format.line_cache import RenderedChildren
from .child_layouts import LAYOUTS, ChildLayout, exemplars_of, numbers_of
from .children import created_of


class WrittenFamily:
    """A family with few children as it was written the last time, and what it was written of.

    Attributes:
        texts: The parts of its text.
        samples: How many samples are in them.
    """

    __slots__ = ("_format", "_layout", "_rendered", "_uses_created", "samples", "texts")

    def __init__(
        self, layout: ChildLayout, text_format: Format, rendered: RenderedChildren | None, blocks: list[Block]
    ) -> None:
        self.texts = [text for text, _ in blocks]
        self.samples = sum(samples for _, samples in blocks)
        self._layout = layout
        self._format = text_format
        self._uses_created = client._use_created
        self._rendered = rendered  # None where it has no children

    def is_as_it_was(self, collector: Any, text_format: Format) -> bool:
        """Return whether the collector would be written the same way, in this format."""
        rendered = self._rendered
        if (
            (self._format is not text_format and self._format != text_format)
            or self._uses_created is not client._use_created
            or "collect" in collector.__dict__
        ):
            return False
        # Without the lock: a list is made of all values at once.
        children = list(collector._metrics.values()) if collector._labelnames else [collector]
        if rendered is None or not children:
            return rendered is None and not children
        if (collector._labelnames and rendered.children != children) or (
            rendered.created and rendered.created != list(map(created_of, children))
        ):
            return False
        values = self._layout.values(children)
        exemplars = exemplars_of(collector, self._layout, values, text_format)
        return rendered.last_text(numbers_of(values), exemplars) is self.texts[1]


_WRITTEN = "_written_by_media_type"  # an attribute of ours, found faster than in a dictionary of weak references
_NONE: dict[str, WrittenFamily] = {}


def unchanged(collector: Any, text_format: Format) -> WrittenFamily | None:
    """Return what a collector was written as the last time, if it would be the same now, as most of a scrape is."""
    if type(collector) not in LAYOUTS:
        return None
    last: WrittenFamily | None = collector.__dict__.get(_WRITTEN, _NONE).get(text_format.media_type)
    return last if last is not None and last.is_as_it_was(collector, text_format) else None


def remember(
    collector: Any, layout: ChildLayout, text_format: Format, rendered: RenderedChildren | None, blocks: list[Block]
) -> None:
    """Store what a collector was written as, and the lines of its children; None where it has none."""
    written = WrittenFamily(layout, text_format, rendered, blocks)
    collector.__dict__.setdefault(_WRITTEN, {})[text_format.media_type] = written
