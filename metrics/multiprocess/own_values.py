"""The values of a process that counts alone, read as a worker's file is."""

from __future__ import annotations

from itertools import chain, islice

from prometheus_client.samples import Exemplar

from .file_layout import FamilySchema
from .shared_file import SharedFile
from .shared_values import SharedValue


class OwnValues:
    """Reads this process's own values, each time the series that are new.

    Args:
        file: Holds them.
    """

    layers = 1

    def __init__(self, file: SharedFile) -> None:
        self.path = file.folder
        self.records = self
        self.created: dict[bytes, int] = {}
        self._file = file
        self._values: list[tuple[FamilySchema, list[SharedValue]]] = []

    def read_new(self) -> list[tuple[bytes, FamilySchema]]:
        """Return the series that were added since the last call, each as its line and its family's schema."""
        new = list(islice(self._file.series.copy().items(), len(self._values), None))
        self._values += [(schema, values) for (schema, _), values in new]
        lines = [(schema.series_line(label_values), schema) for (schema, label_values), _ in new]
        self.created.update((line, self._file.created[key]) for (line, _), (key, _) in zip(lines, new, strict=True))
        return lines

    def values(self, _: int = 0) -> list[float]:
        """Return the cells of all series read so far; the time of a most recent value is 0, as it is the only one."""
        return list(chain.from_iterable(_cells(schema, values) for schema, values in self._values))

    def read(self) -> tuple[list[tuple[int, Exemplar]], bool]:
        """Return each exemplar with its cell, and that none is torn."""
        found, cell = [], 0
        for schema, values in self._values:
            for number, value in enumerate(values):
                exemplar = value.get_exemplar()
                if exemplar is not None:
                    found.append((cell + number, exemplar))
            cell += schema.cell_count
        return found, True


def _cells(schema: FamilySchema, values: list[SharedValue]) -> list[float]:
    return [*(value.get() for value in values), *[0.0] * (schema.cell_count - len(values))]
