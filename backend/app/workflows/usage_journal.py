"""The usage journal: what each attempt at a step has spent, in a file, until it is in the database.

A line is written when a call of the model ends, and it survives the process, even if the database is away at that
moment. The next process that holds the executor's lock stores what the file has, see `usage_recovery`.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from app.database import Step
from app.llm_usage import LLMUsage

log = logging.getLogger("app.workflows")

SUFFIX = ".usage.jsonl"

_MAX_SIZE = 256 * 1024  # bytes, above which the file is written anew


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptUsage:
    """The usage of one attempt at a step so far; ``duration`` is the time until its last call ended."""

    attempt_id: str
    run_id: str
    position: int
    name: str
    agent_name: str
    started_at: datetime
    duration: float
    usage: LLMUsage

    def to_json(self) -> str:
        """Return the entry as one line."""
        return json.dumps({**asdict(self), "started_at": self.started_at.isoformat()})

    @classmethod
    def from_json(cls, line: str) -> AttemptUsage:
        """Return the entry that `to_json` has written.

        Raises:
            ValueError: The line is not one, as the last line of a process that was killed while it wrote.
        """
        try:
            values: dict[str, Any] = json.loads(line)
            started_at = datetime.fromisoformat(values.pop("started_at"))
            return cls(**{**values, "started_at": started_at, "usage": LLMUsage(**values["usage"])})
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(str(error)) from None

    def as_step(self) -> Step:
        """Return the step that the database gets where the attempt's process was killed."""
        return Step(
            run_id=self.run_id,
            position=self.position,
            name=self.name,
            agent_name=self.agent_name,
            status="cancelled",
            error="The process ended during the step.",
            output=None,
            started_at=self.started_at,
            duration=self.duration,
            **asdict(self.usage),
        )


class UsageJournal:
    """The journal of this process. It holds the lock of its executor id, so no other process writes the file."""

    def __init__(self, directory: Path, executor_id: str) -> None:
        self._path = directory / f"{executor_id}{SUFFIX}"
        self._open: dict[str, str] = {}  # the last line of each attempt that is not in the database
        self._descriptor = self._open_file(self._path)
        self._failing = False

    def record(self, attempt: AttemptUsage) -> None:
        """Write what an attempt has spent so far."""
        line = self._open[attempt.attempt_id] = attempt.to_json() + "\n"
        self._write(self._descriptor, line)

    def settle(self, attempt_id: str) -> None:
        """Forget an attempt: it is in the database."""
        self._open.pop(attempt_id, None)
        try:
            if not self._open:
                os.ftruncate(self._descriptor, 0)
            elif os.fstat(self._descriptor).st_size > _MAX_SIZE:
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


def read_journal(path: Path) -> list[AttemptUsage]:
    """Return the last entry of each attempt in a file, none where it is missing; what cannot be read is left out."""
    entries: dict[str, AttemptUsage] = {}
    try:
        text = path.read_text("utf-8", "replace")
    except FileNotFoundError:
        return []
    for line in text.splitlines():
        try:
            entry = AttemptUsage.from_json(line)
        except ValueError:
            continue
        entries[entry.attempt_id] = entry
    return list(entries.values())


def clear_journal(path: Path) -> None:
    """Empty a file: what it has is in the database."""
    os.truncate(path, 0)
