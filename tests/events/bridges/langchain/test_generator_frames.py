"""Where a generator is suspended, as another task sees it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from sys import _getframe
from types import FrameType

from events.bridges.langchain.generator_frames import is_at_yield


def test_an_asynchronous_generator_is_at_a_yield_while_its_reader_has_the_word_and_not_while_it_waits() -> None:
    frames: list[FrameType] = []
    waiting, reading = asyncio.Event(), asyncio.Event()

    async def inner() -> AsyncIterator[int]:
        await reading.wait()
        yield 1

    async def numbers() -> AsyncIterator[int]:
        frames.append(_getframe())
        waiting.set()
        await reading.wait()
        yield 0
        reading.clear()
        async for number in inner():
            yield number

    async def look() -> bool:
        return is_at_yield(frames[0])

    async def look_while_it_waits() -> bool:
        await waiting.wait()
        seen = is_at_yield(frames[0])
        reading.set()
        return seen

    async def read() -> None:
        for _ in range(2):
            looking = asyncio.create_task(look_while_it_waits())
            await anext(generator)
            assert not await looking
            assert await asyncio.create_task(look())

    generator = numbers()
    asyncio.run(read())


def test_a_generator_is_at_a_yield_also_where_it_passes_on_those_of_another_one() -> None:
    frames: list[FrameType] = []
    seen: list[bool] = []

    def numbers() -> Iterator[int]:
        frames.append(_getframe())
        seen.append(is_at_yield(frames[0]))
        yield 1
        yield from [2]

    assert [is_at_yield(frames[0]) for _ in numbers()] == [True, True]
    assert seen == [False]
