"""The worker processes of a server."""

from __future__ import annotations

from events import worker_file_faulty, worker_folder_read, worker_run, worker_started

from ..rows import counter, gauge, in_flight

# fmt: off
WORKERS = (
    in_flight("workers", "Processes that serve.",
        worker_run),
    counter("workers_started_total",
        "Processes that began to serve, those that replaced one too.",
        worker_started),
    gauge("workers_counting_alone",
        "Processes that cannot use the folder in common, and so show their own numbers alone.",
        worker_folder_read, value="alone"),
    counter("worker_file_faults_total", "Files of worker processes that could not be used, wholly or in part.",
        worker_file_faulty, labels=("fault",), initialize=False),
)
# fmt: on
