"""``python -m metrics build``: the committed files are current, and another application gets files of its own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from events import context_built, tool_called
from metrics import CATALOGUE, DATABASE, HTTP, LLM, OPTIONAL, AlertWhen, buckets, counter, gauge, histogram
from metrics.__main__ import main
from metrics.kit.build import build_kit
from metrics.kit.expression_check import check_expression
from metrics.kit.grafana import ANNOTATIONS
from metrics.kit.grafana_files import DASHBOARDS
from metrics.kit.placeholders import Available, Names, family_of
from metrics.kit.recording_rules import GROUPS
from metrics.kit.rule_files import ALERTS, available_alerts, recording_groups
from metrics.kit.usage import users_of
from metrics.kit.vocabulary import vocabulary_of

ROOT = Path(__file__).parents[3]


def test_the_committed_files_are_current(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Where they are not: `make docs`."""
    monkeypatch.chdir(ROOT)
    code, shown = main(["build", "--check"]), capsys.readouterr().out
    assert (code, shown.splitlines()[-1].rpartition(", ")[2]) == (0, "0 kept"), shown


@pytest.mark.slow
def test_a_second_build_changes_nothing_and_the_runbook_of_an_alert_that_is_gone_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not one that somebody has changed or written, nor one of another application."""
    command = ["build", "--namespace", "acme", "--out", str(tmp_path)]
    assert main(command) == 0
    folder = tmp_path / "runbooks"
    page = (folder / "AcmeDown.md").read_text()
    pages = {
        "AcmeGone.md": page,
        "AcmeChanged.md": page.replace("## Do", "## Do not"),
        "AcmeOtherDown.md": page.replace(" for acme, ", " for acme_other, "),
        "Mine.md": "# Mine\n",
    }
    for name, text in pages.items():
        (folder / name).write_text(text)
    (folder / "Latin.md").write_bytes(b"caf\xe9")
    capsys.readouterr()
    assert main([*command, "--check"]) == 1
    gone = f"- {folder / 'AcmeGone.md'} belongs to no alert: run python -m metrics build"
    assert capsys.readouterr().out.splitlines()[:-1] == [gone]
    assert main(command) == 0
    assert f"- {folder / 'AcmeGone.md'} removed\n" in capsys.readouterr().out
    assert main([*command, "--check"]) == 0
    assert {name for name in pages if (folder / name).exists()} == pages.keys() - {"AcmeGone.md"}


def test_what_was_changed_by_hand_is_kept_unless_it_is_forced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["build", "--namespace", "acme", "--out", str(tmp_path)]
    assert main(command) == 0
    receivers = tmp_path / "alertmanager.yml"
    mine = receivers.read_text().replace("http://localhost:9095/pages", "https://pager.example/acme")
    receivers.write_text(mine)
    capsys.readouterr()
    assert main([*command, "--check"]) == main(command) == 0
    assert f"- {receivers} was changed by hand and is kept: --force writes over it" in capsys.readouterr().out
    assert receivers.read_text() == mine
    assert main([*command, "--force"]) == 0
    assert "pager.example" not in receivers.read_text()


def test_a_folder_that_cannot_be_written_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "--namespace", "acme", "--out", "/dev/null"]) == 2
    assert "python -m metrics build: " in (error := capsys.readouterr().err)
    assert "/dev/null" in error


def test_the_job_of_the_request_is_as_it_was_asked_for() -> None:
    config = yaml.safe_load((ROOT / "monitoring" / "prometheus.yml").read_text())
    static = [{"targets": ["localhost:8000"]}]
    assert config["global"]["scrape_interval"] == "15s"
    assert config["scrape_configs"] == [
        {"job_name": "sparklio-backend", "metrics_path": "/metrics", "static_configs": static}
    ]


def test_an_application_gets_what_its_groups_feed_under_its_own_names() -> None:
    files = build_kit(DATABASE, Names(namespace="acme", runbooks="https://acme.example/runbooks/"))
    alerts = files["rules/alerts.yml"]
    assert "alert: AcmePoolFull" in alerts
    assert "alert: AcmeDown" in alerts
    assert "runbook_url: https://acme.example/runbooks/AcmePoolFull.md" in alerts
    assert "ModelFails" not in alerts
    assert "slo_target" not in files["rules/recording.yml"]
    assert "job_name: acme-backend" in files["prometheus.yml"]
    assert not any("sparklio" in text.lower() for text in files.values())
    assert not any(word in text for text in files.values() for word in ("NS_", "NS:", "JOB", "ALERTDown"))


def test_rows_of_a_module_in_the_folder_get_a_kit_by_the_command(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from events import tool_called\nfrom metrics import counter\n"
        "ROWS = (counter('uses_total', 'Uses of tools.', tool_called, labels=('tool_name',)),)\n"
    )
    command = [
        sys.executable,
        "-m",
        "metrics",
        "build",
        "--catalogue",
        "mine:ROWS",
        "--namespace",
        "acme",
        "--out",
        "ops",
    ]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines()[-1].startswith("ok: ")
    others = json.loads((tmp_path / "ops" / "grafana" / "dashboards" / "others.json").read_text())
    assert [panel["title"] for panel in others["panels"] if panel["type"] != "row"] == ["Uses, a minute"]
    rules = yaml.safe_load((tmp_path / "ops" / "rules" / "alerts.yml").read_text())
    assert {rule["alert"] for group in rules["groups"] for rule in group["rules"]} >= {"AcmeDown", "AcmeAbsent"}


def test_a_namespace_is_needed_and_the_error_says_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["build", "--namespace", "", "--out", str(tmp_path)]) == 2
    assert "the kit needs a namespace" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("library", ["yaml", "promql_parser"])
def test_a_missing_library_is_named_with_its_extra(
    library: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    assert main(["build", "--namespace", "acme", "--out", str(tmp_path)]) == 2
    assert "pip install 'sparklio[kit]'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_names_of_samples_are_those_of_a_family() -> None:
    families = {row.name for row in CATALOGUE + OPTIONAL}
    assert family_of("llm_request_duration_seconds_bucket", families) == "llm_request_duration_seconds"
    assert family_of("workflows_total", families) == "workflows_total"
    assert family_of("workflows_total_bucket", families) is None or "workflows_total" in families
    assert family_of("nowhere_total", families) is None


def test_recorded_series_are_there_once_their_families_are() -> None:
    available = Available(LLM)
    assert available.covers('sum(rate(NS_llm_requests_total{status="error"}[5m]))')
    assert not available.covers("rate(NS_db_errors_total[5m])")
    assert not available.covers("model:NS_llm_errors:ratio_rate5m")
    available.record("model:NS_llm_errors:ratio_rate5m", {})
    assert available.covers("model:NS_llm_errors:ratio_rate5m > 0.05")


def test_a_recorded_series_is_there_with_the_labels_that_its_rules_give_it() -> None:
    available = Available(())
    available.record("NS:slo_burn:rate1h", {"slo": "http"})
    assert available.covers("NS:slo_burn:rate1h > 1")
    assert available.covers('NS:slo_burn:rate1h{slo="http",job="any"} > 1')
    assert not available.covers('NS:slo_burn:rate1h{slo="http"} or NS:slo_burn:rate1h{slo="runs"}')


def test_an_application_without_runs_has_no_alert_and_no_panel_on_them() -> None:
    files = build_kit(HTTP, Names(namespace="acme"))
    assert "AcmeHttpBudgetBurnsFast" in files["rules/alerts.yml"]
    assert not any('slo="runs"' in text or "RunBudget" in text for text in files.values())
    panels = json.loads(files["grafana/dashboards/overview.json"])["panels"]
    assert "Budget of errors left" not in {panel["title"] for panel in panels}


ASKING = (
    counter("slogans_lost_total", "Slogans that were lost.", tool_called, labels=("tool_name",), alert=AlertWhen()),
    histogram("slogan_seconds", "Time a slogan took.", tool_called, value="duration", buckets=buckets.TOOL,
        alert=AlertWhen(above=5, window="15m", wait="2m", severity="page", hurts="Readers.", do=("Ask less.",))),
    gauge("slogan_context_bytes", "Size of the last context.", context_built, value="size", labels=("agent_name",),
        alert=AlertWhen(above=1e6)),
)  # fmt: skip


def test_a_row_that_asks_for_an_alert_gets_one_with_a_runbook_of_its_own_words() -> None:
    files = build_kit(ASKING, Names(namespace="acme", runbooks="runbooks"))
    groups = yaml.safe_load(files["rules/alerts.yml"])["groups"]
    rules = {
        rule["alert"]: rule for rule in next(group for group in groups if group["name"] == "acme-rows-alerts")["rules"]
    }
    assert rules.keys() == {"AcmeSlogansLost", "AcmeSloganSeconds", "AcmeSloganContextBytes"}
    page = rules["AcmeSloganSeconds"]
    assert (page["labels"], page["for"]) == ({"severity": "page"}, "2m")
    assert page["annotations"] == {
        "summary": "Time a slogan took: {{ $value | humanize }}",
        "runbook_url": "runbooks/AcmeSloganSeconds.md",
    }
    text = files["runbooks/AcmeSloganSeconds.md"]
    assert all(words in text for words in ("Time a slogan took.", "Readers.", "1. Ask less."))
    known = vocabulary_of(ASKING, "acme_")
    assert [check_expression(rule["expr"], known) for rule in rules.values()] == [[], [], []]


def test_an_alert_that_a_row_asks_for_is_among_what_uses_its_family() -> None:
    names = Names(namespace="acme", runbooks="runbooks")
    users = users_of(ASKING, "slogan_seconds", names)
    assert users["Alerts"] == ["AcmeSloganSeconds  page, runbooks/AcmeSloganSeconds.md"]


@pytest.mark.parametrize(
    ("alert", "error"),
    [
        (5, "alert is an AlertWhen, as AlertWhen(above=5) is, got 5"),
        (AlertWhen(severity="critical"), "one of page, ticket, got 'critical'"),  # type: ignore[arg-type]
        (AlertWhen(window="ten minutes"), "the window of an alert is a duration as Prometheus writes it"),
        (AlertWhen(wait="5m5m"), "the wait of an alert is a duration as Prometheus writes it"),
        (AlertWhen(window="0s"), "the window of an alert is a duration as Prometheus writes it"),
        (AlertWhen(window="1m1h"), "the window of an alert is a duration as Prometheus writes it"),
        (AlertWhen(above=float("nan")), "above of an alert is a finite number, got nan"),
        (AlertWhen(above=float("inf")), "above of an alert is a finite number, got inf"),
        (AlertWhen(above="5"), "above of an alert is a finite number, got '5'"),  # type: ignore[arg-type]
        (AlertWhen(hurts=None), "hurts of an alert says who is hurt, as text, got None"),  # type: ignore[arg-type]
        (AlertWhen(do="Look."), "do of an alert is a tuple of steps"),  # type: ignore[arg-type]
        (AlertWhen(wait="5"), "the wait of an alert is a duration as Prometheus writes it"),
    ],
)
def test_an_alert_that_cannot_be_written_is_refused_when_the_row_is_declared(alert: Any, error: str) -> None:
    with pytest.raises(TypeError, match=re.escape(error)):
        counter("uses_total", "Uses.", tool_called, alert=alert)


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        (
            (counter("down_total", "Lost.", tool_called, alert=AlertWhen()),),
            "the alert of down_total would be called Down",
        ),
        (
            (
                counter("uses_total", "Uses.", tool_called, alert=AlertWhen()),
                counter("uses_total", "Uses.", tool_called, alert=AlertWhen(above=2)),
            ),
            "the rows uses_total and uses_total both ask for an alert Uses",
        ),
    ],
)
def test_an_alert_of_a_name_that_is_taken_is_refused(rows: Any, error: str) -> None:
    with pytest.raises(ValueError, match=re.escape(error)):
        build_kit(rows, Names(namespace="acme"))


def test_limits_and_braces_are_written_as_they_are() -> None:
    row = counter("uses_total", "Uses of {{ x }}.", tool_called, alert=AlertWhen(above=12345678))
    groups = yaml.safe_load(build_kit((row,), Names(namespace="acme"))["rules/alerts.yml"])["groups"]
    rule = groups[-1]["rules"][-1]
    assert rule["expr"].endswith("> 12345678")
    assert rule["annotations"]["summary"] == 'Uses of {{ "{{" }} x }}: {{ $value | humanize }}'


def test_the_tables_name_no_metric_that_the_whole_catalogue_lacks() -> None:
    """What a smaller catalogue lacks is left out, so a name that is mistyped would be, too."""
    rows = CATALOGUE + OPTIONAL
    available = Available(rows)
    names = Names(namespace="acme")
    assert sum(len(group["rules"]) for group in recording_groups(available, names)) == sum(len(g.rules) for g in GROUPS)
    alerts = [alert for _, group in available_alerts(available, rows) for alert in group]
    assert len(alerts) == sum(len(group) for group in ALERTS.values())
    assert [query for alert in alerts for query in alert.confirm if not available.covers(query)] == []
    panels = [panel for dashboard in DASHBOARDS for section in dashboard.sections for panel in section.panels]
    assert [query.expr for panel in panels for query in panel.queries if not available.covers(query.expr)] == []
    variables = [variable.family for dashboard in DASHBOARDS for variable in dashboard.variables]
    assert {*variables} <= available.families
    assert all(available.covers(expr) for _, expr, _, _ in ANNOTATIONS)
