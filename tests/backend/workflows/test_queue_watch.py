"""The queue of runs is looked at when there is a run and a place for it, and asked now and then where nobody tells."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from time import monotonic
from types import SimpleNamespace
from typing import Any

import pytest

from app.workflows import queue_watch
from app.workflows.queue_watch import QueueWatch
from tests.support.wait import wait_until

QUEUE = "runs"
NEVER = 1e6  # seconds


class Claims:
    """A thread that looks at the queue whenever the watch lets it; tests say what it finds."""

    def __init__(self, watch: QueueWatch, slots: int = 2) -> None:
        self.watch = watch
        self.queue = SimpleNamespace(name=QUEUE, _worker_concurrency=slots)
        self.stop = threading.Event()
        self.looks = self.questions = self.offers = 0
        self.queued = 0
        self.running = 0
        self.limit: str | None = None
        self.failure: Exception | None = None
        self._claim = watch.watched(self._take, QUEUE)
        self._thread = threading.Thread(target=self._look_forever, daemon=True)

    def _take(self, _queue: Any, _executor: str, _version: str, _key: None, running: int) -> tuple[list[str], Any]:
        self.looks += 1
        if self.failure is not None:
            raise self.failure
        if self.limit is not None:
            return [], self.limit
        claimed = [str(number) for number in range(min(self.queued, self.queue._worker_concurrency - running))]
        self.queued -= len(claimed)
        self.running += len(claimed)
        return claimed, None

    def _ask(self) -> bool:
        self.questions += 1
        return self.queued > 0

    def _offer(self) -> None:
        self.offers += 1

    def _look_forever(self) -> None:
        while not self.stop.is_set():
            self.watch.wait(self.stop, 0.001, self._ask, self._offer)
            if not self.stop.is_set() and self.running < self.queue._worker_concurrency:
                try:
                    self._claim(self.queue, "me", "1", None, self.running)
                except OSError:
                    continue

    def start(self) -> None:
        self._thread.start()
        wait_until(lambda: self.looks)  # at the start nothing is known

    def end(self) -> None:
        self.stop.set()
        with self.watch.changed:
            self.watch.changed.notify_all()
        self._thread.join(30)
        assert not self._thread.is_alive()


@pytest.fixture
def claims(monkeypatch: pytest.MonkeyPatch) -> Iterator[Claims]:
    """A process that is told of queued runs, and that never asks for them by itself."""
    for name in ("QUEUE_REST", "LISTENING_REST", "REST"):
        monkeypatch.setattr(queue_watch, name, NEVER)
    monkeypatch.setattr(queue_watch, "ACTIVE_TIME", 0.0)
    monkeypatch.setattr(queue_watch, "JITTER", 0.0)
    monkeypatch.setattr(queue_watch, "STORING_TIME", 0.0)
    made = Claims(QueueWatch())
    yield made
    made.end()


def test_a_run_that_is_queued_here_is_looked_for_at_once_and_nothing_is_asked(claims: Claims) -> None:
    claims.start()
    claims.queued = 1
    claims.watch.queued()
    wait_until(lambda: claims.running == 1)
    assert (claims.looks, claims.questions, claims.offers) == (2, 0, 0)


def test_a_run_that_another_process_tells_of_is_asked_for_first(claims: Claims) -> None:
    claims.start()
    claims.watch.told()
    wait_until(lambda: claims.questions == 1)
    claims.queued = 1
    claims.watch.told()
    wait_until(lambda: claims.running == 1)
    assert (claims.looks, claims.questions) == (2, 2)


def test_a_process_without_a_place_offers_what_is_queued_and_looks_when_it_has_one(claims: Claims) -> None:
    claims.start()
    with claims.watch.executing():
        with claims.watch.executing():
            claims.running, claims.queued = 2, 1
            claims.watch.queued()
            wait_until(lambda: claims.offers == 1)
            assert claims.looks == 1
            claims.running = 1
        wait_until(lambda: claims.running == 2)
    assert claims.looks == 2


def test_what_is_told_to_a_process_without_a_place_is_not_offered_again(claims: Claims) -> None:
    """Processes without a place would tell each other for ever."""
    claims.start()
    with claims.watch.executing():
        with claims.watch.executing():
            claims.running = 2
            claims.watch.told()
            claims.queued = 1
            claims.running = 1
        wait_until(lambda: claims.running == 2)  # told of before: asked for now
        assert (claims.questions, claims.offers) == (1, 0)


def test_a_look_that_takes_the_last_place_leaves_the_rest_to_others(claims: Claims) -> None:
    claims.start()
    claims.queued = 3
    with claims.watch.executing(), claims.watch.executing():  # it begins with the claim
        claims.watch.queued()
        wait_until(lambda: claims.offers >= 1)
    wait_until(lambda: claims.looks == 2)
    assert claims.running == 2


@pytest.mark.parametrize("failure", [None, OSError()], ids=["a limit of all processes", "an error"])
def test_a_look_in_vain_is_repeated_ever_more_seldom(claims: Claims, failure: Exception | None) -> None:
    claims.limit, claims.failure = "concurrency", failure
    began = monotonic()
    claims.start()
    wait_until(lambda: claims.looks >= 7)
    assert monotonic() - began >= 0.001 * (2 + 4 + 8 + 16 + 32)
    claims.limit = claims.failure = None
    claims.queued = 1
    wait_until(lambda: claims.running == 1)


def test_a_run_that_a_limit_of_all_processes_holds_back_is_offered_once(claims: Claims) -> None:
    """Those who execute runs look for it as theirs end; those who hear of it, and find the limit too, tell nobody."""
    claims.limit = "concurrency"
    claims.start()
    claims.watch.told()
    wait_until(lambda: claims.looks >= 4)
    assert claims.offers == 0
    claims.watch.queued()
    wait_until(lambda: claims.offers == 1)
    looks = claims.looks
    wait_until(lambda: claims.looks >= looks + 3)
    assert claims.offers == 1


def test_a_process_that_nobody_tells_asks_more_often_while_it_executes(
    claims: Claims, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims.start()
    with claims.watch.executing():
        claims.watch.told()
        wait_until(lambda: claims.questions >= 5)
    with claims.watch.listening(), claims.watch.executing():
        wait_until(lambda: claims.questions >= 6)
        asked = claims.questions
        claims.queued = 1
        claims.watch.told()
        wait_until(lambda: claims.running == 1)
        assert claims.questions <= asked + 2


def test_dbos_looks_by_itself_now_and_then(claims: Claims, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_watch, "REST", 0.01)
    claims.start()
    wait_until(lambda: claims.looks >= 3)
    assert claims.questions == 0


def test_claims_of_other_queues_say_nothing_of_this_one(claims: Claims) -> None:
    def claim(*_: Any) -> tuple[list[str], Any]:
        return ["other"], None

    watched: Callable[..., Any] = claims.watch.watched(claim, QUEUE)
    assert watched(SimpleNamespace(name="other", _worker_concurrency=1), "me", "1", None, 0) == (["other"], None)
    claims.start()
    assert claims.offers == 0
