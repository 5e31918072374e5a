"""The cache of a collector's rendered lines: all that surrounds the values of its children, from scrape to scrape.

Nothing here touches prometheus_client's private parts; `metrics.fastpath` does, and passes the children's values in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, compress, count
from operator import is_, is_not
from typing import Any

from .escaping import escape_label_name, escape_label_value
from .formats import Escaping
from .lines import format_values, line_frame


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
        before, after = pairs[: self._split], pairs[self._split :]
        return [
            f"{start}{','.join((*before, own, *after) if own else pairs)}{end} " for start, end, own in self._frames
        ]


class RenderedChildren:
    """The rendered lines of some children of one collector: a template with a slot for each value.

    It is valid for exactly these children. Several threads may render at once, so texts are replaced and never changed.

    Args:
        children: The children; empty where the collector has no labels and is its own only child.
        prefixes: The lines of each child, up to their values.
        created: When each child began; nothing of those that do not say so.
        created_lines: The whole ``_created`` line of each child, or an empty string.
        created_inline: Whether that line follows the child's other lines (OpenMetrics) or is part of a family of its
            own (text).
    """

    def __init__(
        self,
        children: list[Any],
        prefixes: Iterable[list[str]],
        created: list[float | None],
        created_lines: list[str],
        created_inline: bool,
    ) -> None:
        self.children = children
        self.created = created
        self.created_lines = b"" if created_inline else "".join(created_lines).encode()
        ends = [line.replace("%", "%%") if created_inline else "" for line in created_lines]
        starts = ("".join([f"{line.replace('%', '%%')}%s\n" for line in child]) for child in prefixes)
        # Bytes: formatting them takes half the time that formatting str takes.
        self._template = "".join(chain.from_iterable(zip(starts, ends, strict=True))).encode()
        self._columns: dict[int, tuple[list[Any], list[bytes]]] = {}
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
        self._last = numbers, exemplars, text
        return text

    def fill(self, slots: Iterable[bytes]) -> bytes:
        """Return the children's lines with these texts as their values."""
        return self._template % tuple(slots)

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
