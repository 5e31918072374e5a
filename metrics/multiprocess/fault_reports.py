"""Reports of what goes wrong while totals are computed: each is emitted, and logged at most once a minute."""

from __future__ import annotations

import logging

from events import collector_failed, worker_file_faulty
from events.bus.failures import error_location
from events.bus.log_throttle import LogThrottle
from events.pipeline import WorkerFileFault

log = logging.getLogger("metrics")

FILE_FAULTS: dict[WorkerFileFault, str] = {
    "empty": "%s, a worker's file, is empty: what its process counted is lost",
    "torn": (
        "%s, a worker's file, is broken, or of another version: what cannot be read of it is not in the totals."
        " See that nothing else writes in the folder, and that all workers run one version"
    ),
    "unreadable": (
        "%s has the name of a worker's file, and is none that this process can read: it is not in the totals. Remove it"
        " if it is a folder, a FIFO or a link; if it is a file, let this process's user read it"
    ),
    "unknown": (
        "%s: a worker has this metric and this process lacks it, so it is not in the totals. See that all workers"
        " run one version"
    ),
    "full": "%s has no room for more series: new ones are not in the totals. Lower the limits of labels",
    "unshared": "%s: this process counts alone: no other one shows its numbers",
}
"""What the log says of each fault of a file, or of a family."""

_throttle = LogThrottle()


def report_file_fault(fault: WorkerFileFault, subject: str) -> None:
    """Report that a worker's file cannot be used, wholly or in part: emitted as `worker_file_faulty`.

    ``subject`` is the file, or the family that is unknown.
    """
    if _throttle.is_due((fault, subject)):
        log.warning(FILE_FAULTS[fault], subject)
    emit_file_fault(fault)


def emit_file_fault(fault: WorkerFileFault) -> None:
    """Emit `worker_file_faulty`, of a fault that the caller logs."""
    worker_file_faulty.emit(fault=fault)


def report_total_failure(collector: str, error: Exception) -> None:
    """Report that the totals of a family, or of all, could not be computed: emitted as `collector_failed`.

    The log has the error's type and place, not its message, which may quote values.
    """
    if _throttle.is_due(collector):
        kind, place = type(error).__name__, error_location(error)
        log.warning("%s: totals of the workers cannot be computed, %s at %s", collector, kind, place)
    collector_failed.emit(collector=collector, error=type(error).__name__)
