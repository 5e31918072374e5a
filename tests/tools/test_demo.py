"""The demonstration leads a real studio through its acts."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.openai_server import ChatRequest
from tests.support.studio import StudioProcess
from tools.demo.acts import ACTS, FIRST
from tools.demo.command import main
from tools.demo.model import Script
from tools.demo.totals import Totals


def test_an_act_that_there_is_not_is_refused_with_those_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--act", "an earthquake"])
    assert all(act.name in capsys.readouterr().err.replace("\n", " ") for act in ACTS[:1])
    with pytest.raises(SystemExit):
        main(["--minutes", "0"])


def test_what_was_counted_before_the_studio_is_killed_is_in_the_summary() -> None:
    class Studio:
        counted = 240.0

        def total(self, name: str, **labels: str) -> float:
            return 0.5 if "cost" in name else self.counted * (labels.get("status") in {None, "completed"})

    totals = Totals(studio := Studio())
    totals.carry_over()
    studio.counted = 30.0
    totals.carry_over()
    studio.counted = 1.0
    assert totals.summary().startswith("runs: 271 completed, 0 failed, 0 cancelled; 271 model calls, 1.50 USD")


def test_nothing_is_left_of_a_rate_limit_that_half_of_the_requests_are_over() -> None:
    request = ChatRequest(FIRST, [], stream=False, body={}, headers={})
    script = Script(1)

    def left() -> set[int]:
        return {int(script(request).headers["x-ratelimit-remaining-requests"]) for _ in range(50)}

    assert max(left()) > 200
    script.act = next(act for act in ACTS if "rate limit" in act.name)
    assert left() == {0}


def test_an_interrupt_while_the_studio_starts_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "never_ready.py").write_text("import time\ntime.sleep(600)\n")
    studio = StudioProcess(tmp_path, 1)
    studio.preloaded, studio.module = False, "never_ready"

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tests.support.studio.wait_until", interrupted)
    with pytest.raises(KeyboardInterrupt), studio:
        raise AssertionError("it cannot have started")
    assert studio.process.poll() == -signal.SIGKILL


@pytest.mark.parametrize("tool", ["demo", "monitor"])
def test_ctrl_c_while_modules_are_imported_prints_no_traceback(tool: str) -> None:
    """The signal is sent by the import itself, so that it comes at the same moment on every machine."""
    program = f"""if True:
        import os, runpy, signal, sys
        class Interrupting:
            def find_spec(self, name, *_):
                if name == "tools.{tool}.command":
                    os.kill(os.getpid(), signal.SIGINT)
        sys.meta_path.insert(0, Interrupting())
        runpy.run_module("tools.{tool}", run_name="__main__")"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stderr) == (-signal.SIGINT, "")


def test_what_follows_the_first_ctrl_c_does_not_disturb_the_end() -> None:
    program = """if True:
        import signal
        from tools.interrupt import end_on_signals
        end_on_signals()
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            signal.raise_signal(signal.SIGINT)
            print("ended in peace")"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert (ended.stdout, ended.stderr) == ("ended in peace\n", "")


@pytest.mark.slow
def test_a_studio_lives_through_acts_and_its_runs_end(free_port: Callable[[], int]) -> None:
    options = ["--minutes", "0.2", "--port", str(free_port()), "--act", "ordinary morning", "--act", "killed"]
    shown = subprocess.run(
        [sys.executable, "-m", "tools.demo", *options], capture_output=True, text=True, check=True, timeout=110
    ).stdout
    assert " 0:00  an ordinary morning: runs, cost" in shown
    assert "the studio is killed and starts again" in shown
    assert "the end" in shown
    assert sum(map(int, re.findall(r"(\d+) (?:completed|failed|cancelled)", shown.splitlines()[-1]))) > 0
