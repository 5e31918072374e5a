"""The usage journal: what each attempt at a step has spent, in a file, until it is in the database and counted.

A line is written when a call of the model begins and when it ends, and before a run's row is changed. It survives the
process, even if the database is away at that moment. The next process that holds the executor's lock stores and counts
what the file has, see `usage_recovery`.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from .journal_entries import Entry, Settled, parse_line

log = logging.getLogger("app.workflows")

SUFFIX = ".usage.jsonl"

_MAX_SIZE = 256 * 1024  # bytes, above which the file is written anew


class UsageJournal:
    """The journal of this process. It holds the lock of its executor id, so no other process writes the file."""

    def __init__(self, directory: Path, executor_id: str) -> None:
        self._path = directory / f"{executor_id}{SUFFIX}"
        self._open: dict[str, str] = {}  # the last line of each entry that is not settled
        self._descriptor = self._open_file(self._path)
        self._failing = False

    def record(self, entry: Entry) -> None:
        """Write an entry, in place of the one before it of the same key."""
        line = self._open[entry.key] = entry.to_json() + "\n"
        self._write(self._descriptor, line)

    def settle(self, key: str) -> None:
        """Forget an entry: it is in the database, and its event is emitted."""
        if self._open.pop(key, None) is None:
            return
        try:
            if not self._open:
                os.ftruncate(self._descriptor, 0)
                return
            self._write(self._descriptor, Settled(key).to_json() + "\n")
            if os.fstat(self._descriptor).st_size > _MAX_SIZE:
                self._rewrite()
        except OSError as error:
            self._log(error)

    def close(self) -> None:
        """Close the file; what is not in the database stays in it."""
        os.close(self._descriptor)

    @staticmethod
    def _open_file(path: Path) -> int:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def _write(self, descriptor: int, text: str) -> None:
        try:
            os.write(descriptor, text.encode())
            self._failing = False
        except OSError as error:  # without it a kill loses tokens, but nothing else depends on it
            self._log(error)

    def _rewrite(self) -> None:
        beside = self._path.with_suffix(".new")
        beside.unlink(missing_ok=True)
        descriptor = self._open_file(beside)
        self._write(descriptor, "".join(self._open.values()))
        beside.replace(self._path)
        os.close(self._descriptor)
        self._descriptor = descriptor

    def _log(self, error: OSError) -> None:
        if not self._failing:
            log.warning("the usage journal cannot be written: %s", error.strerror)
        self._failing = True


def journals_in(directory: Path) -> list[Path]:
    """Return the files of a directory that are journals and are not empty."""
    return sorted(path for path in directory.glob(f"*{SUFFIX}") if path.stat().st_size > 0)


def read_journal(path: Path) -> list[Entry]:
    """Return the last entry of each key that is not settled, none where the file is missing.

    What cannot be read is left out.
    """
    entries: dict[str, Entry] = {}
    try:
        text = path.read_text("utf-8", "replace")
    except FileNotFoundError:
        return []
    for line in text.splitlines():
        try:
            entry = parse_line(line)
        except ValueError:
            continue
        if isinstance(entry, Settled):
            entries.pop(entry.key, None)
        else:
            entries[entry.key] = entry
    return list(entries.values())


def mark_settled(path: Path, key: str) -> None:
    """Note in the journal of a dead process that an entry is stored and counted."""
    with path.open("a") as file:
        file.write(Settled(key).to_json() + "\n")


def clear_journal(path: Path) -> None:
    """Empty a file: what it has is in the database."""
    os.truncate(path, 0)
