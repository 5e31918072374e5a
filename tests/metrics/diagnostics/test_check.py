"""A metric that nothing feeds does not pass, nor a signal that nothing emits or counts."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent

import pytest

from events import agent_finished, http_request_finished, llm_called, tool_called
from metrics import CATALOGUE, OPTIONAL, counter
from metrics.__main__ import main
from metrics.diagnostics.check import check, check_budget, most_series
from metrics.diagnostics.source_scan import SourceNotFound, scan_sources
from metrics.event_fields import AnySignal

HELP = "A test's own."
EVERY_ROW = CATALOGUE + OPTIONAL
FAMILIES = {row.name for row in EVERY_ROW}
EVERYTHING = """
    from events import agent_run, context_built, tool_called, workflow_resumed
    from events import workflow_started as began
    import events
    from events.bridges.asgi import HTTPEventsMiddleware
    from events.bridges import sqlalchemy as database_events  # a package: all of it is read
    import events.bridges.pydantic_ai

    def run():
        began.emit(run_id="1", workflow_type="w")
        workflow_resumed.emit(run_id="1", workflow_type="w")
        with agent_run(agent_name="a"):
            context_built.emit(size=1)
            tool_called.emit(tool_name="t", status="success", duration=0.0)
        events.workflow_finished.emit(run_id="1", workflow_type="w", status="completed", duration=0.0)
        events.context_truncated.emit(reason="app_trim")
        events.review_decided.emit(verdict="approved")
        events.workflow_step_finished.emit(step="s", agent_name="a", status="success", duration=0.0)
        events.workflow_released.emit(run_id="1", workflow_type="w")
        events.oldest_workflow_read.emit(workflow_type="w", age=0.0)
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a package whose code emits everything that the catalogue counts."""
    package = tmp_path / "package"
    package.mkdir()
    (package / "code.py").write_text(dedent(EVERYTHING))
    return package


def remove(source: Path, text: str) -> None:
    code = source / "code.py"
    assert text in code.read_text()
    code.write_text(code.read_text().replace(text, ""))


def test_code_that_emits_everything_passes(source: Path) -> None:
    assert check(EVERY_ROW, [str(source)]) == []


def test_a_signal_that_is_emitted_nowhere_fails_and_so_does_its_row(source: Path) -> None:
    remove(source, 'events.review_decided.emit(verdict="approved")')
    assert check(EVERY_ROW, [str(source)]) == [
        "signal review_decided is declared and emitted nowhere",
        "agent_review_verdicts_total listens to review_decided, which nothing emits",
    ]


def test_a_bridge_counts_only_where_it_is_imported(source: Path) -> None:
    remove(source, "from events.bridges.asgi import HTTPEventsMiddleware")
    assert "http_requests_total listens to http_request_finished, which nothing emits" in check(
        CATALOGUE + OPTIONAL, [str(source)]
    )


def test_a_signal_that_no_row_counts_must_be_explained(source: Path) -> None:
    rows = [row for row in EVERY_ROW if tool_called not in row.signals]
    assert check(rows, [str(source)]) == [
        "signal tool_called is counted by no row; add one, or list it in UNCOUNTED_SIGNALS with the reason"
    ]
    assert check(rows, [str(source)], uncounted={tool_called: "for listeners"}) == []


def test_a_signal_that_is_counted_needs_no_explanation(source: Path) -> None:
    uncounted: dict[AnySignal, str] = {llm_called: "never"}
    assert check(EVERY_ROW, [str(source)], uncounted=uncounted) == [
        "signal llm_called is counted, so it does not belong in UNCOUNTED_SIGNALS"
    ]


def test_a_signal_that_a_source_declares_is_checked_too(source: Path) -> None:
    (source / "own.py").write_text("from events import Signal\nclass ShipSank: ...\nship_sank = Signal(ShipSank)\n")
    assert check(EVERY_ROW, [str(source)]) == [
        "signal ship_sank is declared and emitted nowhere",
        "signal ship_sank is counted by no row; add one, or list it in UNCOUNTED_SIGNALS with the reason",
    ]


def test_spans_and_wraps_emit_both_ends(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text(
        "from events import agent_run as span\n@span.wrap(agent_name='a')\ndef f(): ...\n"
    )
    assert {"agent_started", "agent_finished"} <= scan_sources([str(tmp_path)]).emitted


@pytest.mark.parametrize("bound", ["bind('duration', table='runs')", "bind_by(('table',), ('duration',))"])
def test_binding_an_emitter_counts_as_emitting(tmp_path: Path, bound: str) -> None:
    (tmp_path / "code.py").write_text(f"import events\nemitter = events.query_executed.{bound}\n")
    assert "query_executed" in scan_sources([str(tmp_path)]).emitted


def test_entering_a_span_without_emitting_emits_nothing(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("from events import workflow_run\nworkflow_run.inside(run_id='1')\n")
    assert "workflow_started" not in scan_sources([str(tmp_path)]).emitted


def test_the_series_budget_is_kept() -> None:
    assert check_budget(CATALOGUE + OPTIONAL) == []
    assert most_series(CATALOGUE + OPTIONAL) <= 40_000


def test_more_series_than_the_budget_fails() -> None:
    row = counter("requests_total", HELP, http_request_finished, labels=("method", "endpoint", "status_code"))
    assert check_budget([row], budget=1000) == ["the catalogue can make 9,920 series, the budget is 1,000"]


def test_a_missing_source_is_named() -> None:
    with pytest.raises(SourceNotFound, match="'no_such_package' is neither a package"):
        check(EVERY_ROW, ["no_such_package"])


class TestCommandLine:
    def test_check_passes_with_a_summary(self, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["check", "--source", str(source)]) == 0
        assert f"ok: {len(FAMILIES)} families fed by" in capsys.readouterr().out

    def test_check_fails_with_one_fault_a_line(self, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
        remove(source, "context_built.emit(size=1)")
        assert main(["check", "--source", str(source)]) == 1
        assert "- signal context_built is declared and emitted nowhere\n" in capsys.readouterr().out

    def test_a_missing_source_is_a_usage_error(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["check", "--source", "no_such_package"]) == 2
        assert "'no_such_package' is neither" in capsys.readouterr().err

    def test_a_catalogue_of_ones_own_is_loaded(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["--catalogue", "metrics.catalogue:CATALOGUE", "--namespace", "acme"]) == 0
        assert "acme_http_requests_total" in capsys.readouterr().out
        assert main(["--catalogue", "metrics.catalogue:NOTHING"]) == 2
        assert "no catalogue at 'metrics.catalogue:NOTHING'" in capsys.readouterr().err

    def test_json_describes_each_family_once(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["--format", "json"]) == 0
        described = json.loads(capsys.readouterr().out)
        names = [family["name"] for family in described]
        assert len(names) == len(set(names)) == len(FAMILIES)
        assert {
            "name": "sparklio_llm_tokens_total",
            "type": "counter",
            "labels": ["model", "token_type"],
            "signal": "llm_called",
        }.items() <= described[names.index("sparklio_llm_tokens_total")].items()

    def test_the_table_has_a_line_a_family(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main([]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 1 + len(FAMILIES)
        assert lines[0].split() == ["name", "type", "labels", "signal", "most", "series"]

    def test_the_page_of_the_catalogue_is_current(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["--format", "markdown"]) == 0
        page = Path(__file__).parents[3] / "docs" / "metrics.md"
        assert capsys.readouterr().out in page.read_text(), "run: make docs"


def test_the_catalogue_counts_agents_by_their_end() -> None:
    signals = {row.signal for row in CATALOGUE if row.name.startswith("agent_") and "review" not in row.name}
    assert signals == {agent_finished}
