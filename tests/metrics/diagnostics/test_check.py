"""A metric that nothing feeds does not pass, nor a signal that nothing emits or counts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from events import agent_finished, http_request_finished, llm_called, tool_called
from metrics import CATALOGUE, LLM, OPTIONAL, counter
from metrics.__main__ import main, run
from metrics.diagnostics.check import UNFED, check, check_budget, most_series
from metrics.event_fields import AnySignal

HELP = "A test's own."
EVERY_ROW = CATALOGUE + OPTIONAL
FAMILIES = {row.name for row in EVERY_ROW}
EVERYTHING = """
    from events import agent_run, context_built, tool_called, workflow_resumed
    from events import workflow_started as began
    import events
    from events.bridges.asgi import HTTPEventsMiddleware
    import events.bridges.event_loop
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
        events.workflow_requeued.emit(run_id="1", workflow_type="w", reason="not_queued")
        events.workflow_billed_late.emit(run_id="1", workflow_type="w", outcome="wasted")
        events.workflow_call_interrupted.emit(run_id="1", workflow_type="w", step="s")
        events.oldest_workflow_read.emit(workflow_type="w", age=0.0)
        events.llm_configured.emit(model="m")
        events.llm_process_read.emit(model="m", resident_memory=1)
        events.build_read.emit(version="1")
        events.component_checked.emit(component="database", up=1)
        events.workflow_queue_read.emit(workflow_type="w", queued=0, oldest_age=0.0)
        events.workflow_backlog_read.emit(queued=0)
        events.workflow_limits_read.emit(slots=2, queue=10, run_time=600.0)
        events.limit_reached.emit(limit="answer")
        events.access_refused.emit(reason="key")
        events.rows_expired.emit(resource="runs", rows=1)
        events.listener_delivered.emit(listener="live_feed", outcome="delivered")
        events.feed_clients_read.emit(clients=1)
        events.documents_retrieved.emit(data_source="d", status="success", duration=0.0)
        events.guardrail_checked.emit(guardrail="g", outcome="passed", duration=0.0)
        events.answer_evaluated.emit(agent_name="a", evaluator="e", result="pass")
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


@pytest.mark.slow
def test_code_that_emits_everything_passes(source: Path) -> None:
    assert check(EVERY_ROW, [str(source)]) == []


@pytest.mark.slow
def test_a_signal_that_is_emitted_nowhere_fails_and_so_does_its_row(source: Path) -> None:
    remove(source, 'events.review_decided.emit(verdict="approved")')
    assert check(EVERY_ROW, [str(source)]) == [
        "signal review_decided is declared and emitted nowhere",
        f"agent_review_verdicts_total listens to review_decided, which nothing emits: {UNFED}",
        f"workflow_review_verdicts_total listens to review_decided, which nothing emits: {UNFED}",
    ]


@pytest.mark.slow
def test_a_family_of_several_rows_is_reported_once(source: Path) -> None:
    remove(source, "from events.bridges import sqlalchemy as database_events  # a package: all of it is read")
    assert sum(row.name == "db_pool_connections" for row in CATALOGUE) > 1
    wrong = check(EVERY_ROW, [str(source)])
    assert wrong.count(f"db_pool_connections listens to pool_read, which nothing emits: {UNFED}") == 1


@pytest.mark.slow
def test_one_of_several_rows_of_the_same_series_is_enough(tmp_path: Path) -> None:
    """An application whose calls have one bill each emits no bill apart from them; its tokens are counted."""
    (tmp_path / "shop.py").write_text("import events.bridges.openai\n")
    wrong = check(LLM, [str(tmp_path)], signals=())
    families = {each.partition(" listens to ")[0] for each in wrong}
    assert {"llm_configured_info", "llm_process_cpu_seconds_total"} <= families
    assert (
        not {"llm_tokens_total", "llm_cost_usd_total", "llm_tokens_per_request", "llm_usage_missing_total"} & families
    )


@pytest.mark.slow
def test_a_bridge_counts_only_where_it_is_imported(source: Path) -> None:
    remove(source, "from events.bridges.asgi import HTTPEventsMiddleware")
    assert f"http_requests_total listens to http_request_finished, which nothing emits: {UNFED}" in check(
        CATALOGUE + OPTIONAL, [str(source)]
    )


@pytest.mark.slow
def test_a_signal_that_no_row_counts_must_be_explained(source: Path) -> None:
    rows = [row for row in EVERY_ROW if tool_called not in row.signals]
    assert check(rows, [str(source)]) == [
        "signal tool_called is counted by no row; add one, or list it in UNCOUNTED_SIGNALS with the reason"
    ]
    assert check(rows, [str(source)], uncounted={tool_called: "for listeners"}) == []


@pytest.mark.slow
def test_a_signal_that_is_counted_needs_no_explanation(source: Path) -> None:
    uncounted: dict[AnySignal, str] = {llm_called: "never"}
    assert check(EVERY_ROW, [str(source)], uncounted=uncounted) == [
        "signal llm_called is counted, so it does not belong in UNCOUNTED_SIGNALS"
    ]


@pytest.mark.slow
def test_a_signal_that_a_source_declares_has_to_be_emitted_but_not_counted(source: Path) -> None:
    own = "from events import Signal\nclass ShipSank: ...\nship_sank = Signal(ShipSank)\n"
    (source / "own.py").write_text(own)
    assert check(EVERY_ROW, [str(source)]) == ["signal ship_sank is declared and emitted nowhere"]
    (source / "own.py").write_text(f"{own}ship_sank.emit()\n")
    assert check(EVERY_ROW, [str(source)]) == []


@pytest.mark.slow
def test_a_total_of_a_signal_that_nothing_declares_fails(source: Path) -> None:
    (source / "own.py").write_text(
        "import events\nfrom events import total\nclass Ended:\n    calls: int = total('llm_cold')\n"
        "    tools: int = events.total('tool_called')\n    ends: int = total(signal='over')\n"
    )
    assert check(EVERY_ROW, [str(source)]) == [
        "total('llm_cold') sums a signal that nothing declares",
        "total('over') sums a signal that nothing declares",
    ]


@pytest.mark.slow
def test_a_span_that_is_entered_for_its_scope_alone_passes(source: Path) -> None:
    (source / "own.py").write_text(
        "from events import Signal, Span\nclass Began: ...\nclass Ended: ...\n"
        "tenant = Span(Signal(Began), Signal(Ended))\nwith tenant.scope(name='a'): ...\n"
    )
    assert check(EVERY_ROW, [str(source)]) == []


def test_the_series_budget_is_kept() -> None:
    assert check_budget(CATALOGUE + OPTIONAL) == []
    assert most_series(CATALOGUE + OPTIONAL) <= 40_000


def test_rows_that_update_the_same_series_count_once_and_those_of_other_constant_labels_by_themselves() -> None:
    row = counter("calls_total", HELP, llm_called, labels=("status",))
    again = counter("calls_total", HELP, llm_called, labels=("status",), where={"itemized": True})
    one = row.most_series({})
    assert most_series([row, again], {}) == one
    kinds = [counter("a_total", HELP, llm_called, labels=("status",), const_labels={"kind": kind}) for kind in "abb"]
    assert most_series([row, *kinds], {}) == 3 * one


def test_more_series_than_the_budget_fails() -> None:
    row = counter("requests_total", HELP, http_request_finished, labels=("method", "endpoint", "status_code"))
    assert check_budget([row], budget=9920) == []
    assert check_budget([row], budget=1000) == ["the catalogue can make 9,920 series, the budget is 1,000"]


@pytest.mark.slow
def test_check_passes_with_a_summary(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--source", str(source)]) == 0
    assert f"ok: {len(FAMILIES)} families fed by" in capsys.readouterr().out


@pytest.mark.slow
def test_check_fails_with_one_fault_a_line(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    remove(source, "context_built.emit(size=1)")
    assert main(["check", "--source", str(source)]) == 1
    assert "- signal context_built is declared and emitted nowhere\n" in capsys.readouterr().out


@pytest.mark.slow
def test_a_missing_source_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--source", "no_such_package"]) == 2
    assert "'no_such_package' is neither" in capsys.readouterr().err


def test_the_catalogue_counts_agents_by_their_end() -> None:
    signals = {row.signal for row in CATALOGUE if row.name.startswith("agent_") and "review" not in row.name}
    assert signals == {agent_finished}


@pytest.mark.slow
def test_a_reader_that_closes_the_pipe_is_no_error() -> None:
    """As in ``python -m metrics | head``."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        command = [sys.executable, "-m", "metrics"]
        ran = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(writing)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_a_pipe_that_is_closed_while_the_command_writes_ends_it_without_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not when the rest is flushed at exit either."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as output:
        monkeypatch.setattr(sys, "argv", ["metrics"])
        monkeypatch.setattr(sys, "stdout", output)
        assert run() == 0
