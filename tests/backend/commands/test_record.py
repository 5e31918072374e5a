"""What a feed sends is in the file, line by line, whatever happens to the connection, the file and the command."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.commands import feed_client
from app.commands.feed_client import FeedClient, FeedConnected, FeedRecord, FeedStatus, address_of
from app.commands.record import run
from events.bus.recordings import RecordedEvent, RecordingGap, read_recording
from tests.support.feed_server import Connection, FeedServer, event, status
from tests.support.ports import free_port
from tests.support.wait import wait_until

FRESH, RESUMED = status(resumed=False, missed=None), status(resumed=True, missed=0)
UNAUTHORIZED = Connection(status=401, headers={"Content-Type": "application/json"})


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have it connect again soon, and have no key of the machine's."""
    monkeypatch.setattr(feed_client, "FIRST_WAIT", 0.01)
    monkeypatch.delenv("SPARKLIO_API_KEY", raising=False)


def stops() -> Connection:
    """Return a connection that ends the recording: the key is not taken any more."""
    return UNAUTHORIZED


def lines_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def names_of(file: Path) -> list[str]:
    """Return what stands in a recording, in short."""
    with file.open("rb") as opened:
        return [
            line.event.tool_name
            if isinstance(line, RecordedEvent)
            else f"gap {line.missed}"
            if isinstance(line, RecordingGap)
            else "?"
            for line in read_recording(opened)
        ]


def test_events_are_recorded_with_a_header(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "life.jsonl"
    with FeedServer(Connection([FRESH, event(1), b": ping\n\n", event(2)]), stops()) as server:
        assert run([str(file), "--url", server.url]) == 1
    head, first, second = lines_of(file)
    assert head == {"recording": 1, "schema": 1, "time": head["time"], "source": f"{server.url}/api/v1/events"}
    assert first == {
        "schema": 1,
        "signal": "tool_called",
        "time": 1_800_000_001.0,
        "fields": {"tool_name": "t1", "status": "success", "duration": 0.5},
        "process": "p1",
        "id": "e1-1",
    }
    assert second["id"] == "e1-2"
    told = capsys.readouterr().err
    assert f"recording {server.url}/api/v1/events in {file}; stop with Ctrl-C" in told
    assert "it wants a key: set SPARKLIO_API_KEY, or name a file with it by --key-file" in told
    assert f"recorded 2 events of 1 signals in {file}\n" in told


def test_after_a_break_it_goes_on_where_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "life.jsonl"
    broken = [FRESH, event(1), event(2), b"id: e1-3\ndata: {"]
    with FeedServer(Connection(broken), Connection([RESUMED, event(3)]), stops()) as server:
        run([str(file), "--url", server.url])
    assert [request.headers.get("last-event-id") for request in server.requests] == [None, "e1-2", "e1-3"]
    assert names_of(file) == ["t1", "t2", "t3"]
    assert "no connection: the studio ended it; again in 0.01 s" in capsys.readouterr().err


@pytest.mark.parametrize("missed", [12, None])
def test_what_is_missing_after_a_break_is_a_gap(
    missed: int | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "life.jsonl"
    again = Connection([status(resumed=False, missed=missed), event(1, epoch="e2")])
    with FeedServer(Connection([FRESH, event(1)]), again, stops()) as server:
        run([str(file), "--url", server.url])
    assert names_of(file) == ["t1", f"gap {missed}", "t1"]
    told = capsys.readouterr().err
    assert f"{'events' if missed is None else '12 events'} are missing: the break was too long" in told
    assert ("; 1 gaps, 12 events missing" if missed else "; 1 gaps, nobody knows how many events missing") in told


def test_a_studio_that_is_busy_is_asked_again(tmp_path: Path) -> None:
    file = tmp_path / "life.jsonl"
    busy = Connection(status=503, headers={"Retry-After": "0"})
    with FeedServer(Connection([FRESH, event(1)]), busy, busy, Connection([RESUMED, event(2)]), stops()) as server:
        run([str(file), "--url", server.url])
    assert names_of(file) == ["t1", "t2"]


@pytest.mark.parametrize(
    ("connection", "message"),
    [
        (UNAUTHORIZED, "answers 401: it wants a key: set SPARKLIO_API_KEY, or name a file with it by --key-file"),
        (Connection(status=404), "answers 404: there is no live feed: give the address of a studio"),
        (Connection(status=421), "answers 421: it does not know that name: add it to SPARKLIO_ALLOWED_HOSTS"),
        (Connection(status=503), "answers 503: it takes no more clients"),
        (Connection(status=307, headers={"Location": "http://elsewhere.example"}), "answers 307: see its log"),
        (Connection(headers={"Content-Type": "text/html"}), "answers, but not with events"),
    ],
    ids=["401", "404", "421", "503", "307", "html"],
)
def test_a_feed_that_cannot_be_read_is_named_and_no_file_is_left(
    connection: Connection, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "life.jsonl"
    with FeedServer(connection) as server:
        assert run([str(file), "--url", server.url]) == 2
    assert message in capsys.readouterr().err
    assert not file.exists()
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:{port}", "ftp://127.0.0.1", "127.0.0.1:8000", "http://[", "http://x:99999"]
)
def test_an_address_without_a_studio_is_named_without_its_secrets(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = url.format(port=free_port()).replace("://", "://me:s3cret@", 1)
    assert run([str(tmp_path / "life.jsonl"), "--url", f"{url}?key=s3cret"]) == 2
    told = capsys.readouterr().err
    assert "s3cret" not in told
    assert "address" in told


def test_a_key_comes_from_a_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key_file = tmp_path / "key"
    key_file.write_text("of-the-file\n")
    monkeypatch.setenv("SPARKLIO_API_KEY", "of-the-environment")
    with FeedServer(UNAUTHORIZED) as server:
        run([str(tmp_path / "life.jsonl"), "--url", server.url])
        run([str(tmp_path / "life.jsonl"), "--url", server.url, "--key-file", str(key_file)])
    sent = [request.headers["authorization"] for request in server.requests]
    assert sent == ["Bearer of-the-environment", "Bearer of-the-file"]
    assert "of-the" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "is to have a key of the API, in one line, and nothing else"),
        (b"s3cret one\ns3cret two", "is to have a key of the API"),
        (b"s3cret\xff", "is not UTF-8"),
    ],
)
def test_a_file_without_a_key_is_named(
    content: bytes | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key_file = tmp_path / "key"
    if content is not None:
        key_file.write_bytes(content)
    assert run([str(tmp_path / "life.jsonl"), "--key-file", str(key_file)]) == 2
    told = capsys.readouterr().err
    assert f"{key_file} {message}" in told
    assert "s3cret" not in told


@pytest.mark.parametrize("key", ["s3cret one", "s3cret\u00e9", "s3cret\x01"])
def test_a_variable_without_a_key_is_named(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SPARKLIO_API_KEY", key)
    assert run([str(tmp_path / "life.jsonl")]) == 2
    told = capsys.readouterr().err
    assert "SPARKLIO_API_KEY is to be a key of the API" in told
    assert "s3cret" not in told


def test_filters_are_those_of_the_feed(tmp_path: Path) -> None:
    options = ["--signal", "llm_called", "--signal", "tool_called", "--run-id", "r 1", "--workflow-type", "campaign"]
    with FeedServer(UNAUTHORIZED) as server:
        run([str(tmp_path / "life.jsonl"), "--url", f"{server.url}/api/v1/events", *options])
    [request] = server.requests
    assert request.path == "/api/v1/events"
    assert request.query == [
        ("signal", "llm_called"),
        ("signal", "tool_called"),
        ("run_id", "r 1"),
        ("workflow_type", "campaign"),
    ]


def test_it_can_begin_with_what_the_studio_has_kept(tmp_path: Path) -> None:
    with FeedServer(Connection([status(resumed=True, missed=0), event(1)]), stops()) as server:
        run([str(tmp_path / "life.jsonl"), "--url", server.url, "--kept"])
    assert [request.headers["last-event-id"] for request in server.requests] == ["0", "e1-1"]
    assert names_of(tmp_path / "life.jsonl") == ["t1"]


def test_a_file_that_exists_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "life.jsonl"
    file.write_text("precious\n")
    assert run([str(file)]) == 2
    assert f"{file} exists: --append continues it, or give another name" in capsys.readouterr().err
    assert file.read_text() == "precious\n"


def test_a_recording_is_continued_from_its_last_event(tmp_path: Path) -> None:
    file = tmp_path / "life.jsonl"
    with FeedServer(Connection([FRESH, event(1)]), stops()) as server:
        run([str(file), "--url", server.url])
    with file.open("ab") as opened:
        opened.write(b'{"cut off')
    with FeedServer(Connection([RESUMED, event(2)]), stops()) as server:
        run([str(file), "--url", server.url, "--append"])
    assert server.requests[0].headers["last-event-id"] == "e1-1"
    assert names_of(file) == ["t1", "?", "t2"]
    with FeedServer(Connection([FRESH, event(7, epoch="e2")]), stops()) as server:
        run([str(file), "--url", server.url, "--append"])
    assert names_of(file) == ["t1", "?", "t2", "gap None", "t7"]
    new = tmp_path / "new.jsonl"
    with FeedServer(Connection([FRESH, event(1)]), stops()) as server:
        run([str(new), "--url", server.url, "--append"])
    assert names_of(new) == ["t1"]


def test_a_disk_that_is_full_ends_it_with_what_was_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    with FeedServer(Connection([FRESH, event(1)], stays=True)) as server:
        assert run(["/dev/full", "--url", server.url, "--append"]) == 2
    assert "/dev/full cannot be written: No space left on device" in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with FeedServer(Connection([FRESH, event(1)], stays=True)) as server:
        assert run([str(tmp_path / "none" / "life.jsonl"), "--url", server.url]) == 2
    assert "life.jsonl cannot be written: No such file or directory" in capsys.readouterr().err


def test_standard_output_is_a_file_too(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with FeedServer(Connection([FRESH, event(1)]), stops()) as server:
        run(["-", "--url", server.url])
    lines = capfdbinary.readouterr().out.splitlines()
    assert [json.loads(line).get("id") for line in lines] == [None, "e1-1"]


@pytest.mark.slow
def test_it_ends_after_some_seconds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "life.jsonl"
    before = signal.getsignal(signal.SIGINT)
    with FeedServer(Connection([FRESH, event(1)], stays=True)) as server:
        assert run([str(file), "--url", server.url, "--seconds", "1"]) == 0
    assert names_of(file) == ["t1"]
    assert "recorded 1 events" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_it_between_two_lines_and_says_how_many_events(number: signal.Signals, tmp_path: Path) -> None:
    file = tmp_path / "life.jsonl"
    many = Connection([FRESH, *(event(count) for count in range(20_000))], stays=True)
    with FeedServer(many) as server:
        code = "import sys; from app.commands.record import run; sys.exit(run(sys.argv[1:]))"
        command = [sys.executable, "-c", code, str(file), "--url", server.url]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            wait_until(lambda: file.exists() and file.stat().st_size > 10_000)
            process.send_signal(number)
            told = process.stderr.read()
            assert process.wait(60) == 0
    text = file.read_text()
    assert text.endswith("\n")
    assert f"recorded {len(text.splitlines()) - 1:,} events of 1 signals in {file}" in told
    assert "Traceback" not in told


def test_messages_of_other_kinds_are_left_out() -> None:
    odd = [
        b"event: numbers\ndata: {}\n\n",
        b"data: no json\n\n",
        b"data: [1]\n\n",
        b"data: {}\n\n",
        b'event: status\ndata: {"resumed": 1, "missed": "many"}\n\n',
        b"id: e1-9\ndata:\n\n",
    ]
    with FeedServer(Connection([*odd, event(1)])) as server, FeedClient(server.url, None) as client:
        messages = client.follow()
        found = [next(messages) for _ in range(3)]
        messages.close()  # type: ignore[attr-defined] # a generator
    assert found[:2] == [FeedConnected(is_again=False), FeedStatus(resumed=True, missed=None)]
    assert isinstance(found[2], FeedRecord)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://me:secret@studio.example:81/path?key=secret#secret", "http://studio.example:81/path"),
        ("https://[::1]:8000", "https://[::1]:8000"),
        ("http://me:se/cret@x", "the address"),
        ("secret", "the address"),
    ],
)
def test_an_address_is_shown_without_secrets(url: str, shown: str) -> None:
    assert address_of(url) == shown
