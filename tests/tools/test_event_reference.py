"""The reference of events in docs/events.md is that of the code: every event, its fields, and who emits it."""

from __future__ import annotations

from pathlib import Path

import pytest
from blinker import default_namespace

import events
from events import Signal
from tools import event_reference

pytestmark = pytest.mark.slow  # it reads all of the source

PAGE = Path(__file__).parents[2] / "docs" / "events.md"
MARK = "<!-- from here on written by `make docs` -->\n"


@pytest.fixture(scope="module")
def lines() -> list[str]:
    """Return the lines of the reference."""
    return [*event_reference.reference()]


def test_the_page_is_current(lines: list[str]) -> None:
    written = PAGE.read_text().partition(MARK)[2]
    assert written == "\n".join(lines) + "\n", "run `make docs`"


def test_every_signal_is_in_it_and_somebody_emits_it(lines: list[str]) -> None:
    exported = {each.name for each in vars(events).values() if isinstance(each, Signal)}
    described = [line.removeprefix("#### ") for line in lines if line.startswith("#### ")]
    assert {*described} == exported
    assert len(described) == len(exported)
    assert exported <= default_namespace.keys()
    assert "Emitted by nobody here." not in lines


def test_who_emits_an_event_is_read_from_the_source() -> None:
    emitters = event_reference.find_emitters()
    assert emitters["http_request_finished"] == ["the ASGI bridge"]
    assert emitters["llm_called"] == ["the pydantic-ai bridge", "the other bridges to model libraries"]
    assert emitters["worker_file_faulty"] == ["`metrics`"]
    assert event_reference.find_spans()["agent_finished"] == "agent_run"


def test_a_field_is_described_by_its_type_and_its_default(lines: list[str]) -> None:
    for line in (
        "| `status_code` | open label | number | required |",
        "| `first_byte` | measure | seconds | unknown |",
        "| `agent_name` | open label | text | that of the span around |",
        "| `llm_calls` | measure | number | the sum of `llm_called` inside |",
        "| `worker_id` | key | text | required |",
        "| `error` | context | text | empty |",
    ):
        assert line in lines
