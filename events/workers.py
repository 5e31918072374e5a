"""Events of a server's worker processes."""

from __future__ import annotations

from dataclasses import dataclass

from .bus.fields import Key, Seconds, Status
from .bus.signal import Signal
from .bus.span import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStarted:
    """A process started to serve, alone or as one of several workers."""

    worker_id: Key = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerFinished:
    """A process stopped serving, other than by being killed: then it cannot emit this."""

    worker_id: Key
    status: Status
    duration: Seconds
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerFolderRead:
    """A process began or ceased to share its numbers with the others, or is new.

    ``alone`` is 1 while it can use no file in the folder that they have in common, else 0.
    """

    alone: int


worker_started = Signal(WorkerStarted)
worker_finished = Signal(WorkerFinished)
worker_folder_read = Signal(WorkerFolderRead)
worker_run = Span(worker_started, worker_finished)
"""The time in which a process serves."""
