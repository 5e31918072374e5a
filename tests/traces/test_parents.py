"""Spans of events: the ones that they are in, and their times."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from threading import Thread
from time import sleep, time_ns

import pytest
from opentelemetry.trace import get_current_span

from events import (
    agent_finished,
    agent_run,
    llm_attempted,
    llm_called,
    propagate_scope,
    tool_called,
    workflow_finished,
    workflow_released,
    workflow_resumed,
    workflow_run,
    workflow_started,
)
from events.bridges.model_calls.model_call import CallEnd, start_call
from tests.support.recorded_spans import RecordedSpans
from tests.support.retried_call import call_model

pytestmark = pytest.mark.usefixtures("tracing")


class TestParents:
    def test_work_hangs_under_the_work_around_it(self, provider: RecordedSpans) -> None:
        with workflow_run(run_id="1", workflow_type="campaign"), agent_run(agent_name="writer"):
            call_model()
            tool_called.emit(tool_name="search", status="success", duration=0.1)
            with agent_run(agent_name="reviewer"):
                llm_called.emit(model="haiku", status="success", duration=0.1)
        assert provider.tree() | {"attempt gpt-5": "chat gpt-5"} == {
            "invoke_workflow campaign": None,
            "invoke_agent writer": "invoke_workflow campaign",
            "chat gpt-5": "invoke_agent writer",
            "attempt gpt-5": "chat gpt-5",
            "execute_tool search": "invoke_agent writer",
            "invoke_agent reviewer": "invoke_agent writer",
            "chat haiku": "invoke_agent reviewer",
        }
        assert [span.name for span in provider.spans].count("attempt gpt-5") == 2
        assert len(provider.ended) == len(provider.spans)
        assert len({span.context.trace_id for span in provider.spans}) == 1

    def test_work_hangs_under_the_current_span_of_the_application_and_that_under_work(
        self, provider: RecordedSpans
    ) -> None:
        with provider.start_as_current_span("request"), agent_run(agent_name="writer"):
            with provider.start_as_current_span("plan"):
                call_model()
            llm_called.emit(model="haiku", status="success", duration=0.1)
        assert provider.tree() == {
            "request": None,
            "invoke_agent writer": "request",
            "plan": "invoke_agent writer",
            "chat gpt-5": "plan",
            "attempt gpt-5": "chat gpt-5",
            "chat haiku": "invoke_agent writer",
        }

    def test_the_current_span_is_what_it_was_after_the_work(self, provider: RecordedSpans) -> None:
        with provider.start_as_current_span("request") as request:
            with agent_run(agent_name="writer"):
                assert get_current_span() is provider["invoke_agent writer"]
            assert get_current_span() is request

    async def test_tasks_are_inside(self, provider: RecordedSpans) -> None:
        async def ask(model: str) -> None:
            await asyncio.sleep(0)
            llm_called.emit(model=model, status="success", duration=0.1)

        async def write(name: str) -> None:
            with agent_run(agent_name=name):
                async with asyncio.TaskGroup() as group:
                    for number in range(3):
                        group.create_task(ask(f"{name}'s {number}"))

        async with asyncio.TaskGroup() as group:
            for name in ("a", "b"):
                group.create_task(write(name))
        tree = provider.tree()
        assert {tree[f"chat {name}'s {number}"] for name in "ab" for number in range(3)} == {
            "invoke_agent a",
            "invoke_agent b",
        }
        assert tree["chat b's 1"] == "invoke_agent b"

    def test_a_thread_that_the_scope_is_carried_to_is_inside(self, provider: RecordedSpans) -> None:
        """Its context of OpenTelemetry is empty, and what is current in the scope is current there."""

        def search() -> None:
            tool_called.emit(tool_name="search", status="success", duration=0.1)
            with provider.start_as_current_span("fetch"):
                pass

        with ThreadPoolExecutor() as pool, agent_run(agent_name="writer"):
            pool.submit(propagate_scope(search)).result()
        assert provider.tree() == {
            "invoke_agent writer": None,
            "execute_tool search": "invoke_agent writer",
            "fetch": "invoke_agent writer",
        }

    def test_a_call_that_is_told_from_elsewhere_hangs_under_where_it_began(self, provider: RecordedSpans) -> None:
        with agent_run(agent_name="writer"):
            call = start_call("test", model="m", provider="p", is_exact=True)
        assert call is not None
        with agent_run(agent_name="other"):
            other = Thread(target=call.finish, args=(CallEnd(),))
            other.start()
            other.join()
        assert provider.tree()["chat m"] == "invoke_agent writer"

    def test_what_a_generator_does_is_inside_and_what_its_caller_does_is_not(self, provider: RecordedSpans) -> None:
        @agent_run.wrap(agent_name="wrapped")
        def wrapped() -> Iterator[int]:
            yield 1
            llm_called.emit(model="wrapped's", status="success", duration=0.1)
            yield 2

        def held() -> Iterator[int]:
            with agent_run(agent_name="held"):
                yield 1
                llm_called.emit(model="held's", status="success", duration=0.1)
                yield 2

        with provider.start_as_current_span("request") as request:
            for items in (wrapped(), held()):
                for item in items:
                    assert get_current_span() is request
                    llm_called.emit(model=f"caller's {item}", status="success", duration=0.1)
        tree = provider.tree()
        assert (tree["chat wrapped's"], tree["chat held's"]) == ("invoke_agent wrapped", "invoke_agent held")
        assert (tree["chat caller's 1"], tree["chat caller's 2"]) == ("request", "request")

    def test_a_run_that_is_told_by_its_events_has_what_is_done_in_its_scope(self, provider: RecordedSpans) -> None:
        """As the studio does, whose runs outlive a process."""
        for signal, name in ((workflow_started, "first"), (workflow_resumed, "second")):
            signal.emit(run_id="1", workflow_type=name)
            with workflow_run.scope(run_id="1", workflow_type=name), agent_run(agent_name=f"{name}'s"):
                pass
            if signal is workflow_started:
                workflow_released.emit(run_id="1", workflow_type=name)
        workflow_finished.emit(run_id="1", workflow_type="second", status="completed", duration=9.0)
        assert provider.tree() == {
            "invoke_workflow first": None,
            "invoke_agent first's": "invoke_workflow first",
            "invoke_workflow second": None,
            "invoke_agent second's": "invoke_workflow second",
        }
        assert provider["invoke_workflow first"].attributes["sparklio.released"] is True
        assert all(span.end_time for span in provider.spans)

    def test_a_run_that_began_elsewhere_does_not_hang_under_what_ends_it(self, provider: RecordedSpans) -> None:
        with provider.start_as_current_span("DELETE /runs"):
            workflow_finished.emit(run_id="1", workflow_type="campaign", status="cancelled", duration=60.0)
        assert provider.tree() == {"DELETE /runs": None, "invoke_workflow campaign": None}
        assert provider["invoke_workflow campaign"].seconds == pytest.approx(60.0)


class TestTimes:
    def test_a_span_lasts_from_the_start_to_the_end(self, provider: RecordedSpans) -> None:
        before = time_ns()
        with agent_run(agent_name="writer"):
            sleep(0.02)
            call_model()
        after = time_ns()
        agent, call = provider["invoke_agent writer"], provider["chat gpt-5"]
        assert before <= agent.start_time <= call.start_time
        assert call.end_time is not None
        assert agent.end_time is not None
        assert call.end_time <= agent.end_time <= after + 1_000_000
        assert 0.02 <= agent.seconds < 5

    @pytest.mark.parametrize("step", [-60, 60])
    def test_spans_are_inside_the_one_that_they_are_in_though_the_wall_clock_is_set(
        self, step: int, provider: RecordedSpans, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with agent_run(agent_name="writer"):
            now = time_ns() + step * 10**9
            monkeypatch.setattr("traces.open_spans.time_ns", lambda: now)
            with agent_run(agent_name="helper"):
                tool_called.emit(tool_name="search", status="success", duration=0.0)
                call_model()
        outer = provider["invoke_agent writer"]
        for name in ("invoke_agent helper", "execute_tool search", "chat gpt-5"):
            span = provider[name]
            assert span.end_time is not None
            assert outer.end_time is not None
            assert outer.start_time <= span.start_time <= span.end_time <= outer.end_time
        with agent_run(agent_name="later"):
            pass
        assert provider["invoke_agent later"].start_time == now

    def test_what_is_told_at_its_end_alone_began_as_long_before_as_it_took(self, provider: RecordedSpans) -> None:
        tool_called.emit(tool_name="search", status="success", duration=1.5)
        llm_called.emit(model="m", status="success", duration=Decimal("2.5"))  # type: ignore[arg-type]  # any number
        agent_finished.emit(agent_name="writer", status="success", duration=3.5)
        found = [provider[name].seconds for name in ("execute_tool search", "chat m", "invoke_agent writer")]
        assert found == pytest.approx([1.5, 2.5, 3.5], abs=0.1)

    @pytest.mark.lenient
    @pytest.mark.parametrize("duration", [None, float("nan"), -1.0, 1e300, "soon"])
    def test_what_took_nobody_knows_how_long_is_no_span(self, provider: RecordedSpans, duration: float | None) -> None:
        llm_called.emit(model="m", status="success", duration=duration)
        llm_attempted.emit(model="m", outcome="success", duration=duration)
        assert provider.spans == []
