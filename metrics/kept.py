"""What is kept of a family's children from one scrape to the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .formats import Escaping
from .lines import label_name, label_value


class Texts:
    """What is kept of a collector from one scrape to the next: its children's labels, and their values as text."""

    def __init__(self, names: Sequence[str], escaping: Escaping) -> None:
        order = sorted(range(len(names)), key=names.__getitem__)
        self._parts = [(place, f'{label_name(names[place], escaping)}="') for place in order]
        self._before = sum(name < "le" for name in names)  # how many stand before a bucket's own label
        self._keys: list[tuple[str, ...]] = []
        self._columns: dict[str, list[tuple[Any, str]]] = {}
        self.buckets: dict[tuple[str, ...], tuple[list[Any], str]] = {}
        self.whole = Kept(lambda values: ",".join(self._pairs(values)))
        self.halves = Kept(self._halves)

    def fit(self, keys: list[tuple[str, ...]]) -> None:
        """Let go of children that were removed, and keep the columns in the order of those that there are."""
        if keys[: len(self._keys)] != self._keys:
            self._columns = {}
            for kept in (self.whole, self.halves, self.buckets):
                for gone in kept.keys() - keys:
                    del kept[gone]
        self._keys = keys

    def column(self, suffix: str, length: int) -> list[tuple[Any, str]]:
        """Give the values of one sample of each child as they were last written, with their text."""
        column = self._columns.get(suffix, [])
        column = self._columns[suffix] = column + [(None, "")] * (length - len(column))
        return column

    def _halves(self, values: tuple[str, ...]) -> tuple[str, str, str]:
        """Write a child's labels, then those before and after ``le``, with the commas between."""
        pairs = self._pairs(values)
        before = "".join(f"{pair}," for pair in pairs[: self._before])
        return ",".join(pairs), before, "".join(f",{pair}" for pair in pairs[self._before :])

    def _pairs(self, values: tuple[str, ...]) -> list[str]:
        return [f'{start}{label_value(values[place])}"' for place, start in self._parts]


class Kept(dict[tuple[str, ...], Any]):
    """Texts by label values, written when first asked for."""

    def __init__(self, write: Callable[[tuple[str, ...]], Any]) -> None:
        super().__init__()
        self._write = write

    def __missing__(self, values: tuple[str, ...]) -> Any:
        text = self[values] = self._write(values)
        return text
