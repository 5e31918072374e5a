"""What the process tells of itself, and whether it shares its numbers with other processes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector

from events.pipeline import SetupFault
from metrics import Workers
from metrics.multiprocess import is_supported, register_process_collector

log = logging.getLogger("app")

DEPLOYMENT_ADVICE: Mapping[SetupFault, str] = {
    "unshared_workers": (
        "several processes serve, and each counts for itself: /metrics shows what the one that answers has seen."
        " Start them by SPARKLIO_WORKERS, or give them a folder in common: SPARKLIO_METRICS_DIR=/run/sparklio"
    ),
}
"""What to do about faults in the way the studio was started, where its own settings are the way out."""


def sharing(registry: CollectorRegistry, folder: Path | None) -> Workers | None:
    """Join the workers that share a folder, if there is one; what a process tells of itself is shown either way."""
    workers = None
    if folder is not None and is_supported():
        try:
            workers = Workers(folder)
        except OSError as error:
            log.warning(
                "SPARKLIO_METRICS_DIR=%s cannot be used (%s): this process counts for itself; name another.",
                folder,
                error.strerror,
            )
    if workers is None:
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
    else:
        workers.attach(registry)
        elsewhere = CollectorRegistry()  # it is not this one's families that are shown
        for collector in (ProcessCollector(registry=elsewhere), GCCollector(registry=elsewhere)):
            register_process_collector(workers, registry, collector)
    return workers
