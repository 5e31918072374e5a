"""Reports of what goes wrong while totals are computed: each is emitted, and logged at most once a minute."""

from __future__ import annotations

import logging

from events import collector_failed, worker_file_faulty
from events.bus.failures import error_location
from events.bus.log_throttle import LogThrottle
from events.pipeline import WorkerFileFault

log = logging.getLogger("metrics")

FILE_FAULTS: dict[WorkerFileFault, str] = {
    "empty": "a worker's file is empty: what its process counted is lost",
    "torn": "a worker's file is broken, or of another version: what cannot be read of it is not in the totals",
    "unknown": "a worker has a metric that this process lacks, as one of another version: it is not in the totals",
    "full": "there is no room for more series: new ones are not in the totals",
    "unshared": "this process counts alone: no other one shows its numbers",
}
"""What the log says of each fault."""

_throttle = LogThrottle()


def report_file_fault(fault: WorkerFileFault) -> None:
    """Report that a worker's file cannot be used, wholly or in part: emitted as `worker_file_faulty`."""
    if _throttle.is_due(fault):
        log.warning("%s", FILE_FAULTS[fault])
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
