"""The check of a guardrail is told once, by the outermost bridge that sees it."""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import copy_context

import pytest

from events import GuardrailChecked, agent_run, guardrail_checked, receiver_failed
from events.bridges.model_calls.guardrail_check import GuardrailCheck, check_under_way, current_check


@pytest.fixture
def told() -> Iterator[list[GuardrailChecked]]:
    """Record checks."""
    with guardrail_checked.captured() as events:
        yield events


def begin(bridge: str, around: GuardrailCheck | None = None) -> GuardrailCheck:
    check = GuardrailCheck(bridge, f"of {bridge}", "input", around=around)
    check.enter()
    return check


def test_a_check_is_told_once_with_what_it_came_to(told: list[GuardrailChecked]) -> None:
    with agent_run(agent_name="support"):
        check = begin("outer")
        check.finish("triggered")
        check.finish("error", "ValueError")
    assert [(each.guardrail, each.kind, each.outcome, each.error, each.agent_name) for each in told] == [
        ("of outer", "input", "triggered", "", "support")
    ]
    assert current_check.get() is None


def test_what_another_bridge_sees_inside_is_the_same_check(told: list[GuardrailChecked]) -> None:
    outer = begin("outer")
    begin("inner").finish("unknown")
    outer.finish("error", "KeyError", duration=0.5)
    assert [(each.guardrail, each.outcome, each.error, each.duration) for each in told] == [
        ("of outer", "error", "KeyError", 0.5)
    ]


def test_what_the_same_bridge_sees_inside_is_a_check_of_its_own(told: list[GuardrailChecked]) -> None:
    outer = begin("outer")
    begin("outer").finish("passed")
    outer.finish("triggered")
    assert [each.outcome for each in told] == ["passed", "triggered"]


def test_what_is_known_later_to_be_a_check_is_that_around_its_start(told: list[GuardrailChecked]) -> None:
    outer = begin("outer")
    around = check_under_way()
    outer.finish("passed")
    begin("inner", around).finish("passed")
    begin("other").finish("passed")
    assert [each.guardrail for each in told] == ["of outer", "of other"]


def test_a_check_that_ends_in_another_context_is_over_all_the_same(told: list[GuardrailChecked]) -> None:
    outer = begin("outer")
    copy_context().run(outer.finish, "cancelled")
    assert check_under_way() is None
    begin("next").finish("passed")
    assert [each.outcome for each in told] == ["cancelled", "passed"]
    current_check.set(None)


def test_a_long_name_is_cut(told: list[GuardrailChecked]) -> None:
    GuardrailCheck("bridge", "x" * 10_000).finish("passed")
    assert len(told[0].guardrail) == 256


@pytest.mark.lenient
def test_a_failure_is_the_bridge_s(told: list[GuardrailChecked]) -> None:
    with receiver_failed.captured() as failures:
        check = GuardrailCheck("mine", "x")
        check._scope = object()  # type: ignore[assignment]  # none can be entered
        check.finish("passed")
    assert told == []
    assert [failure.receiver for failure in failures] == ["mine"]
