"""A wrapped function is called as before, and every call is a span: for each of the four kinds of function."""

from __future__ import annotations

import asyncio
import gc
import inspect
import weakref
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import aclosing, suppress
from functools import partial
from typing import Any, cast

import pytest

from events import AgentFinished, agent_finished, agent_run, agent_started, llm_called
from events.bus.scope import current_scope
from tests.support.wait import until

writer = agent_run.wrap(agent_name="writer")


@pytest.fixture(autouse=True)
def ends() -> Iterator[list[AgentFinished]]:
    """Collect the ends of agent runs; no run stays current and each start has its end."""
    with agent_started.captured() as started, agent_finished.captured() as finished:
        yield finished
    assert current_scope.get() is None
    assert [event.execution_id for event in started] == [*{event.execution_id: None for event in started}]
    assert {event.execution_id for event in started} == {event.execution_id for event in finished}
    assert len(started) == len(finished)


def call() -> None:
    llm_called.emit(model="m", status="success", duration=0.1, prompt_tokens=1)


def outcomes(ends: list[AgentFinished]) -> list[tuple[str, str]]:
    return [(end.status, end.error) for end in ends]


def test_a_function_is_a_span(ends: list[AgentFinished]) -> None:
    @writer
    def work(text: str, times: int = 1) -> str:
        call()
        return text * times

    assert work("a", times=3) == "aaa"
    assert ends[0].agent_name == "writer"
    assert (ends[0].status, ends[0].llm_calls) == ("success", 1)


def test_a_function_that_raises_is_an_error(ends: list[AgentFinished]) -> None:
    @writer
    def work() -> None:
        raise KeyError

    with pytest.raises(KeyError):
        work()
    assert outcomes(ends) == [("error", "KeyError")]


async def test_a_coroutine_is_a_span_while_it_is_awaited(ends: list[AgentFinished]) -> None:
    @writer
    async def work(text: str) -> str:
        await asyncio.sleep(0)
        call()
        return text

    made = work("a")
    assert not ends
    assert await made == "a"
    assert (ends[0].status, ends[0].llm_calls) == ("success", 1)


async def test_a_cancelled_coroutine_is_cancelled(ends: list[AgentFinished]) -> None:
    begun = asyncio.Event()

    @writer
    async def work() -> None:
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert outcomes(ends) == [("cancelled", "CancelledError")]


async def test_a_call_that_is_never_awaited_makes_no_span(ends: list[AgentFinished]) -> None:
    @writer
    async def work() -> None: ...

    work().close()
    assert not ends


async def test_each_of_many_concurrent_calls_is_a_span_of_its_own(ends: list[AgentFinished]) -> None:
    @writer
    async def work(calls: int) -> None:
        for _ in range(calls):
            await asyncio.sleep(0)
            call()

    await asyncio.gather(*(work(calls) for calls in range(20)))
    assert sorted(end.llm_calls for end in ends) == list(range(20))


def test_a_generator_is_a_span_from_its_first_step_to_its_last(ends: list[AgentFinished]) -> None:
    @writer
    def work(items: int) -> Iterator[int]:
        for item in range(items):
            call()
            yield item

    stream = work(3)
    assert current_scope.get() is None
    seen = []
    for item in stream:
        call()  # between two steps: not inside
        assert current_scope.get() is None
        assert not ends
        seen.append(item)
    assert seen == [0, 1, 2]
    assert (ends[0].status, ends[0].llm_calls) == ("success", 3)


@writer
def echo(first: str) -> Generator[str, str, str]:
    """Yield what is sent, or what is thrown, until ``stop`` is sent."""
    said = first
    while said != "stop":
        try:
            said = yield said
        except KeyError as error:
            said = f"thrown {error.args[0]}"
    return "bye"


def test_a_generator_is_sent_to_thrown_into_and_returns_its_value(ends: list[AgentFinished]) -> None:
    stream = echo("hello")
    assert next(stream) == "hello"
    assert stream.send("you") == "you"
    assert stream.throw(KeyError("a")) == "thrown a"
    with pytest.raises(StopIteration) as stop:
        stream.send("stop")
    assert stop.value.value == "bye"
    assert outcomes(ends) == [("success", "")]


def test_a_generator_can_be_delegated_to(ends: list[AgentFinished]) -> None:
    def around() -> Generator[str, str, str]:
        return (yield from echo("hello"))

    stream = around()
    assert next(stream) == "hello"
    with pytest.raises(StopIteration) as stop:
        stream.send("stop")
    assert stop.value.value == "bye"
    assert outcomes(ends) == [("success", "")]


def test_an_error_that_is_thrown_in_and_not_caught_ends_the_span(ends: list[AgentFinished]) -> None:
    stream = echo("hello")
    next(stream)
    thrown = TimeoutError()
    with pytest.raises(TimeoutError) as raised:
        stream.throw(thrown)
    assert raised.value is thrown
    assert outcomes(ends) == [("timeout", "TimeoutError")]
    assert list(stream) == []


@pytest.mark.slow
@pytest.mark.parametrize("how", ["close", "drop"])
def test_a_generator_that_is_not_exhausted_cleans_up_inside_its_span(ends: list[AgentFinished], how: str) -> None:
    cleaned: list[Any] = []

    @writer
    def work() -> Iterator[int]:
        try:
            yield 1
            yield 2
        finally:
            call()
            cleaned.append(current_scope.get())

    stream = cast(Generator[int, None, None], work())
    assert next(stream) == 1
    if how == "close":
        stream.close()
    del stream
    gc.collect()
    assert len(cleaned) == 1
    assert cleaned[0] is not None
    assert outcomes(ends) == [("cancelled", "GeneratorExit")]
    assert ends[0].llm_calls == 1


def test_a_generator_that_ignores_its_close_raises_as_in_python(ends: list[AgentFinished]) -> None:
    @writer
    def work() -> Generator[int, None, None]:
        while True:
            try:
                yield 1
            except GeneratorExit:
                yield 2

    stream = work()
    next(stream)
    with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
        stream.close()
    assert outcomes(ends) == [("error", "RuntimeError")]


def test_a_generator_that_is_never_started_makes_no_span(ends: list[AgentFinished]) -> None:
    echo("hello").close()
    assert not ends


def test_the_arguments_of_a_generator_are_checked_inside_its_span(ends: list[AgentFinished]) -> None:
    with pytest.raises(TypeError):
        next(echo())  # type: ignore[call-arg]  # what is shown
    assert outcomes(ends) == [("error", "TypeError")]


@pytest.mark.slow
def test_two_interleaved_generators_have_separate_spans(ends: list[AgentFinished]) -> None:
    @writer
    def work(items: int) -> Iterator[int]:
        for item in range(items):
            call()
            yield item

    assert len(list(zip(work(3), work(2), strict=False))) == 2
    gc.collect()
    assert sorted(end.llm_calls for end in ends) == [2, 3]


@pytest.mark.slow
def test_a_generator_leaves_no_cycle_behind_when_it_fails(ends: list[AgentFinished]) -> None:
    """An error held by a frame of its own traceback would keep everything alive until the next collection."""

    class Held:
        pass

    @writer
    def work(held: Held) -> Iterator[int]:
        yield 1
        raise ValueError

    gc.collect()
    gc.disable()
    try:
        held = Held()
        gone = weakref.ref(held)
        stream = work(held)
        next(stream)
        with suppress(ValueError):
            next(stream)
        del held, stream
        assert gone() is None
    finally:
        gc.enable()


@writer
async def async_echo(first: str) -> Any:
    """Yield what is sent, or what is thrown, until ``stop`` is sent."""
    said = first
    while said != "stop":
        await asyncio.sleep(0)
        call()
        try:
            said = yield said
        except KeyError as error:
            said = f"thrown {error.args[0]}"


async def test_an_async_generator_is_a_span_from_its_first_step_to_its_last(ends: list[AgentFinished]) -> None:
    @writer
    async def work(items: int) -> AsyncIterator[int]:
        for item in range(items):
            await asyncio.sleep(0)
            call()
            yield item

    seen = []
    async for item in work(3):
        call()  # between two steps: not inside
        assert current_scope.get() is None
        assert not ends
        seen.append(item)
    assert seen == [0, 1, 2]
    assert (ends[0].status, ends[0].llm_calls) == ("success", 3)


async def test_an_async_generator_is_sent_to_and_thrown_into(ends: list[AgentFinished]) -> None:
    stream = async_echo("hello")
    assert await anext(stream) == "hello"
    assert await stream.asend("you") == "you"
    assert await stream.athrow(KeyError("a")) == "thrown a"
    with pytest.raises(StopAsyncIteration):
        await stream.asend("stop")
    assert outcomes(ends) == [("success", "")]
    assert ends[0].llm_calls == 3


async def test_an_error_thrown_into_an_async_generator_and_not_caught_ends_the_span(ends: list[AgentFinished]) -> None:
    stream = async_echo("hello")
    await anext(stream)
    with pytest.raises(ValueError, match="mine"):
        await stream.athrow(ValueError("mine"))
    assert outcomes(ends) == [("error", "ValueError")]


async def test_a_stream_that_is_closed_cleans_up_inside_its_span(ends: list[AgentFinished]) -> None:
    cleaned: list[Any] = []

    @writer
    async def work() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            cleaned.append(current_scope.get())

    async with aclosing(cast(Any, work())) as stream:
        async for _ in stream:
            break
    assert len(cleaned) == 1
    assert cleaned[0] is not None
    assert outcomes(ends) == [("cancelled", "GeneratorExit")]


@pytest.mark.slow
async def test_an_abandoned_stream_ends_its_span_when_it_is_closed(ends: list[AgentFinished]) -> None:
    """Code that holds a stream, as a response holds its body, has to close it."""
    stream = async_echo("hello")
    async for _ in stream:
        break
    await asyncio.sleep(0)
    gc.collect()
    assert not ends
    await stream.aclose()
    assert outcomes(ends) == [("cancelled", "GeneratorExit")]


@pytest.mark.slow
async def test_a_stream_without_references_is_closed_by_the_loop(ends: list[AgentFinished]) -> None:
    async for _ in async_echo("hello"):
        break
    gc.collect()
    await until(lambda: ends)
    assert outcomes(ends) == [("cancelled", "GeneratorExit")]


async def test_a_task_that_is_cancelled_during_a_step_ends_the_span(ends: list[AgentFinished]) -> None:
    begun = asyncio.Event()

    @writer
    async def work() -> AsyncIterator[int]:
        yield 1
        begun.set()
        await asyncio.Event().wait()

    async def consume() -> None:
        async for _ in work():
            pass

    task = asyncio.create_task(consume())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert outcomes(ends) == [("cancelled", "CancelledError")]


async def test_a_stream_that_several_tasks_read_counts_in_its_own_span(ends: list[AgentFinished]) -> None:
    stream = async_echo("hello")
    await anext(stream)

    async def read(said: str) -> None:
        with agent_run(agent_name="reader") as reader:
            assert await stream.asend(said) == said
            call()
        assert reader.totals["llm_calls"] == 1

    await asyncio.create_task(read("one"))
    await asyncio.create_task(read("two"))
    await stream.aclose()
    assert [(end.agent_name, end.llm_calls) for end in ends] == [("reader", 1), ("reader", 1), ("writer", 3)]


def plain(text: str, *, times: int = 1) -> str:
    """Repeat a text."""
    return text * times


async def awaited(text: str, *, times: int = 1) -> str:
    """Repeat a text."""
    return text * times


def yielded(text: str, *, times: int = 1) -> Iterator[str]:
    """Repeat a text."""
    yield text * times


async def streamed(text: str, *, times: int = 1) -> AsyncIterator[str]:
    """Repeat a text."""
    yield text * times


@pytest.mark.parametrize("work", [plain, awaited, yielded, streamed])
def test_a_wrapped_function_looks_as_before(work: Any) -> None:
    wrapped = writer(work)
    assert inspect.signature(wrapped) == inspect.signature(work)
    assert (wrapped.__name__, wrapped.__doc__, wrapped.__module__) == (work.__name__, work.__doc__, work.__module__)
    for kind in (
        inspect.isgeneratorfunction,
        inspect.iscoroutinefunction,
        inspect.isasyncgenfunction,
        asyncio.iscoroutinefunction,
    ):
        assert kind(wrapped) == kind(work)


async def only_item(answer: Any) -> Any:
    """Return the one text that a call returned, awaited or yielded."""
    if inspect.isawaitable(answer):
        return await answer
    if inspect.isasyncgen(answer):
        (item,) = [item async for item in answer]
        return item
    return answer if isinstance(answer, str) else next(iter([*answer]))


class Callables:
    """The four kinds as methods, and as objects that are called."""

    @writer
    def plain(self, text: str) -> str:
        return text

    @writer
    async def awaited(self, text: str) -> str:
        return text

    @writer
    def yielded(self, text: str) -> Iterator[str]:
        yield text

    @classmethod
    @writer
    async def class_method(cls, text: str) -> str:
        return text

    @staticmethod
    @writer
    async def static_method(text: str) -> AsyncIterator[str]:
        yield text

    async def __call__(self, text: str) -> str:
        await asyncio.sleep(0)
        return text


@pytest.mark.parametrize(
    "work",
    [
        *map(writer, (plain, awaited, yielded, streamed)),
        *(writer(partial(work, times=1)) for work in (plain, awaited, yielded, streamed)),
        Callables().plain,
        Callables().awaited,
        Callables().yielded,
        Callables.class_method,
        Callables.static_method,
        writer(Callables()),
        writer(partial(Callables())),
    ],
)
async def test_a_wrapped_callable_of_any_kind_works_again_and_again(ends: list[AgentFinished], work: Any) -> None:
    for turn in range(3):
        assert await only_item(work("text")) == "text"
        assert outcomes(ends) == [("success", "")] * (turn + 1)


async def test_the_span_of_an_async_callable_object_ends_when_its_call_was_awaited(
    ends: list[AgentFinished],
) -> None:
    made = writer(Callables())("text")
    assert not ends
    await made
    assert len(ends) == 1


def test_a_recursive_function_nests(ends: list[AgentFinished]) -> None:
    @writer
    def work(depth: int) -> None:
        call()
        if depth:
            work(depth - 1)

    work(2)
    assert [end.llm_calls for end in ends] == [1, 2, 3]
