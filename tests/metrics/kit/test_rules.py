"""The rules, alerts and configurations that the kit writes, by Prometheus's own tools."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from events import tool_called
from metrics import DATABASE, AlertWhen, counter
from metrics.kit.build import build_kit
from metrics.kit.placeholders import Names
from metrics.kit.rule_files import ALERTS

ROOT = Path(__file__).parents[3]
MONITORING = ROOT / "monitoring"
TESTS = sorted((MONITORING / "tests").glob("*.yml"))
NAMES = [f"Sparklio{alert.name}" for group in ALERTS.values() for alert in group]


def run(*command: str | Path, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "GOGC": "800"}  # a third of the time would go into collecting garbage
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.needs("promtool")
def test_promtool_has_no_complaint_of_the_rules() -> None:
    checked = run("promtool", "check", "rules", "--lint=all", "--lint-fatal", *sorted((MONITORING / "rules").glob("*")))
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.needs("promtool")
def test_promtool_has_no_complaint_of_the_configuration_with_its_rules() -> None:
    checked = run("promtool", "check", "config", MONITORING / "prometheus.yml")
    assert (checked.returncode, "2 rule files found" in checked.stdout) == (0, True)


@pytest.mark.needs("promtool")
def test_each_commented_block_of_the_configuration_works_when_it_is_taken_in(tmp_path: Path) -> None:
    lines = (MONITORING / "prometheus.yml").read_text().splitlines()
    taken_in = [line.replace("#", "", 1) if is_commented_out(line) else line for line in lines]
    (tmp_path / "rules").symlink_to(MONITORING / "rules")
    (tmp_path / "targets").mkdir()
    (tmp_path / "metrics-token").touch()
    (tmp_path / "prometheus.yml").write_text("\n".join(taken_in))
    checked = run("promtool", "check", "config", "prometheus.yml", folder=tmp_path)
    assert checked.returncode == 0, checked.stderr
    jobs = [job["job_name"] for job in yaml.safe_load("\n".join(taken_in))["scrape_configs"]]
    assert jobs == [f"sparklio-backend{end}" for end in ("", "-by-file", "-by-dns", "-with-token")]
    assert {"alerting", "remote_write"} <= yaml.safe_load("\n".join(taken_in)).keys()
    kept = yaml.safe_load("\n".join(taken_in))["remote_write"][0]["write_relabel_configs"][0]["regex"]
    recorded = [rule["record"] for group in load_rules("recording.yml")["groups"] for rule in group["rules"]]
    assert all(re.fullmatch(kept, name) for name in ("sparklio_workflows_total", "up", *recorded))
    assert not re.fullmatch(kept, "node_load1")


def is_commented_out(line: str) -> bool:
    """Return whether a line is configuration that is commented out, and no sentence."""
    return re.match(r" *#(?! \S)", line) is not None


@pytest.mark.needs("amtool")
def test_amtool_has_no_complaint_and_pages_go_to_the_pager() -> None:
    config = f"--config.file={MONITORING / 'alertmanager.yml'}"
    assert run("amtool", "check-config", MONITORING / "alertmanager.yml").returncode == 0
    routes = {
        severity: run("amtool", "config", "routes", "test", config, f"severity={severity}").stdout.strip()
        for severity in ("page", "ticket")
    }
    assert routes == {"page": "pages", "ticket": "tickets"}


@pytest.mark.slow
@pytest.mark.needs("promtool")
@pytest.mark.timeout(300)
def test_each_alert_fires_when_it_should_and_is_silent_when_it_should_be() -> None:
    with ThreadPoolExecutor() as pool:
        ran = list(pool.map(lambda file: run("promtool", "test", "rules", file), TESTS))
    assert [each.returncode for each in ran] == [0] * len(TESTS), "".join(each.stdout + each.stderr for each in ran)


@cache
def checks_of_alerts() -> tuple[tuple[str, set[str]], ...]:
    """Return the name of each scenario and the alerts that it expects to fire, at each of its times.

    A scenario is that of a test, or of the jobs whose alerts are asked for.
    """
    return tuple(read_checks())


def read_checks() -> Iterator[tuple[str, set[str]]]:
    for file in TESTS:
        for test in yaml.safe_load(file.read_text())["tests"]:
            for check in test.get("promql_expr_test", ()):
                if "ALERTS" in check["expr"]:
                    jobs = re.search(r'job=~?"[^"]+"', check["expr"])
                    yield (
                        f"{test['name']} {jobs and jobs[0]}",
                        {name for name in NAMES for sample in check["exp_samples"] if f'"{name}"' in sample["labels"]},
                    )
            for check in test.get("alert_rule_test", ()):
                yield test["name"], {check["alertname"]} if check["exp_alerts"] else set()


@pytest.mark.parametrize("name", NAMES)
def test_the_tests_of_promtool_have_each_alert_fire_and_be_silent_in_one_scenario(name: str) -> None:
    checks = checks_of_alerts()
    firing = {test for test, alerts in checks if name in alerts}
    silent = {test for test, alerts in checks if name not in alerts}
    assert firing & silent


def load_rules(name: str) -> Any:
    return yaml.safe_load((MONITORING / "rules" / name).read_text())


def test_every_alert_has_a_severity_a_summary_and_a_runbook_that_is_there() -> None:
    rules = [rule for group in load_rules("alerts.yml")["groups"] for rule in group["rules"]]
    assert [rule["alert"] for rule in rules] == NAMES
    for rule in rules:
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"]["summary"]
        page = ROOT / rule["annotations"]["runbook_url"]
        text = page.read_text()
        assert all(f"## {part}\n" in text for part in ("What it means", "Who is hurt", "Confirm", "Do"))


@pytest.mark.slow
def test_kubernetes_gets_the_same_rules() -> None:
    rule = yaml.safe_load((MONITORING / "kubernetes" / "prometheus-rule.yml").read_text())
    assert rule["spec"]["groups"] == [*load_rules("recording.yml")["groups"], *load_rules("alerts.yml")["groups"]]
    monitor = yaml.safe_load((MONITORING / "kubernetes" / "service-monitor.yml").read_text())
    assert monitor["spec"]["endpoints"][0]["path"] == "/metrics"


@pytest.mark.needs("promtool")
def test_promtool_has_no_complaint_of_the_rules_of_another_application(tmp_path: Path) -> None:
    """Without most groups, and with a row that asks for an alert."""
    mine = counter("lost_total", "What was lost.", tool_called, labels=("tool_name",), alert=AlertWhen(above=3))
    files = build_kit((*DATABASE, mine), Names(namespace="acme"))
    for name in ("recording", "alerts"):
        (tmp_path / f"{name}.yml").write_text(files[f"rules/{name}.yml"])
    checked = run("promtool", "check", "rules", "--lint=all", "--lint-fatal", *sorted(tmp_path.iterdir()))
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "AcmeLost" in files["rules/alerts.yml"]
