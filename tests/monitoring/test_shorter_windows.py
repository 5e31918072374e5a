"""Rules whose windows a test has shortened are still those that are committed, to promtool as well."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from tests.support.shorter_windows import divided, seconds, shortened
from tools.monitor.configuration import MONITORING

RULES = sorted((MONITORING / "rules").glob("*.yml"))


@pytest.mark.parametrize(
    ("text", "shorter"),
    [
        ("rate(a_total[5m])", "rate(a_total[5000ms])"),
        ("increase(a_total[1h30m] offset 1d)", "increase(a_total[90000ms] offset 1440000ms)"),
        ("a unless a offset 15m", "a unless a offset 15000ms"),
        ("max_over_time(a[1h:30s])", "max_over_time(a[60000ms:500ms])"),
        ("max_over_time(a[1h:])", "max_over_time(a[60000ms:])"),
        ("job:a:rate5m{slo='1m'} * 86400 > 5", "job:a:rate5m{slo='1m'} * 86400 > 5"),
        ("        for: 2m\n", "        for: 2000ms\n"),
        ("  - interval: 30s", "  - interval: 500ms"),
        ("  group_wait: 10s\n  repeat_interval: 4h", "  group_wait: 167ms\n  repeat_interval: 240000ms"),
        ("        summary: it lasts for 5m", "        summary: it lasts for 5m"),
    ],
)
def test_durations_are_divided_and_nothing_else(text: str, shorter: str) -> None:
    assert shortened(text, 60) == shorter


def test_a_duration_is_never_nothing_and_what_is_none_is_refused() -> None:
    assert divided("1ms", 60) == "1ms"
    with pytest.raises(ValueError, match="'5 minutes' is no duration"):
        seconds("5 minutes")


@pytest.mark.parametrize("file", RULES, ids=lambda file: file.name)
def test_rules_differ_in_their_durations_alone(file: Path) -> None:
    """All are a sixtieth, and with them put back the rules are those that are committed."""
    committed = file.read_text()
    durations = re.compile(r"(?<=\[)\w+(?=\])|(?<=offset )\w+|(?<=for: )\w+|(?<=interval: )\w+")
    before, after = (durations.findall(text) for text in (committed, shortened(committed, 60)))
    assert [seconds(each) for each in after] == pytest.approx([seconds(each) / 60 for each in before])
    assert durations.sub("", shortened(committed, 60)) == durations.sub("", committed)
    assert yaml.safe_load(shortened(committed, 1)).keys() == yaml.safe_load(committed).keys()


@pytest.mark.needs("promtool", "amtool")
def test_prometheus_s_own_tools_have_no_complaint_of_them(tmp_path: Path) -> None:
    for file in (*RULES, MONITORING / "alertmanager.yml"):
        (tmp_path / file.name).write_text(shortened(file.read_text(), 60))
    rules = [str(tmp_path / file.name) for file in RULES]
    for command in (
        ["promtool", "check", "rules", "--lint=all", "--lint-fatal", *rules],
        ["amtool", "check-config", str(tmp_path / "alertmanager.yml")],
    ):
        checked = subprocess.run(command, capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stdout + checked.stderr
