"""A recording is played into a registry of its own, and what could not be played is said."""

from __future__ import annotations

import json
import signal as signals
import subprocess
import sys
import urllib.request
from io import BytesIO, TextIOWrapper
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from blinker import NamedSignal, default_namespace
from prometheus_client.parser import text_string_to_metric_families

from events import LLMCalled, ToolCalled
from events.bus.recordings import gap, header
from events.bus.records import record_of
from metrics.__main__ import main
from tests.support.ports import free_port
from tests.support.wait import wait_until


def line(event: Any, time: float = 1_800_000_000.0) -> dict[str, Any]:
    return {**record_of(event), "time": time}


CALL = line(ToolCalled(tool_name="search", status="success", duration=0.2), 1_800_000_005.0)
ANSWER = line(LLMCalled(model="m", status="success", duration=2.0, prompt_tokens=12), 1_800_000_006.0)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return write(tmp_path / "life.jsonl", header("http://localhost"), CALL, CALL, ANSWER)


def write(file: Path, *lines: Any) -> Path:
    file.write_text("".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines))
    return file


def value_of(text: str, name: str, **labels: str) -> float | None:
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return sample.value
    return None


def test_a_recording_is_counted(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(recording)]) == 0
    shown = capsys.readouterr()
    assert value_of(shown.out, "sparklio_tool_calls_total", tool_name="search", status="success") == 2
    assert value_of(shown.out, "sparklio_llm_tokens_total", model="m", token_type="prompt") == 12
    assert value_of(shown.out, "sparklio_events_total", signal="tool_called") == 2
    assert shown.err == "python -m metrics replay: played 3 events (tool_called 2, llm_called 1)\n"


def test_what_is_printed_is_the_same_each_time(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """So it has no times of the replay, and those of the last events are of the recording."""
    texts = []
    for _ in range(2):
        main(["replay", str(recording)])
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    assert "_created" not in texts[0]
    assert value_of(texts[0], "sparklio_last_event_timestamp_seconds", signal="tool_called") == 1_800_000_005.0
    assert value_of(texts[0], "sparklio_last_event_timestamp_seconds", signal="agent_finished") == 0


def test_what_is_0_can_be_left_out_and_json_printed(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(recording), "--counted", "--format", "json"]) == 0
    families = {family["name"]: family for family in json.loads(capsys.readouterr().out)}
    assert families["sparklio_tool_calls"]["samples"] == [
        {
            "name": "sparklio_tool_calls_total",
            "labels": {"tool_name": "search", "status": "success", "mcp_server": "none"},
            "value": 2.0,
        }
    ]
    assert "sparklio_agent_executions" not in families
    durations = families["sparklio_llm_request_duration_seconds"]["samples"]
    assert {"name": "sparklio_llm_request_duration_seconds_count", "labels": {"model": "m"}, "value": 1.0} in durations
    assert any(sample["value"] == 0 for sample in durations)  # buckets of a histogram stay together


def test_some_signals_are_played_alone(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(recording), "--signal", "llm_called"]) == 0
    shown = capsys.readouterr()
    assert value_of(shown.out, "sparklio_events_total", signal="tool_called") == 0
    assert "played 1 events (llm_called 1), left out 2 events (tool_called 2)" in shown.err
    assert main(["replay", str(recording), "--signal", "llm_caled"]) == 2
    assert "no signal is named 'llm_caled'; did you mean llm_called" in capsys.readouterr().err


def test_of_many_names_that_are_alike_three_are_proposed(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(recording), "--signal", "workflow_finish"]) == 2
    assert capsys.readouterr().err.count(" or ") == 2


def test_rows_and_namespace_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ships_replayed.py").write_text(
        "from dataclasses import dataclass\n"
        "from events import Label, Signal\n"
        "from metrics import counter\n"
        "@dataclass(frozen=True, slots=True, kw_only=True)\n"
        "class ShipReplayed:\n"
        "    colour: Label\n"
        "ROWS = (counter('ships_total', 'Ships.', Signal(ShipReplayed), labels=('colour',)),)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    # Taken out again with what the test patched, as a signal shows in all that is subscribed later.
    monkeypatch.setitem(default_namespace, "ship_replayed", NamedSignal("ship_replayed"))
    ship = {"schema": 1, "signal": "ship_replayed", "time": 5.0, "fields": {"colour": "red"}}
    file = str(write(tmp_path / "life.jsonl", ship, ship, CALL))
    assert main(["replay", file, "--namespace", "acme"]) == 0
    assert "skipped, as nothing declares them here: 2 events (ship_replayed 2)" in capsys.readouterr().err
    assert main(["replay", file]) == 2
    assert "name the first word of every metric: --namespace acme" in capsys.readouterr().err
    (tmp_path / "pyproject.toml").write_text(
        "[tool.sparklio.metrics]\n"
        "namespace = 'acme'\n"
        "catalogue = ['ships_replayed:ROWS']\n"
        "label_limits = { colour = 3 }\n"
    )
    assert main(["replay", file]) == 0
    assert value_of(capsys.readouterr().out, "acme_ships_total", colour="red") == 2
    assert main(["replay", file, "--catalogue", "ships_replayed:ROWS", "--namespace", "sea"]) == 0
    assert value_of(capsys.readouterr().out, "sea_ships_total", colour="red") == 2


def test_damaged_lines_and_gaps_are_named_and_the_rest_is_played(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = json.dumps(CALL)[:-20]
    file = write(tmp_path / "life.jsonl", header(""), CALL, cut + "\n", gap(12), gap(None), CALL, cut)
    assert main(["replay", str(file), "--counted"]) == 1
    shown = capsys.readouterr()
    assert value_of(shown.out, "sparklio_tool_calls_total") == 2
    assert [text.removeprefix("python -m metrics replay: ") for text in shown.err.splitlines()] == [
        "line 3 is cut off, or no JSON: skipped",
        "line 7 is cut off, or no JSON: skipped",
        "line 4: 12 events are missing",
        "line 5: events are missing",
        "played 2 events (tool_called 2)",
    ]


def test_of_many_damaged_lines_the_first_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "life.jsonl", CALL, *["{\n"] * 100)
    assert main(["replay", str(file), "--counted"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 22
    assert lines[-2].endswith("80 more lines cannot be read")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("hello\n", "is no recording: line 1 is cut off, or no JSON"),
        ('{"recording":2}\n', "line 1 says that it is a recording of the form 2: this version reads 1"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_what_is_no_recording_is_refused(
    content: str | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "life.jsonl"
    if content is not None:
        file.write_text(content)
    assert main(["replay", str(file)]) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert shown.out == ""


def test_a_folder_is_no_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(tmp_path)]) == 2
    assert "cannot be read: Is a directory" in capsys.readouterr().err


def test_an_empty_recording_counts_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(write(tmp_path / "life.jsonl", header(""))), "--counted"]) == 0
    assert "played 0 events" in capsys.readouterr().err


def test_standard_input_is_read(
    recording: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(recording.read_bytes())))
    assert main(["replay", "-", "--counted"]) == 0
    assert "played 3 events" in capsys.readouterr().err


def test_it_plays_as_fast_as_it_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ten seconds at twenty times the speed; a clock that was set back makes nobody wait."""
    file = write(tmp_path / "life.jsonl", *[{**CALL, "time": 1000.0 + second} for second in (0, 5, 3, 10)])
    began = monotonic()
    assert main(["replay", str(file), "--speed", "20", "--counted"]) == 0
    assert monotonic() - began >= 0.5
    assert "played 4 events" in capsys.readouterr().err


@pytest.mark.parametrize("options", [["--speed", "0"], ["--speed", "nan"], ["--serve", "70000"]])
def test_odd_options_are_refused(options: list[str], recording: Path) -> None:
    with pytest.raises(SystemExit):
        main(["replay", str(recording), *options])


def test_a_port_that_is_taken_is_named(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from http.server import BaseHTTPRequestHandler, HTTPServer

    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        assert main(["replay", str(recording), "--serve", str(server.server_port)]) == 2
    assert "cannot be listened on: Address already in use" in capsys.readouterr().err


@pytest.mark.slow
def test_it_is_served_while_it_is_played_and_until_ctrl_c(tmp_path: Path) -> None:
    number = free_port()
    file = write(tmp_path / "life.jsonl", CALL, {**CALL, "time": CALL["time"] + 3600}, ANSWER)
    command = [sys.executable, "-m", "metrics", "replay", str(file), "--speed", "1", "--serve", str(number)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert f"serving http://127.0.0.1:{number}/metrics" in process.stderr.readline()

        def scraped() -> float | None:
            with urllib.request.urlopen(f"http://127.0.0.1:{number}/metrics", timeout=30) as response:
                return value_of(response.read().decode(), "sparklio_tool_calls_total", status="success")

        wait_until(lambda: scraped() == 1)
        process.send_signal(signals.SIGINT)  # what is played so far is served from now on
        assert "played 1 events" in process.stderr.readline()
        assert scraped() == 1
        process.send_signal(signals.SIGINT)
        assert process.wait(60) == 0
        assert process.stderr.read() == ""
