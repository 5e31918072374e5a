"""The classes of events: what receivers can share, and how their signals are named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from events.bus.event_classes import attributes_of, check_event_class, snake_case


@dataclass(frozen=True, kw_only=True)
class Fitting:
    """An event."""

    number: int = 1


@dataclass(kw_only=True)
class Changeable:
    """An event that a receiver may change."""

    number: int = 1


@dataclass(frozen=True)
class Positional:
    """An event whose fields need not be named."""

    number: int = 1


class Plain:
    """No dataclass."""


def test_an_event_that_receivers_can_share_fits() -> None:
    check_event_class(Fitting)
    assert attributes_of(Fitting(number=2)) == {"number": 2}


@pytest.mark.parametrize("event", [Changeable, Positional, Plain, Fitting(), "Fitting", None])
def test_a_class_that_receivers_cannot_share_is_refused(event: Any) -> None:
    with pytest.raises(TypeError, match="is no event class: make it a @dataclass"):
        check_event_class(event)


@pytest.mark.parametrize(
    ("class_name", "signal_name"),
    [
        ("AgentFinished", "agent_finished"),
        ("LLMCalled", "llm_called"),
        ("HTTPRequestFinished", "http_request_finished"),
        ("QueryExecuted", "query_executed"),
        ("Started", "started"),
        ("S3Read", "s3_read"),
        ("LLM", "llm"),
    ],
)
def test_a_signal_is_named_after_its_event(class_name: str, signal_name: str) -> None:
    assert snake_case(class_name) == signal_name
