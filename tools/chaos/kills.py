"""Kills with -9 in every phase of a run: each phase has its moment, at which all processes of the studio are killed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread
from time import sleep

from tests.support.wait import wait_until

from .faults import tables_locked
from .model_server import Answer, Hooks
from .scene import UNFINISHED, Scene

RUNS = 4  # that are submitted for each kill
MOST_UNFINISHED = 8  # with more, none is submitted


@dataclass(frozen=True)
class Phase:
    """A phase of a run, and the function that kills in it."""

    name: str
    kill: Callable[[Scene], None]


@contextmanager
def hooks(scene: Scene, **functions: Callable[[Answer], None]) -> Iterator[None]:
    """Have functions called by the model server while the block runs."""
    scene.model.hooks = Hooks(**functions)
    try:
        yield
    finally:
        scene.model.hooks = Hooks()


def at_answer(scene: Scene, moment: str, *, skip: int = 5, wait: float = 0.0) -> None:
    """Kill when a request has come (``asked``) or its answer is sent whole (``sent``), or some seconds after that.

    Args:
        scene: The scene.
        moment: The name of the hook.
        skip: How many answers may pass before, at most; drawn at random.
        wait: The seconds, at most; drawn at random.
    """
    left, reached = scene.rng.randint(0, skip), Event()
    delay = scene.rng.uniform(0.0, wait)

    def count(_answer: Answer) -> None:
        nonlocal left
        left -= 1
        if left < 0 and not reached.is_set():
            if not delay:
                scene.strike()  # in the server's thread: at this very moment
            reached.set()

    with hooks(scene, **{moment: count}):
        assert reached.wait(60), f"no answer was {moment}"
    sleep(delay)
    scene.strike()


def when_more(scene: Scene, table: str, where: str = "1 = 1") -> None:
    """Kill as soon as a table has more rows of a kind."""
    before = scene.count(table, where)
    wait_until(lambda: scene.count(table, where) > before, within=60, every=0.001)
    scene.strike()


def in_the_queue(scene: Scene) -> None:
    sleep(scene.rng.uniform(0.0, 0.1))
    scene.strike()


def while_nothing_can_be_stored(scene: Scene) -> None:
    sent = Event()
    with tables_locked(scene), hooks(scene, sent=lambda _: sent.set()):
        if sent.wait(10):
            sleep(0.5)
        scene.kill()


def while_a_run_is_cancelled(scene: Scene) -> None:
    wait_until(lambda: scene.count("runs", "status = 'running'"), within=60, every=0.005)
    cancelling = Thread(target=scene.cancel_one)
    cancelling.start()
    sleep(scene.rng.uniform(0.0, 0.1))
    scene.strike()
    cancelling.join()


def while_it_recovers(scene: Scene) -> None:
    """Kill at any moment, and again while the next start reads what was left."""
    sleep(scene.rng.uniform(0.1, 0.6))
    scene.kill()
    scene.launch()
    recovers = scene.rng.choice(("starting on", "loading the model", "ready at"))
    wait_until(lambda: recovers in scene.studio.output, within=120, every=0.001)
    sleep(scene.rng.uniform(0.0, 0.3))
    scene.strike()


def at_any_moment(scene: Scene) -> None:
    sleep(scene.rng.uniform(0.0, 1.5))
    scene.strike()


# fmt: off
PHASES = (
    Phase("in the queue",                       in_the_queue),
    Phase("as the model is asked",              lambda scene: at_answer(scene, "asked")),
    Phase("while the model streams",            lambda scene: at_answer(scene, "asked", wait=0.15)),
    Phase("as the answer's end is sent",        lambda scene: at_answer(scene, "sent")),
    Phase("while the answer is read",           lambda scene: at_answer(scene, "sent", wait=0.03)),
    Phase("while its usage cannot be stored",   while_nothing_can_be_stored),
    Phase("as a step is stored",                lambda scene: when_more(scene, "attempts")),
    Phase("as a run starts",                    lambda scene: when_more(scene, "runs", "started_at IS NOT NULL")),
    Phase("as a run ends",                      lambda scene: when_more(scene, "runs", "finished_at IS NOT NULL")),
    Phase("while a run is cancelled",           while_a_run_is_cancelled),
    Phase("while the next process recovers",    while_it_recovers),
    Phase("at any moment",                      at_any_moment),
)
# fmt: on


def kill_in(scene: Scene, phase: Phase) -> None:
    """Submit runs, kill the studio in a phase of them, and start it again."""
    if scene.count("runs", UNFINISHED) <= MOST_UNFINISHED:
        scene.submit(RUNS)
    phase.kill(scene)
    scene.studio.process.wait(60)
    scene.start()
