"""A slow or asynchronous listener in a thread of its own, behind a bounded queue: it never holds up who emits."""

from __future__ import annotations

import atexit
import sys
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from importlib import import_module
from inspect import isasyncgen, iscoroutine
from threading import Condition, Thread, current_thread
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakSet

from .after_fork import call_after_fork
from .event_classes import snake_case
from .failures import report_drop, report_failure
from .receiver_inspection import callable_name

if TYPE_CHECKING:
    import asyncio


def background(
    listener: Callable[[Any], Any],
    *,
    size: int = 10_000,
    drain: float = 5.0,
    loop: asyncio.AbstractEventLoop | None = None,
) -> Background:
    """Return a receiver that passes each event to ``listener`` in a thread of its own.

    >>> from events import background, tool_called
    >>> async def write_audit_row(event):
    ...     print(event.tool_name)
    >>> with background(write_audit_row) as receiver, tool_called.connected_to(receiver):
    ...     tool_called.emit(tool_name="search", status="success", duration=0.1)
    search

    A coroutine function runs on an event loop of that thread, or on ``loop``, one event at a time. A listener that
    raises is reported as `receiver_failed` and receives the next event all the same.

    Args:
        listener: A function or coroutine function that takes an event.
        size: How many events may wait. Past that the newest is dropped, and `event_dropped` is emitted.
        drain: For how many seconds `Background.close`, called at exit at the latest, passes on the events that wait.
        loop: The event loop that a coroutine function runs on, such as the application's, whose clients and sessions it
            may then use. Where that is the loop of whoever closes it, use `Background.aclose` or ``async with``.

    Raises:
        ValueError: ``size`` leaves no room for an event.
    """
    if size < 1:
        raise ValueError(f"background(size={size}) would drop every event: let at least 1 wait")
    return Background(listener, size, drain, loop)


class Background:
    """A receiver made by `background`: connect it to one signal or to several."""

    events_only = True

    def __init__(
        self, listener: Callable[[Any], Any], size: int, drain: float, loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        # Late, since most processes have no listener here, and it takes longer to import than the rest of the bus; not
        # in the thread, since a process that is forked meanwhile would have half of it for good.
        import_module("asyncio")
        self.listener = listener
        self._size = size
        self._drain = drain
        self._loop = loop
        self._closed = False
        self._strict_failure: BaseException | None = None
        self.__qualname__ = callable_name(listener)
        self.reset()
        _instances.add(self)
        atexit.register(self.close)

    def reset(self) -> None:
        """Start empty, as a forked process must: it has no copy of the thread, and a lock may have been held."""
        self._queue: deque[Any] = deque()
        self._under_way: list[Any] = []  # the event that the listener is in, if any
        # On an RLock: the garbage collector may end a span, which emits, while this thread holds it.
        self._changed = Condition()
        self._thread: Thread | None = None

    def __call__(self, event: Any) -> None:
        """Put an event into the queue, or drop it where there is no room."""
        with self._changed:
            has_room = not self._closed and len(self._queue) < self._size
            if has_room:
                self._queue.append(event)
                self._changed.notify()
                if self._thread is None:
                    self._start()
        if not has_room:
            self._drop([event])

    def _start(self) -> None:
        self._thread = Thread(target=self._run, name=f"events.background({self.__qualname__})", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            self._thread = None  # the next event tries again
            raise
        call_at_end_of_child(self.close)

    def _run(self) -> None:
        import asyncio  # `__init__` has imported it

        runner = asyncio.Runner()  # makes no event loop until it runs something
        for event in iter(self._next, _END):
            try:
                result = self.listener(event)
                if iscoroutine(result):
                    runner.run(result) if self._loop is None else run_on(self._loop, result)
                elif isasyncgen(result):
                    raise TypeError(f"{self.__qualname__} yields, so it would never run: make it a coroutine function")  # noqa: TRY301  # reported below
            except BaseException as error:  # CancelledError and SystemExit too: nobody else would see the thread end
                self._report(event, error)
        runner.close()

    def _next(self) -> Any:
        with self._changed:
            self._under_way = []
            self._changed.wait_for(lambda: self._queue or self._closed)
            if not self._queue:
                return _END
            self._under_way = [self._queue.popleft()]
            return self._under_way[0]

    def _report(self, event: Any, error: BaseException) -> None:
        try:
            report_failure(snake_case(type(event).__name__), self.__qualname__, error)
        except BaseException as raised_by_strict:  # in this thread nobody could catch it: `close` raises it
            self._strict_failure = self._strict_failure or raised_by_strict

    def close(self) -> None:
        """Pass on the events that wait, within the time to drain, then stop; later events are dropped.

        What waits when the time ends is dropped, and so is the event that the listener is in: it may end yet, but
        nobody waits for that. Called by the listener itself, or on the loop that the listener runs on, it only stops:
        what waits is dropped, and the listener ends the event that it is in.

        Raises:
            BaseException: in a `strict` block, the first error that the listener raised.
        """
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify()
            thread = self._thread
        atexit.unregister(self.close)
        if thread is current_thread():
            return
        is_awaited = thread is not None and not self._is_on_loop()
        if thread is not None and is_awaited:
            thread.join(self._drain)
        with self._changed:
            remaining = [*self._under_way, *self._queue] if is_awaited else [*self._queue]
            self._queue.clear()
        self._drop(remaining)
        failure, self._strict_failure = self._strict_failure, None
        if failure is not None:
            raise failure

    async def aclose(self) -> None:
        """Close, as `close` does, without holding up the event loop."""
        from asyncio import to_thread  # late, as in `__init__`

        await to_thread(self.close)

    def _is_on_loop(self) -> bool:
        """Return whether the running code holds up the loop that the listener needs."""
        if self._loop is None:
            return False
        from asyncio import get_running_loop  # late, as in `__init__`

        try:
            return get_running_loop() is self._loop
        except RuntimeError:
            return False

    def _drop(self, events: Iterable[Any]) -> None:
        for event in events:
            report_drop(snake_case(type(event).__name__), self.__qualname__)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def call_at_end_of_child(function: Callable[[], object]) -> None:
    """Call a function as this process ends, if `multiprocessing` has started it: such a process runs no `atexit`.

    Nor does it call anything where it is terminated, as those of a pool are that is not closed and joined.
    """
    process, util = map(sys.modules.get, ("multiprocessing.process", "multiprocessing.util"))
    if process is not None and util is not None and process.parent_process() is not None:
        util.Finalize(None, function, exitpriority=0)


_END = object()

_LOOK_AGAIN = 0.5  # seconds; a loop that is closed meanwhile ends no coroutine


def run_on(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any]) -> None:
    """Run a coroutine on the event loop of another thread, and wait for its end.

    Raises:
        RuntimeError: The loop is closed.
        BaseException: What the coroutine raised.
    """
    from asyncio import run_coroutine_threadsafe  # late, as in `__init__`
    from concurrent.futures import wait  # the same

    try:
        future = run_coroutine_threadsafe(coroutine, loop)
    except RuntimeError:
        coroutine.close()
        raise
    while True:
        done, _ = wait({future}, timeout=_LOOK_AGAIN)
        if done:
            future.result()
            return
        if loop.is_closed():
            coroutine.close()
            raise RuntimeError("the event loop of a background listener was closed before the listener was done")


_instances: WeakSet[Background] = WeakSet()


@call_after_fork
def reset_after_fork() -> None:
    """Reset, in a forked process, every listener that it has from its parent."""
    for receiver in list(_instances):
        receiver.reset()
