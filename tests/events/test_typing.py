"""The type checker sees what is wrong at a call site: a misspelt field, a missing one, one of another type."""

from __future__ import annotations

import re
from pathlib import Path

import mypy.api
import pytest

ROOT = Path(__file__).parents[2]
CALLS = Path(__file__).with_name("typing_api.py")
EXPECTED = re.compile(r"  # type: ignore\[(?P<code>[\w-]+)\].*$", re.MULTILINE)


def check(path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, int]:
    """Check one file as the repository is checked."""
    monkeypatch.chdir(ROOT)
    report, trouble, status = mypy.api.run(
        ["--config-file", "pyproject.toml", "--no-error-summary", "--warn-unused-ignores", str(path)]
    )
    assert not trouble
    return report, status


def test_right_calls_pass_and_each_wrong_one_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ignore that ignores nothing is an error, so an error that is no longer seen shows."""
    assert check(CALLS, monkeypatch) == ("", 0)


def test_without_the_ignores_every_marked_line_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = CALLS.read_text(encoding="utf-8")
    wrong = tmp_path / "wrong_calls.py"
    wrong.write_text(EXPECTED.sub("", source), encoding="utf-8")
    expected = [
        (number, found["code"])
        for number, line in enumerate(source.splitlines(), start=1)
        if (found := EXPECTED.search(line))
    ]
    report, status = check(wrong, monkeypatch)
    seen = re.findall(r"^.*wrong_calls\.py:(\d+): error: .*\[([\w-]+)\]$", report, re.MULTILINE)
    assert [(int(number), code) for number, code in seen] == expected
    assert status == 1
