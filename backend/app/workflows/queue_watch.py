"""When a process looks at the queue of runs: what it knows of the queue says whether there is anything to claim.

DBOS would look five times a second. Here the thread that claims runs waits until somebody says that a run is queued and
there is a place for it: this process, when it queues one, or another one, which has no place for it (`notices`).
What nobody says is found by a question now and then: one statement, of the look's six.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from math import inf
from time import monotonic
from typing import Any, Literal

QUEUE_REST = 3.0
"""Seconds between two questions at rest where nobody tells this process of queued runs."""

LISTENING_REST = 15.0
"""Seconds between two questions where others do tell."""

ACTIVE_TIME = 5.0
"""Seconds after the last run in which a process that nobody tells asks as often as DBOS would look."""

REST = 60.0
"""Seconds after which DBOS looks by itself, whatever is known."""

JITTER = 0.05
"""Seconds within which the processes that are told of a run ask for it: the first one has it then."""

STORING_TIME = 0.05
"""Seconds that DBOS may take to store the end of a run, whose place is taken until then."""

Claim = Callable[..., tuple[list[str], Any]]


class QueueWatch:
    """The queue of runs as one process knows it; any thread may call its methods."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self._executing = 0
        self._slots: int | None = None  # None is no limit, or not known yet
        self._place_from = 0.0
        self._is_claimable = True  # there may be runs that can be claimed
        self._is_untold = False  # and no other process has been told of them
        self._offered_at = 0.0
        self._ask_at = inf
        self._active_until = 0.0
        self._listeners = 0
        self._vain_looks = 0

    @property
    def is_listening(self) -> bool:
        """Whether other processes tell this one of queued runs."""
        return self._listeners > 0

    def queued(self) -> None:
        """Note that this process has queued a run."""
        with self.changed:
            self._is_claimable = self._is_untold = True
            self._vain_looks = 0
            self._active_until = monotonic() + ACTIVE_TIME
            self.changed.notify_all()

    def told(self) -> None:
        """Note that another process has queued a run for which it has no place."""
        with self.changed:
            self._ask_at = min(self._ask_at, monotonic() + random.uniform(0, JITTER))  # noqa: S311 - no secret
            self.changed.notify_all()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Rely on other processes while the block runs; what was queued before it is asked for at once."""
        with self.changed:
            self._listeners += 1
        self.told()
        try:
            yield
        finally:
            with self.changed:
                self._listeners -= 1
            self.told()

    @contextmanager
    def executing(self) -> Iterator[None]:
        """Take a place while the block, which executes a run, runs."""
        with self.changed:
            self._executing += 1
        try:
            yield
        finally:
            with self.changed:
                if not self._has_place():
                    self._place_from = monotonic() + STORING_TIME
                self._executing -= 1
                self._vain_looks = 0
                self._active_until = monotonic() + ACTIVE_TIME
                self.changed.notify_all()

    def watched(self, claim: Claim, queue_name: str) -> Claim:
        """Return DBOS's method that claims workflows, and note what it finds in the queue of runs.

        Args:
            claim: `start_queued_workflows` of its database.
            queue_name: The name of the queue.
        """

        @wraps(claim)
        def watched_claim(queue: Any, executor_id: str, *args: Any, **options: Any) -> tuple[list[str], Any]:
            if queue.name != queue_name:
                return claim(queue, executor_id, *args, **options)
            with self.changed:
                self._is_claimable, self._ask_at = False, inf
            try:
                claimed, limit = claim(queue, executor_id, *args, **options)
            except BaseException:
                self._may_be_more(vain=True)
                raise
            self._slots = getattr(queue, "_worker_concurrency", None)
            taken = (args[2] if len(args) > 2 else options.get("local_running_count", 0)) + len(claimed)
            if limit is not None:
                self._may_be_more(vain=limit != "worker_concurrency")
            elif self._slots is not None and taken >= self._slots:
                self._may_be_more(vain=False)
            else:
                self._vain_looks = 0
            return claimed, limit

        return watched_claim

    def wait(
        self, stop: threading.Event, pause: float, is_any_queued: Callable[[], bool], offer: Callable[[], None]
    ) -> None:
        """Return when the queue is to be looked at, or ``stop`` is set.

        Args:
            stop: The event; who sets it notifies `changed` as well.
            pause: Seconds that two looks are apart at least.
            is_any_queued: Returns whether there are runs in the queue.
            offer: Tells the other processes of queued runs, if there are any.
        """
        with self.changed:
            began = monotonic()
            self._ask_at = min(self._ask_at, began + self._interval(pause))
        while not stop.is_set():
            with self.changed:
                step, due = self._next_step(began, pause)
                now = monotonic()
                if due > now:
                    self.changed.wait(due - now)
                    continue
                if step == "look":
                    return
                if step == "offer":
                    self._is_untold, self._offered_at = False, now
                else:
                    self._ask_at = now + self._interval(pause)
            if step == "offer":
                offer()
            elif is_any_queued():
                with self.changed:
                    self._is_claimable = True

    def _next_step(self, began: float, pause: float) -> tuple[Literal["look", "offer", "ask"], float]:
        """Return what the thread that began to wait then is to do next, and when; the condition is held."""
        end, has_place = began + REST, self._has_place()
        if self._is_claimable and self._is_untold and (self._vain_looks or not has_place):
            return "offer", self._offered_at + pause
        if self._is_claimable and has_place:
            longer = min(pause * 2**self._vain_looks, max(pause, QUEUE_REST))
            return "look", min(end, max(began + longer, self._place_from))
        return ("ask", self._ask_at) if has_place and self._ask_at < end else ("look", end)

    def _interval(self, pause: float) -> float:
        """Return the seconds until the next question; the condition is held."""
        if self._listeners:
            return LISTENING_REST
        return pause if self._executing or monotonic() < self._active_until else max(pause, QUEUE_REST)

    def _has_place(self) -> bool:
        return self._slots is None or self._executing < self._slots

    def _may_be_more(self, *, vain: bool) -> None:
        """Note that a look has not seen all of the queue: that it was in vain, or took as many runs as it may."""
        with self.changed:
            self._is_claimable = True
            self._vain_looks = min(self._vain_looks + 1, 8) if vain else 0
            if not vain:
                self._is_untold = True
