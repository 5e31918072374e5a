"""A slow or asynchronous listener, fed through a bounded queue so that it never holds up a sender."""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable
from inspect import isasyncgen, iscoroutine
from threading import Condition, Thread, current_thread
from types import TracebackType
from typing import Any, Self
from weakref import WeakSet

from .failures import report_failure
from .receivers import callable_name
from .signal import snake_case


def background(listener: Callable[[Any], Any], *, size: int = 10_000, drain: float = 5.0) -> Background:
    """Make a receiver that hands each event to ``listener`` in a thread of its own.

    >>> llm_called.connect(background(write_audit_row))  # doctest: +SKIP

    A coroutine function runs on an event loop of that thread, one event at a time. At most ``size`` events wait; past
    that the newest is dropped and told as `event_dropped`. A listener that raises is told as `receiver_failed`.
    `Background.close`, called at exit at the latest, hands over what waits for at most ``drain`` seconds.

    Raises:
        ValueError: ``size`` leaves no room for an event.
    """
    if size < 1:
        raise ValueError(f"background(size={size}) would drop every event: let at least 1 wait")
    return Background(listener, size, drain)


def emit_event_dropped(signal: str, receiver: str) -> None:
    """Emit `event_dropped`; `events.pipeline` puts the real one here, since its signals stand on this module."""


class Background:
    """The receiver that `background` makes: connect it to one signal or several."""

    def __init__(self, listener: Callable[[Any], Any], size: int, drain: float) -> None:
        self._listener = listener
        self._size = size
        self._drain = drain
        self._closed = False
        self._failure: BaseException | None = None
        self.__qualname__ = callable_name(listener)
        self.begin()
        _alive.add(self)
        atexit.register(self.close)

    def begin(self) -> None:
        """Start out empty, as a new process must: a fork carries no thread over, and a lock as it happens to stand."""
        self._waiting: deque[Any] = deque()
        self._changed = Condition()  # on an RLock: a collected generator may tell its end while this thread holds it
        self._thread: Thread | None = None

    def __call__(self, event: Any) -> None:
        with self._changed:
            taken = not self._closed and len(self._waiting) < self._size
            if taken:
                self._waiting.append(event)
                self._changed.notify()
                if self._thread is None:
                    self._start()
        if not taken:
            self._drop([event])

    def _start(self) -> None:
        self._thread = Thread(target=self._feed, name=f"events.background({self.__qualname__})", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            self._thread = None  # the next event tries again
            raise

    def _feed(self) -> None:
        runner = asyncio.Runner()  # makes no event loop until it runs something
        for event in iter(self._next, _END):
            try:
                answer = self._listener(event)
                if iscoroutine(answer):
                    runner.run(answer)
                elif isasyncgen(answer):
                    raise TypeError(f"{self.__qualname__} yields, so it would never run: let it be a coroutine")  # noqa: TRY301  # told below
            except BaseException as error:  # CancelledError and SystemExit too: nobody else would see the thread end
                self._tell(event, error)
        runner.close()

    def _next(self) -> Any:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            return self._waiting.popleft() if self._waiting else _END

    def _tell(self, event: Any, error: BaseException) -> None:
        try:
            report_failure(snake_case(type(event).__name__), self.__qualname__, error)
        except BaseException as strict:
            self._failure = self._failure or strict  # there is no sender here to raise it in: `close` does

    def close(self) -> None:
        """Hand over what waits, within the time to drain, then stop. Events told later are dropped.

        Called by the listener itself, it only says that nothing more is taken.

        Raises:
            BaseException: under `events.strict`, the first that the listener raised.
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
        if thread is not None:
            thread.join(self._drain)
        with self._changed:
            late = [*self._waiting]
            self._waiting.clear()
        self._drop(late)
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _drop(self, events: Iterable[Any]) -> None:
        for event in events:
            signal = snake_case(type(event).__name__)
            emit_event_dropped(signal, self.__qualname__)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_END = object()

_alive: WeakSet[Background] = WeakSet()


def begin_again() -> None:
    """Begin in a forked child what lives in its parent."""
    for receiver in list(_alive):
        receiver.begin()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=begin_again)
