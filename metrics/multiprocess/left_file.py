"""The file of a process that counts alone: it may come back, with a folder that was out of reach for a while."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import nan

from .file_layout import FamilySchema
from .shared_values import SharedValue
from .written_file import WrittenFile


class LeftFile:
    """A file that its process cannot find now, and still holds the lock of: nobody takes it for that of a dead one.

    Args:
        written: The file, whole.
        series: The values of its process; those that are in the file have a place there.
    """

    def __init__(
        self, written: WrittenFile, series: Mapping[tuple[FamilySchema, tuple[str, ...]], Sequence[SharedValue]]
    ) -> None:
        self.written = written
        self.places = {
            key: cell for key, values in series.items() if (cell := values[0].cell_in(written.cells)) is not None
        }
        """The first cell of each series in the file."""

    def is_back(self) -> bool:
        """Return whether the file is where it was, and whole."""
        try:
            self.written.check()
        except OSError:
            return False
        return True

    def withdraw(self) -> None:
        """Remove the values from the file, which are shared by another one now, and close it."""
        if self.written.is_whole():
            for (schema, _), cell in self.places.items():
                for number in range(schema.value_count):
                    self.written.cells[cell + number] = nan if schema.kind == "gauge" else 0.0
        self.written.close()

    def close(self) -> None:
        """Release the lock; the values stay."""
        self.written.close()
