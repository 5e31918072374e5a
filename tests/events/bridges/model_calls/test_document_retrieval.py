"""A lookup is told once, by the outermost bridge that sees it, with what is looked up inside of it as a part."""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import copy_context

import pytest

from events import DocumentsRetrieved, agent_run, documents_retrieved, receiver_failed
from events.bridges.model_calls.document_retrieval import Lookup, current_lookup, lookup_under_way


@pytest.fixture
def told() -> Iterator[list[DocumentsRetrieved]]:
    """Record lookups."""
    with documents_retrieved.captured() as events:
        yield events


def begin(bridge: str, around: Lookup | None = None) -> Lookup:
    lookup = Lookup(bridge, f"of {bridge}", around=around)
    lookup.enter()
    return lookup


def test_a_lookup_is_told_once_with_what_was_found(told: list[DocumentsRetrieved]) -> None:
    with agent_run(agent_name="support"):
        lookup = begin("outer")
        lookup.finish(documents=3)
        lookup.finish("error", "ValueError")
    assert [(each.data_source, each.status, each.documents, each.agent_name) for each in told] == [
        ("of outer", "success", 3, "support")
    ]
    assert current_lookup.get() is None


def test_a_lookup_inside_of_another_one_is_a_part_of_it(told: list[DocumentsRetrieved]) -> None:
    outer = begin("outer")
    begin("inner").finish(documents=1)
    outer.finish("error", "KeyError", duration=0.5)
    assert [(each.data_source, each.status, each.error, each.duration) for each in told] == [
        ("of outer", "error", "KeyError", 0.5)
    ]


def test_what_is_known_later_to_be_a_lookup_is_a_part_of_the_one_around_its_start(
    told: list[DocumentsRetrieved],
) -> None:
    outer = begin("outer")
    around = lookup_under_way()
    outer.finish()
    begin("inner", around).finish()
    begin("other").finish()
    assert [each.data_source for each in told] == ["of outer", "of other"]


def test_a_lookup_that_ends_in_another_context_is_over_all_the_same(told: list[DocumentsRetrieved]) -> None:
    outer = begin("outer")
    copy_context().run(outer.finish)
    assert lookup_under_way() is None
    begin("next").finish()
    assert len(told) == 2
    current_lookup.set(None)


@pytest.mark.lenient
def test_a_failure_is_the_bridge_s(told: list[DocumentsRetrieved]) -> None:
    with receiver_failed.captured() as failures:
        lookup = Lookup("mine", "x")
        lookup._scope = object()  # type: ignore[assignment]  # none can be entered
        lookup.finish()
    assert told == []
    assert [failure.receiver for failure in failures] == ["mine"]
