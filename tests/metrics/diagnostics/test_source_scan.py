"""What a body of code emits is found without running it."""

from __future__ import annotations

from pathlib import Path

import pytest

from metrics.diagnostics.source_scan import SourceNotFound, scan_sources

pytestmark = pytest.mark.slow


def test_spans_and_wraps_emit_both_ends(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text(
        "from events import agent_run as span\n@span.wrap(agent_name='a')\ndef f(): ...\n"
    )
    assert {"agent_started", "agent_finished"} <= scan_sources([str(tmp_path)]).emitted


@pytest.mark.parametrize("bound", ["bind('duration', table='runs')", "bind_by(('table',), ('duration',))"])
def test_binding_an_emitter_counts_as_emitting(tmp_path: Path, bound: str) -> None:
    (tmp_path / "code.py").write_text(f"import events\nemitter = events.query_executed.{bound}\n")
    assert "query_executed" in scan_sources([str(tmp_path)]).emitted


def test_entering_a_spans_scope_emits_nothing(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("from events import workflow_run\nworkflow_run.scope(run_id='1')\n")
    assert "workflow_started" not in scan_sources([str(tmp_path)]).emitted


def test_a_missing_source_is_named() -> None:
    with pytest.raises(SourceNotFound, match="'no_such_package' is neither a package"):
        scan_sources(["no_such_package"])
