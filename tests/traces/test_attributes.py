"""The tables of attributes fit the events, and say the same as the names of metrics do."""

from __future__ import annotations

import tomllib
from importlib.resources import files

import pytest

from events import DocumentsRetrieved, HTTPRequestFinished, LLMAttempted, LLMCalled, LLMCallStarted, ToolCalled
from traces import attributes
from traces.traced_work import TRACED

CASES = [
    *((work.started_fields, signal.event) for work in TRACED for signal in work.started),
    *((work.finished_fields, work.finished.event) for work in TRACED),
    (attributes.ATTEMPTED, LLMAttempted),
    (attributes.TOOL_CALLED, ToolCalled),
    (attributes.RETRIEVED, DocumentsRetrieved),
    (attributes.REQUEST_FINISHED, HTTPRequestFinished),
    (attributes.LLM_STARTED, LLMCallStarted),
    (attributes.LLM_FINISHED, LLMCalled),
]


@pytest.mark.parametrize(("table", "event"), CASES)
def test_an_event_has_the_fields_of_its_table(table: attributes.Fields | None, event: type) -> None:
    assert table is not None
    assert {field for field, _ in table} <= {*event.__dataclass_fields__}  # type: ignore[attr-defined]  # a dataclass


def test_no_table_has_what_somebody_wrote() -> None:
    assert not {"task", "error"} & {field for table, _ in CASES for field, _ in table or ()}


def test_providers_have_the_words_that_the_names_of_metrics_have() -> None:
    names = tomllib.loads((files("metrics.diagnostics") / "otel.toml").read_text())["values"]["provider"]
    assert {ours: word for ours, word in attributes.PROVIDER_NAMES.items() if ours in names} == names
