"""The metrics of the process itself, and whether it shares all its metrics with other processes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector

from events.pipeline import SetupFault
from metrics import Workers
from metrics.multiprocess import is_supported, register_process_collector

DEPLOYMENT_ADVICE: Mapping[SetupFault, str] = {
    "unshared_workers": (
        "several processes serve, and each counts for itself: /metrics shows what the one that answers has seen."
        " Start them by SPARKLIO_WORKERS, or give them a folder in common: SPARKLIO_METRICS_DIR=/run/sparklio"
    ),
}
"""Advice for faults in the way the studio was started that its own settings can mend."""


def register_process_metrics(registry: CollectorRegistry, metrics_dir: Path | None) -> Workers | None:
    """Register the metrics of the process itself, and join the workers that share a directory.

    Returns:
        The workers; None when there is no directory, so that this process counts for itself.
    """
    workers = Workers(metrics_dir) if metrics_dir is not None and is_supported() else None
    if workers is None:
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
    else:
        workers.attach(registry)
        unused = CollectorRegistry()  # the collectors must not register with ours: they would collect for one process
        for collector in (ProcessCollector(registry=unused), GCCollector(registry=unused)):
            register_process_collector(workers, registry, collector)
    return workers
