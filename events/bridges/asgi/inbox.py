"""Messages that are received from the server before the application asks for them.

A check of whether the client is still there, and a search for the close code of a websocket, call `receive` for the
application. No message is lost by that, whatever the server's `receive` returns: a coroutine, or a future of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from inspect import iscoroutine
from typing import Any

from ..asgi_types import Message, Receive
from ..async_library import running_trio

WAIT_SHARE, MAX_WAIT = 0.04, 0.02
"""How long a check may wait for a message where a turn of the event loop does not do, in granian's threads and on trio.

A share of the seconds that the response took, and the most seconds. A message that is there comes within 0.0004.
"""

MAX_MESSAGES = 100
"""How many messages are received before the application asks for them."""


def longest_wait(duration: float) -> float:
    """Return for how many seconds a check may wait after so many seconds of work."""
    return min(duration * WAIT_SHARE, MAX_WAIT)


class Inbox:
    """The messages that were received from the server before the application asked for them, or are still to come.

    A call of ``receive`` that a check did not wait for goes on, and its message is the application's: a cancelled call
    may lose the message that it was about to return, and granian's future is not one that asyncio's functions cancel.
    ``observe`` is called with each message, once.
    """

    __slots__ = ("_messages", "_observe", "_receive", "_receiving")

    def __init__(self, receive: Receive, observe: Callable[[Message], None]) -> None:
        self._receive = receive
        self._observe = observe
        self._messages: list[Message] = []
        self._receiving: asyncio.Task[Message] | None = None

    def __len__(self) -> int:
        """Return the number of messages that the application has not received."""
        return len(self._messages)

    async def look(self, wait: float) -> bool:
        """Receive one message if the server has one; return whether it had.

        Args:
            wait: For how many seconds at most to wait for a server whose ``receive`` returns a future, since it runs in
                threads of its own, and on trio. Elsewhere a message that is there comes within one turn of the loop.
        """
        if (trio := running_trio()) is not None:
            message = await receive_on_trio(trio, self._receive, wait)
        else:
            task = self._receiving
            if task is None:
                receiving = self._receive()
                wait = 0 if iscoroutine(receiving) else wait
                task = self._receiving = asyncio.create_task(await_message(receiving))
                task.add_done_callback(retrieve_exception)
            await asyncio.sleep(0)
            if wait > 0 and not task.done():
                await asyncio.wait((task,), timeout=wait)
            if not task.done() or task.cancelled() or task.exception() is not None:
                return False  # the application sees why, if it asks
            self._receiving, message = None, task.result()
        if message is None:
            return False
        self._messages.append(message)
        self._observe(message)
        return True

    async def take(self) -> Message:
        """Return the next message, for the application."""
        if self._messages:
            return self._messages.pop(0)
        task = self._receiving
        if task is None:
            message = await self._receive()
        else:
            try:
                message = await asyncio.shield(task)
            finally:
                if task.done():
                    self._receiving = None
        self._observe(message)
        return message

    def close(self) -> None:
        """Receive nothing more: the application has returned."""
        if self._receiving is not None:
            self._receiving.cancel()


async def await_message(receiving: Awaitable[Message]) -> Message:
    """Return the message of a call of ``receive``, so that any awaitable can be the work of a task."""
    return await receiving


def retrieve_exception(task: asyncio.Task[Message]) -> None:
    """Retrieve what a task raised, if anything: asyncio logs what nobody does."""
    if not task.cancelled():
        task.exception()


async def receive_on_trio(trio: Any, receive: Receive, wait: float) -> Message | None:
    """Return the next message if one comes within so many seconds, else None."""
    received: list[Message] = []
    with trio.move_on_after(max(wait, 0.0005)):  # a scope of no time is cancelled before it receives what is there
        received.append(await receive())
    return received[0] if received else None
