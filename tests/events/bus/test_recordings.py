"""A recording is read line by line, and what cannot be read is named."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import ToolCalled, tool_called
from events.bus import recordings
from events.bus.recordings import (
    DamagedLine,
    RecordedEvent,
    RecordingGap,
    UnknownEvent,
    UnknownRecording,
    gap,
    header,
    read_recording,
)
from events.bus.records import record_of

EVENT = ToolCalled(tool_name="search", status="success", duration=0.5)
RECORD = {
    "schema": 1,
    "signal": "tool_called",
    "time": 7.5,
    "fields": {"tool_name": "t", "status": "error", "duration": 1},
}


def file_of(*lines: Any) -> BytesIO:
    return BytesIO(b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines))


def test_what_was_written_is_read() -> None:
    record: Any = record_of(EVENT)
    lines = [*read_recording(file_of(header("http://localhost"), record, gap(12), gap(None), b"\n", record))]
    event = RecordedEvent(line=2, signal=tool_called, event=EVENT, time=record["time"])
    assert lines == [
        event,
        RecordingGap(line=3, missed=12),
        RecordingGap(line=4, missed=None),
        RecordedEvent(line=6, signal=tool_called, event=EVENT, time=record["time"]),
    ]


def test_a_record_may_have_more_than_its_own() -> None:
    """As those of the feed, and lines of the event log."""
    [line] = read_recording(file_of({**RECORD, "id": "e-1", "process": 7, "level": "info", "timestamp": "2026"}))
    assert isinstance(line, RecordedEvent)
    assert line.event == ToolCalled(tool_name="t", status="error", duration=1)


def test_a_byte_order_mark_and_windows_line_ends_are_read() -> None:
    [line] = read_recording(BytesIO(b"\xef\xbb\xbf" + json.dumps(RECORD).encode() + b"\r\n"))
    assert isinstance(line, RecordedEvent)


def test_a_record_of_a_signal_that_is_not_declared_is_named() -> None:
    assert [*read_recording(file_of({**RECORD, "signal": "ship_painted"}))] == [
        UnknownEvent(line=1, signal="ship_painted")
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (json.dumps(RECORD).encode()[:-9], "is cut off, or no JSON"),
        (b"hello\n", "is cut off, or no JSON"),
        (b"[" * 100_000 + b"\n", "is cut off, or no JSON"),
        (b'{"a":' * 100_000 + b"\n", "is cut off, or no JSON"),
        (b"1" * 10_000 + b"\n", "is cut off, or no JSON"),
        (b"\xff\xfe{}\n", "is not UTF-8"),
        ([1], "is no object"),
        ({}, "has no signal"),
        ({**RECORD, "time": None}, "has no time"),
        ({**RECORD, "time": True}, "has no time"),
        ({**RECORD, "time": -1}, "has no time"),
        ({**RECORD, "time": 1_800_000_000_000}, "has no time"),
        (json.dumps({**RECORD, "time": 5}).replace("5", "1e999", 1).encode() + b"\n", "has no time"),
        ({**RECORD, "schema": 2}, "is no event: schema is 2: only 1 can be read"),
        ({**RECORD, "fields": {}}, "is no event: tool_called lacks tool_name, status, duration"),
        ({**RECORD, "fields": []}, "is no event: fields of tool_called are no object"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_damaged_line_is_named_and_the_next_one_read(line: Any, reason: str) -> None:
    lines = [
        *read_recording(
            file_of(RECORD, line, b"" if not isinstance(line, bytes) or line[-1:] == b"\n" else b"\n", RECORD)
        )
    ]
    assert lines[1] == DamagedLine(line=2, reason=reason)
    assert [type(found) for found in lines] == [RecordedEvent, DamagedLine, RecordedEvent]


def test_a_line_that_is_too_long_is_never_read_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recordings, "MAX_LINE", 1000)

    class Careful(BytesIO):
        def readline(self, size: int | None = -1, /) -> bytes:
            assert size is not None
            assert 0 < size <= 1001
            return super().readline(size)

    text = b"x" * 10_000 + b"\n" + json.dumps(RECORD).encode() + b"\n" + b"y" * 10_000
    long, event, last = read_recording(Careful(text))
    assert long == DamagedLine(line=1, reason="is longer than 1,000 bytes")
    assert isinstance(event, RecordedEvent)
    assert last == DamagedLine(line=3, reason="is longer than 1,000 bytes")


@pytest.mark.parametrize("version", [2, "1", None])
def test_a_recording_of_another_form_is_refused(version: Any) -> None:
    with pytest.raises(UnknownRecording, match=r"line 1 says that it is a recording of the form"):
        [*read_recording(file_of({**header(""), "recording": version}, RECORD))]


@given(st.binary(max_size=300))
def test_no_bytes_break_it(text: bytes) -> None:
    try:
        for line in read_recording(BytesIO(text)):
            assert line.line > 0
    except UnknownRecording:
        pass


@given(
    st.dictionaries(
        st.sampled_from(["schema", "signal", "time", "fields", "gap", "process"]),
        st.none()
        | st.integers()
        | st.floats()
        | st.text(max_size=3)
        | st.just("tool_called")
        | st.just({"missed": -1}),
    )
)
def test_no_object_breaks_it(line: dict[str, Any]) -> None:
    for found in read_recording(file_of(line)):
        assert found.line == 1
