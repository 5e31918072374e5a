"""What is kept of a collector's children from one scrape to the next: all that stands around their values.

Nothing here looks into prometheus_client; `stock` does, and brings the children's values.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, compress, count
from operator import is_not
from typing import Any

from .formats import Escaping
from .lines import escape_label_name, escape_label_value, format_values, line_frame


class LinePrefixes:
    """Writes the lines of a child up to their values.

    Args:
        names: The names of the labels.
        samples: The name of each line's sample, and its own label (``le="0.5"``), if it has one.
        escaping: What becomes of unusual names.
    """

    def __init__(self, names: Sequence[str], samples: Iterable[tuple[str, str]], escaping: Escaping) -> None:
        order = sorted(range(len(names)), key=names.__getitem__)
        self._starts = [(place, f'{escape_label_name(names[place], escaping)}="') for place in order]
        self._split = sum(name < "le" for name in names)  # how many stand before a bucket's own label
        self._samples = [(*line_frame(name, bool(names or own), escaping), own) for name, own in samples]

    def __call__(self, values: tuple[str, ...]) -> list[str]:
        """Give the lines of the child with these labels' values."""
        pairs = [f'{start}{escape_label_value(values[place])}"' for place, start in self._starts]
        before, after = pairs[: self._split], pairs[self._split :]
        return [
            f"{start}{','.join((*before, own, *after) if own else pairs)}{end} " for start, end, own in self._samples
        ]


class RenderedChildren:
    """Some children of a collector, side by side: their lines with slots for values, and the values' texts.

    It holds for exactly these children. Several threads may write at once, so texts are replaced and never changed.

    Args:
        children: The children, or nothing where a collector has one and that is itself.
        lines: The lines of each child, up to their values.
        created: A whole line for each child that tells when it was made.
        beside: Whether that stands beside the child's others.
    """

    def __init__(self, children: list[Any], lines: Iterable[list[str]], created: list[str], beside: bool) -> None:
        self.children = children
        self.created_lines = b"" if beside else "".join(created).encode()
        ends = [line.replace("%", "%%") if beside else "" for line in created]
        starts = ("".join([f"{line.replace('%', '%%')}%s\n" for line in child]) for child in lines)
        # Bytes, since filling them takes half the time that text takes.
        self._template = "".join(chain.from_iterable(zip(starts, ends, strict=True))).encode()
        self._columns: dict[int, tuple[list[Any], list[bytes]]] = {}

    def fill(self, slots: Iterable[bytes]) -> bytes:
        """Write the children with these texts in their slots."""
        return self._template % tuple(slots)

    def value_texts(self, column: int, amounts: list[Any]) -> list[bytes]:
        """Write one value of each child; those that are the same objects as last time are still written."""
        known, texts = self._columns.get(column) or ([None] * len(amounts), [b""] * len(amounts))
        moved = list(compress(count(), map(is_not, known, amounts)))
        if not moved:
            return texts
        if len(moved) == len(amounts):
            texts = format_values(amounts)
        else:
            texts = texts.copy()
            for place, text in zip(moved, format_values([amounts[place] for place in moved]), strict=True):
                texts[place] = text
        self._columns[column] = amounts, texts
        return texts
