"""Which tables are named in events: those of the metadata, if there is one, so that no text makes up label values."""

from __future__ import annotations

from sqlalchemy import MetaData

from .sql.keywords import NONE, OTHER, SYSTEM


class TableLabels:
    """The label value of each table of one engine; tables may be added to the metadata at any time."""

    def __init__(self, metadata: MetaData | None) -> None:
        self._metadata = metadata
        self._table_count = -1  # how many the metadata had when the labels were made
        self._labels: dict[str, str] = {}

    def label(self, table: str) -> str:
        """Return a table's name as it is declared, ``other`` if it is not in the metadata."""
        if self._metadata is None:
            return table
        if len(self._metadata.tables) != self._table_count:
            names = [str(declared.name) for declared in list(self._metadata.tables.values())]
            self._table_count = len(names)
            # A name that SQL does not quote was read in lower case, whatever the case of the table's.
            self._labels = {name.lower(): name for name in names} | {
                name: name for name in (*names, NONE, SYSTEM, OTHER)
            }
        return self._labels.get(table, OTHER)

    def is_final(self, label: str) -> bool:
        """Return whether a label will stay as it is; a table that is ``other`` may be declared later."""
        return label != OTHER or self._metadata is None
