"""The usage journal: what each attempt at a step has spent, in a file, until it is in the database and counted.

A line is written when a call of the model begins and when it ends, and before a run's row is changed. It survives the
process, even if the database is away at that moment. The next process that holds the executor's lock stores and counts
what the file has, see `usage_recovery`.

A full disk takes nothing from the file: a line that does not fit whole is not in it, and is written once there is room;
one that is settled is overwritten in its place, which takes none; a file is replaced by a complete one only.
"""

from __future__ import annotations

import errno
import logging
import os
from contextlib import suppress
from pathlib import Path

from .journal_entries import Entry, parse_line

log = logging.getLogger("app.workflows")

SUFFIX = ".usage.jsonl"

_MAX_SIZE = 256 * 1024  # bytes, above which the file is written anew
_VOID = b"#"  # in place of a line's brace: no line of JSON begins with it


class UsageJournal:
    """The journal of this process. It holds the lock of its executor id, so no other process writes the file.

    Raises:
        OSError: The file cannot be created.
    """

    def __init__(self, directory: Path, executor_id: str) -> None:
        self._path = directory / f"{executor_id}{SUFFIX}"
        self._lines: dict[str, bytes] = {}  # the last line of each entry that is not settled
        self._unwritten: dict[str, None] = {}  # the keys of those that are not in the file yet, in their order
        self._offsets: dict[str, int] = {}  # where the file has an entry, perhaps as it was before
        self._descriptor = _open_file(self._path)
        self._end = os.fstat(self._descriptor).st_size
        self._failing = False

    def record(self, entry: Entry) -> None:
        """Write an entry, in place of the one before it of the same key."""
        self._lines.pop(entry.key, None)  # the entries are in the order of their last lines, as in the file
        # The first line break ends what a killed process left of a line.
        self._lines[entry.key] = f"\n{entry.to_json()}\n".encode()
        self._unwritten.pop(entry.key, None)
        self._unwritten[entry.key] = None
        self._write_missing()

    def settle(self, key: str) -> None:
        """Forget an entry: it is in the database, and its event is emitted."""
        if self._lines.pop(key, None) is None:
            return
        self._unwritten.pop(key, None)
        offset = self._offsets.pop(key, None)
        try:
            if not self._lines:
                os.ftruncate(self._descriptor, 0)
                self._end = 0
            elif offset is not None:
                _void(self._descriptor, offset)
            if self._end > _MAX_SIZE:
                self._rewrite()
        except OSError as error:
            self._log(error)
        self._write_missing()

    def close(self) -> None:
        """Close the file; what is not in the database stays in it."""
        os.close(self._descriptor)

    def _write_missing(self) -> None:
        for key in tuple(self._unwritten):
            try:
                offset = self._append(self._lines[key])
                del self._unwritten[key]
                earlier, self._offsets[key] = self._offsets.get(key), offset
                if earlier is not None:
                    _void(self._descriptor, earlier)
            except OSError as error:  # without it a kill loses tokens, but nothing else depends on it
                self._log(error)
        if self._failing and not self._unwritten:
            self._failing = False
            log.info("the usage journal can be written again, and has all that it should have")

    def _append(self, line: bytes) -> int:
        """Write a line at the end, whole or not at all, and return where it is."""
        offset = self._end
        try:
            _write_whole(self._descriptor, line, offset)
        except OSError:
            with suppress(OSError):  # the next line overwrites what there is of this one
                os.ftruncate(self._descriptor, offset)
            raise
        self._end += len(line)
        return offset

    def _rewrite(self) -> None:
        """Replace the file by one without the settled lines; where that does not fit on the disk, leave it as it is."""
        beside = self._path.with_suffix(".new")
        beside.unlink(missing_ok=True)
        descriptor = _open_file(beside)
        try:
            _write_whole(descriptor, b"".join(self._lines.values()), 0)
            beside.replace(self._path)
        except OSError:
            os.close(descriptor)
            with suppress(OSError):
                beside.unlink()  # it takes the room that is missing
            raise
        os.close(self._descriptor)
        self._descriptor = descriptor
        self._unwritten.clear()
        self._end = 0
        for key, line in self._lines.items():
            self._offsets[key] = self._end
            self._end += len(line)

    def _log(self, error: OSError) -> None:
        if not self._failing:
            log.warning(
                "the usage journal %s cannot be written: %s; make room or make it writable: until then a kill may lose"
                " tokens that were paid for",
                self._path,
                error.strerror,
            )
        self._failing = True


def journals_in(directory: Path) -> list[Path]:
    """Return the files of a directory that are journals and are not empty."""
    return sorted(path for path in directory.glob(f"*{SUFFIX}") if path.stat().st_size > 0)


def read_journal(path: Path) -> list[Entry]:
    """Return the last entry of each key that is not settled, in their order; none where the file is missing.

    What cannot be read is left out.
    """
    entries: dict[str, Entry] = {}
    for _, entry in _entries_in(path):
        entries.pop(entry.key, None)
        entries[entry.key] = entry
    return list(entries.values())


def mark_settled(path: Path, key: str) -> None:
    """Note in the journal of a dead process that an entry is stored and counted.

    Raises:
        OSError: The file cannot be written.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        for offset, entry in _entries_in(path):
            if entry.key == key:
                os.pwrite(descriptor, _VOID, offset)
    finally:
        os.close(descriptor)


def clear_journal(path: Path) -> None:
    """Empty a file, if there is one: what it has is in the database."""
    with suppress(FileNotFoundError):
        os.truncate(path, 0)


def remove_empty_journal(directory: Path, executor_id: str) -> bool:
    """Remove the journal of an executor that is gone, if it is empty; return whether there is none any more."""
    path = directory / f"{executor_id}{SUFFIX}"
    try:
        if path.stat().st_size > 0:
            return False
        path.unlink()
    except FileNotFoundError:
        pass
    return True


def _entries_in(path: Path) -> list[tuple[int, Entry]]:
    """Return each line that can be read, and where it begins; none where the file is missing."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    found: list[tuple[int, Entry]] = []
    offset = 0
    for line in data.split(b"\n"):
        with suppress(ValueError):
            found.append((offset, parse_line(line.decode())))
        offset += len(line) + 1
    return found


def _open_file(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _write_whole(descriptor: int, data: bytes, offset: int) -> None:
    """Write all of the data, or raise: on a disk that becomes full the kernel writes what fits, and says so."""
    if os.pwrite(descriptor, data, offset) < len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _void(descriptor: int, offset: int) -> None:
    """Overwrite the brace of a line that `UsageJournal.record` wrote at an offset, behind its first line break."""
    os.pwrite(descriptor, _VOID, offset + 1)
