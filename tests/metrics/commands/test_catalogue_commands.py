"""The commands that work on the catalogue print, compare and explain it, and fail with the way out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from metrics.__main__ import main


def test_the_catalogue_is_printed_with_and_without_its_command(capsys: pytest.CaptureFixture[str]) -> None:
    texts = []
    for arguments in (["--format", "json"], ["catalogue", "--format", "json"], ["--format", "json", "catalogue"]):
        assert main(arguments) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] == texts[2]
    assert main(["catalogue", "--otel"]) == 0
    assert "gen_ai" in capsys.readouterr().out


def test_a_saved_listing_is_compared_with_the_catalogue(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--format", "json"])
    saved = json.loads(capsys.readouterr().out)
    old = tmp_path / "old.json"
    old.write_text(json.dumps(saved))
    assert main(["diff", str(old)]) == 0
    assert capsys.readouterr().out == "no change\n"
    saved[0]["labels"].append("shard")
    old.write_text(json.dumps(saved))
    assert main(["diff", str(old)]) == 1
    assert "without label shard" in capsys.readouterr().out
    assert main(["diff", str(old), str(old), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert main(["diff", str(tmp_path / "none.json")]) == 2
    assert "none.json cannot be read" in capsys.readouterr().err


def test_a_family_is_explained_as_text_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "sparklio_llm_requests_total"]) == 0
    assert "emitted at events/bridges/pydantic_ai/emit.py:" in capsys.readouterr().out
    assert main(["explain", "llm_requests_total", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["values"]["status"] == "success, error, timeout, cancelled"
    assert main(["explain", "llm_requestz"]) == 2
    assert "did you mean llm_requests_total" in capsys.readouterr().err
    assert main(["explain", "llm_requests_total", "--source", "./none"]) == 2
    assert "'./none' is neither" in capsys.readouterr().err


def test_what_is_built_on_a_family_is_named_through_what_is_recorded_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Of a family of another namespace too, and of one that nothing is built on."""
    assert main(["explain", "acme_http_request_outcomes_total", "--namespace", "acme", "--format", "json"]) == 0
    used = json.loads(capsys.readouterr().out)["used_by"]
    assert "acme:slo_errors:ratio_rate5m" in used["Recording rules"]
    assert any(alert.startswith("AcmeHttpBudgetBurnsFast  page, ") for alert in used["Alerts"])
    assert any(panel.startswith("HTTP: ") for panel in used["Panels"])
    assert main(["explain", "last_event_timestamp_seconds"]) == 0
    assert "by every signal that is emitted" in capsys.readouterr().out


def test_an_alert_and_a_recorded_series_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "AcmeHttpBudgetBurnsFast", "--namespace", "acme", "--format", "json"]) == 0
    alert = json.loads(capsys.readouterr().out)
    assert (alert["kind"], alert["severity"]) == ("alert", "page")
    assert alert["runbook"].endswith("runbooks/AcmeHttpBudgetBurnsFast.md")
    assert "acme:slo_burn:rate5m" in alert["series"]
    assert "acme_http_request_outcomes_total" in alert["families"]
    assert main(["explain", "ModelFails"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("SparklioModelFails  alert, ")
    assert "runbook: docs/runbooks/SparklioModelFails.md" in text
    assert main(["explain", "sparklio:slo_burn:rate5m"]) == 0
    text = capsys.readouterr().out
    assert "Expression (slo=http)" in text
    assert "  SparklioHttpBudgetBurnsFast  page" in text
    assert "sparklio_workflows_total" in text
    assert main(["explain", "SparklioModelFail"]) == 2
    assert "SparklioModelFails" in capsys.readouterr().err


def test_a_namespace_that_no_alert_can_begin_with_has_no_kit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for namespace in ("_", "__", "_1"):
        assert main(["build", "--namespace", namespace, "--out", str(tmp_path)]) == 2
        assert f"namespace {namespace!r} cannot begin the name of an alert" in capsys.readouterr().err
        assert main(["explain", "llm_requests_total", "--namespace", namespace]) == 0
        capsys.readouterr()
    assert not [*tmp_path.iterdir()]


@pytest.mark.slow
def test_two_rows_whose_alerts_would_have_one_name_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rows_of_one_alert.py").write_text(
        "from events import tool_called\n"
        "from metrics import AlertWhen, counter, gauge\n"
        "ROWS = (\n"
        "    counter('call_seconds_total', 'Time.', tool_called, value='duration', alert=AlertWhen()),\n"
        "    gauge('call_seconds', 'Time.', tool_called, value='duration', alert=AlertWhen()),\n"
        ")\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert main(["explain", "call_seconds", "--catalogue", "rows_of_one_alert:ROWS", "--namespace", "acme"]) == 2
    assert "both ask for an alert CallSeconds" in capsys.readouterr().err
