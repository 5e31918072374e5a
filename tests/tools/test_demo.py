"""The demonstration leads a real studio through its acts."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable

import pytest

from tools.demo.__main__ import main
from tools.demo.acts import ACTS


def test_an_act_that_there_is_not_is_refused_with_those_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--act", "an earthquake"])
    assert all(act.name in capsys.readouterr().err.replace("\n", " ") for act in ACTS[:1])
    with pytest.raises(SystemExit):
        main(["--minutes", "0"])


@pytest.mark.slow
def test_a_studio_lives_through_acts_and_its_runs_end(free_port: Callable[[], int]) -> None:
    options = ["--minutes", "0.3", "--port", str(free_port()), "--act", "ordinary morning", "--act", "killed"]
    shown = subprocess.run(
        [sys.executable, "-m", "tools.demo", *options], capture_output=True, text=True, check=True, timeout=110
    ).stdout
    assert " 0:00  an ordinary morning: runs, cost" in shown
    assert "the studio is killed and starts again" in shown
    assert "the end" in shown
    assert sum(map(int, re.findall(r"(\d+) (?:completed|failed|cancelled)", shown.splitlines()[-1]))) > 0
