"""What is known of spans while they are open: what is around them, and which scope they are in."""

from __future__ import annotations

from events import agent_run
from events.bridges.opentelemetry.agent_runs import innermost
from events.bridges.opentelemetry.open_spans import OpenSpan
from events.bus.scope import Scope


def span(library: str, parent: OpenSpan | None = None) -> OpenSpan:
    return OpenSpan(1, 1, name="span", library=library, started_ns=0, parent=parent)


def test_the_outermost_span_of_a_library_may_have_others_between() -> None:
    server = span("http")
    outer = span("chain", server)
    between = span("http", outer)
    inner = span("chain", between)
    assert inner.top_of_library() is outer
    assert between.top_of_library() is server
    assert server.top_of_library() is server
    assert inner.is_inside(inner)
    assert inner.is_inside(server)
    assert not outer.is_inside(inner)


def test_a_span_is_in_the_innermost_scope_of_its_code_and_of_the_span_around_it() -> None:
    writer = Scope({}, None, {}, kind=agent_run.kind)
    step, other_step = Scope({}, writer, {}), Scope({}, writer, {})
    assert innermost(None, None) is None
    assert innermost(writer, None) is innermost(None, writer) is innermost(writer, writer) is writer
    assert innermost(step, writer) is innermost(writer, step) is step
    assert innermost(step, other_step) is other_step


def test_an_agent_of_the_code_is_none_around_a_span_once_it_has_ended() -> None:
    writer, editor = (Scope({}, None, {}, kind=agent_run.kind) for _ in range(2))
    assert innermost(Scope({}, None, {}), writer) is writer
    assert innermost(editor, writer) is editor
    editor.ended = True
    assert innermost(editor, writer) is writer
