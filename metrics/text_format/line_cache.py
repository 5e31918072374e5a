"""The cache of a collector's rendered lines: all that surrounds the values of its children, from scrape to scrape.

Nothing here touches prometheus_client's private parts; `metrics.fastpath` does, and passes the children's values in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import compress, count, repeat
from operator import is_, is_not
from typing import Any

from .escaping import escape_label_name, escape_label_value
from .formats import Escaping
from .lines import format_value, format_values, line_frame


class LinePrefixes:
    """Renders the lines of a child up to their values.

    Args:
        label_names: The names of the labels.
        samples: The sample name of each line, and the line's own label (``le="0.5"``) or an empty string.
        escaping: The escaping scheme of the names.
    """

    def __init__(self, label_names: Sequence[str], samples: Iterable[tuple[str, str]], escaping: Escaping) -> None:
        order = sorted(range(len(label_names)), key=label_names.__getitem__)
        self._pair_starts = [(index, f'{escape_label_name(label_names[index], escaping)}="') for index in order]
        self._split = sum(name < "le" for name in label_names)  # how many labels sort before a bucket's ``le``
        self._frames = [(*line_frame(name, bool(label_names or own), escaping), own) for name, own in samples]

    def __call__(self, label_values: tuple[str, ...]) -> list[str]:
        """Return the lines of the child with these label values, each up to the space before its value."""
        pairs = [f'{start}{escape_label_value(label_values[index])}"' for index, start in self._pair_starts]
        before = "".join([f"{pair}," for pair in pairs[: self._split]])
        after = "".join([f",{pair}" for pair in pairs[self._split :]])
        alone = ",".join(pairs)
        return [
            f"{start}{before}{own}{after}{end} " if own else f"{start}{alone}{end} " for start, end, own in self._frames
        ]


@dataclass(frozen=True, slots=True)
class ChildLines:
    """The parts of some children's lines but for their values; without the collector, which would never be freed.

    Attributes:
        prefixes: Renders the lines of a child.
        label_values: The label values of each child.
        created_prefixes: Renders the ``_created`` line of a child.
        created: When each child began; nothing of those that do not say so.
    """

    prefixes: Callable[[tuple[str, ...]], list[str]]
    label_values: Sequence[tuple[str, ...]]
    created_prefixes: Callable[[tuple[str, ...]], list[str]]
    created: Sequence[float | None] = ()

    def created_lines(self) -> list[str]:
        """Return the whole ``_created`` line of each child, or an empty string."""
        if not self.created:
            return [""] * len(self.label_values)
        return [
            "" if time is None else f"{self.created_prefixes(values)[0]}{format_value(time)}\n"
            for values, time in zip(self.label_values, self.created, strict=True)
        ]

    def template(self, *, created_inline: bool) -> bytes:
        """Return the lines of all children, with a slot for each value."""
        ends = [line.replace("%", "%%") for line in self.created_lines()] if created_inline else repeat("")
        starts = (
            "".join([f"{line.replace('%', '%%')}%s\n" for line in self.prefixes(values)])
            for values in self.label_values
        )
        # Bytes: formatting them takes half the time that formatting str takes.
        return "".join([f"{start}{end}" for start, end in zip(starts, ends, strict=False)]).encode()


class RenderedChildren:
    """The rendered lines of some children of one collector, valid for exactly these children.

    Held are their last text and a template with a slot for each value, from which it is written. Of a part of a large
    family it is one of the two, since each takes nearly half of what a histogram's child does by itself: the text once
    it was the same twice in a row, and until then the template.

    Several threads may render at once, so texts are replaced and never changed.

    Args:
        children: The children; empty where the collector has no labels and is its own only child.
        lines: What their lines are made of.
        created_inline: Whether the ``_created`` line of a child follows its other lines (OpenMetrics) or is part of a
            family of its own (text).
        is_part: Whether the family has other children than these.
    """

    def __init__(
        self, children: list[Any], lines: ChildLines, *, created_inline: bool = True, is_part: bool = False
    ) -> None:
        self.children = children
        self.is_part = is_part
        self.created = lines.created
        self.created_lines = b"" if created_inline else "".join(lines.created_lines()).encode()
        self._lines = lines
        self._created_inline = created_inline
        self._template: bytes | None = None
        self._columns: dict[int, tuple[list[Any], list[bytes]]] = {}
        self._last_hash: int | None = None
        self._last: tuple[list[Any], list[Any], bytes] | None = None

    def last_text(self, numbers: list[Any], exemplars: list[Any]) -> bytes | None:
        """Return the text of the last time, if it was of the same objects; None if it has to be written anew."""
        if self._last is None:
            return None
        last_numbers, last_exemplars, text = self._last
        is_same = all(map(is_, last_numbers, numbers)) and len(last_exemplars) == len(exemplars)
        return text if is_same and all(map(is_, last_exemplars, exemplars)) else None

    def remember(self, numbers: list[Any], exemplars: list[Any], text: bytes) -> bytes:
        """Store a text for the next time, and return it; of one that is equal to the last one, that one."""
        if self._last is not None and self._last[2] == text:
            text = self._last[2]
        if self.is_part:
            is_as_last = hash(text) == self._last_hash
            self._last_hash = hash(text)
            if not is_as_last:
                self._last = None
                return text
            self._template, self._columns = None, {}
        self._last = numbers, exemplars, text
        return text

    def fill(self, slots: Iterable[bytes]) -> bytes:
        """Return the children's lines with these texts as their values."""
        template = self._template
        if template is None:
            template = self._template = self._lines.template(created_inline=self._created_inline)
        return template % tuple(slots)

    def value_texts(self, column: int, values: list[Any]) -> list[bytes]:
        """Return the text of one value of each child; a value that is the same object as last time is not formatted.

        Args:
            column: Which of a child's values these are.
            values: One value for each child.
        """
        last_values, texts = self._columns.get(column) or ([None] * len(values), [b""] * len(values))
        changed = list(compress(count(), map(is_not, last_values, values)))
        if not changed:
            return texts
        if len(changed) == len(values):
            texts = format_values(values)
        else:
            texts = texts.copy()
            for index, text in zip(changed, format_values([values[index] for index in changed]), strict=True):
                texts[index] = text
        self._columns[column] = values, texts
        return texts
