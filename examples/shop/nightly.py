"""A batch that exports the orders; its metrics go into a file for node_exporter, or to a Pushgateway."""

import csv
import os
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, push_to_gateway, write_to_textfile
from sparklio.events import Key, Seconds, Signal, Span, Status
from sparklio.metrics import Workers, counter, gauge, subscribe


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportStarted:
    """An export started."""

    export_id: Key = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportFinished:
    """An export ended."""

    export_id: Key
    status: Status
    duration: Seconds
    error: str = ""
    orders: int | None = None
    succeeded_at: float | None = None


export_started, export_finished = Signal(ExportStarted), Signal(ExportFinished)
export = Span(export_started, export_finished)
ROWS = (
    counter("exports_total", "Exports that ended.", export_finished, labels=("status",)),
    counter("exported_orders_total", "Orders that were exported.", export_finished, value="orders"),
    gauge(
        "export_last_success_timestamp_seconds",
        "Unix time of the last success.",
        export_finished,
        value="succeeded_at",
        multiprocess_mode="max",  # of all runs there ever were; the default is of processes that live
    ),
)

registry = CollectorRegistry()
workers = Workers(Path("nightly-metrics"))  # where counters go on from one run to the next
subscribe(ROWS, registry, namespace="shop", workers=workers)


def write_orders() -> int:
    """Write all orders into a file, and return how many there are."""
    with closing(sqlite3.connect("file:shop.db?mode=rw", uri=True)) as database, Path("orders.csv").open("w") as file:
        found = database.execute("SELECT id, product, country, price, state FROM orders ORDER BY id").fetchall()
        csv.writer(file).writerows(found)
        return len(found)


def show() -> None:
    """Show the metrics to whoever scrapes for this process, which ends now."""
    if gateway := os.environ.get("PUSHGATEWAY"):
        push_to_gateway(gateway, job="nightly", registry=registry, timeout=5)
    else:
        write_to_textfile(os.environ.get("TEXTFILE", "nightly.prom"), registry)


if __name__ == "__main__":
    try:
        with export() as run:
            run.note(orders=write_orders(), succeeded_at=time.time())
    finally:  # a failure is shown too
        show()
