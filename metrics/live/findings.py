"""The doctor's findings about a process's numbers, from a snapshot of its own registry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client.samples import Sample

from events.pipeline import SetupFault

from ..diagnostics.deployment import ADVICE
from ..diagnostics.doctor import findings
from ..diagnostics.scrape_client import ScrapeResult
from .snapshot import Snapshot
from .sources import Source

READ = (
    Source("setup_faults_total", by="fault"),
    Source("worker_file_faults_total", by="fault"),
    Source("workers_counting_alone"),
    Source("last_event_timestamp_seconds", by="signal", how="max"),
)
"""What the doctor reads of a scrape that one process can know of itself."""


def find_faults(snapshot: Snapshot, advice: Mapping[SetupFault, str]) -> list[dict[str, str]]:
    """Return each fault with what to do about it, in the application's own words where it has some."""
    result = ScrapeResult(snapshot.time, snapshot.time, None, tuple(samples(snapshot)))
    found = []
    for text in dict.fromkeys(findings([result], {**ADVICE, **advice})):
        fault, _, rest = text.partition(": ")
        found.append({"fault": fault, "advice": rest})
    return found


def samples(snapshot: Snapshot) -> Iterator[Sample]:
    """Yield what the doctor reads, as samples of a scrape."""
    for source in READ:
        for name, values in (snapshot.values.get(source) or {}).items():
            labels: dict[str, Any] = {source.by: name} if source.by else {}
            yield Sample(f"live_{source.family}", labels, values[0])
