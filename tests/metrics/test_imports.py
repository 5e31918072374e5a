"""`import metrics` is what whoever counts pays at each start: what few need is imported when it is asked for."""

from __future__ import annotations

import subprocess
import sys

import metrics

NEEDLESS = ("asyncio", "concurrent.futures", "difflib", "events.bridges.asgi.", "metrics.instrumentation")


def loaded(statement: str) -> set[str]:
    """Return the modules that a statement loads in a process of its own, beside those of prometheus_client."""
    script = f"import sys, prometheus_client; before = {{*sys.modules}}; {statement}; print(*{{*sys.modules}} - before)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return {*done.stdout.split()}


def test_importing_metrics_loads_no_event_loop_and_no_bridge_of_a_server() -> None:
    found = loaded("import metrics")
    assert "metrics.subscription.subscribe" in found
    assert not {name for name in found if name.startswith(NEEDLESS)}


def test_names_that_are_imported_late_are_public_all_the_same() -> None:
    assert "metrics.instrumentation.instrument_application" in loaded("from metrics import instrument")
    assert "metrics.exposition.http_server" in loaded("import metrics; metrics.serve")
    assert {*metrics.__all__} <= {*dir(metrics)}
    assert not hasattr(metrics, "nothing_of_the_kind")
