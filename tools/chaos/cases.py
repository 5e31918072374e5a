"""The cases: a fault while runs are under way, or a number of kills, and what has to be true after it."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic

import httpx

from tests.support.wait import wait_until

from .books import Books, balance
from .faults import Fault, last
from .kills import PHASES, kill_in
from .scene import Scene
from .small_disk import NoSmallDisk

RUNS = 8  # that are submitted before the fault
SETTLE = 20.0  # seconds for the numbers of several processes to meet
END = 180.0  # seconds for all runs to end; most take a few


@dataclass
class Outcome:
    """The figures of a case.

    Attributes:
        fault: The name of the fault, or of the kills.
        database: sqlite or postgresql.
        workers: How many processes served.
        accepted: How many runs were stored, whether or not the answer that they are accepted came back.
        refused: How many submissions were refused, or got no answer.
        seconds: How long it took from the end of the fault until all runs had ended.
        books: The books after it, of this case and all before it on the same studio.
        ends: How many runs ended since the case began, by status.
        faults: What is not as it should be; empty where the case passed.
        skipped: Why it was not tried; empty where it was.
    """

    fault: str
    database: str
    workers: int
    accepted: int = 0
    refused: int = 0
    seconds: float = 0.0
    books: Books | None = None
    ends: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    skipped: str = ""


def try_fault(scene: Scene, fault: Fault) -> Outcome:
    """Try a fault while runs are under way, and compare the books when all have ended."""
    outcome = _begin(scene, fault.name)
    ends_before, stored_before = balance(scene).ends, scene.count("runs")
    refused, cancelled = scene.refused, scene.cancelled
    asked = len(scene.model.answers)
    scene.submit(RUNS)
    wait_until(lambda: len(scene.model.answers) > asked + 1, within=60)
    try:
        with fault.inject(scene):
            last(scene, fault.seconds)
    except NoSmallDisk as reason:
        outcome.skipped = str(reason)
    over = monotonic()
    wait_until(lambda: is_healthy(scene), within=90, every=0.1)
    scene.submit()
    if fault.inject.__name__ != "nothing":
        scene.cancel_one()
    scene.wait_until_ended(END)
    outcome.seconds = monotonic() - over
    outcome.accepted, outcome.refused = scene.count("runs") - stored_before, scene.refused - refused
    _close(scene, outcome, uncertain=scene.cancelled - cancelled)
    assert outcome.books is not None
    outcome.ends = {status: number - ends_before[status] for status, number in outcome.books.ends.items()}
    if not fault.fails_runs and (others := outcome.ends["failed"] + outcome.ends["abandoned"]):
        outcome.faults.append(f"{others} runs failed: {_errors(scene)}")
    return outcome


def try_kills(scene: Scene, count: int) -> Outcome:
    """Kill so many times, in each phase in turn, and compare the books when all runs have ended."""
    outcome = _begin(scene, f"{count} kills")
    began = monotonic()
    for number in range(count):
        phase = PHASES[number % len(PHASES)]
        kill_in(scene, phase)
        print(f"    [{number + 1}/{count}] {monotonic() - began:6.1f} s  {phase.name}", flush=True)
    over = monotonic()
    scene.wait_until_ended(END)
    outcome.seconds = monotonic() - over
    outcome.accepted, outcome.refused = scene.count("runs"), scene.refused
    _close(scene, outcome, uncertain=scene.cancelled)
    assert outcome.books is not None
    outcome.ends = dict(outcome.books.ends)
    unknown = len(scene.model.answers) - outcome.books.stored - outcome.books.interrupted - scene.cancelled
    if unknown > 0:
        outcome.faults.append(f"of {unknown} requests to the model nothing is known")
    if others := outcome.ends["failed"] + outcome.ends["abandoned"]:
        outcome.faults.append(f"{others} runs failed: {_errors(scene)}")
    return outcome


def is_healthy(scene: Scene) -> bool:
    """Return whether the studio's health check passes."""
    try:
        return scene.studio.client.get("/health", timeout=5.0).status_code == 200
    except httpx.HTTPError:
        return False


def _begin(scene: Scene, name: str) -> Outcome:
    return Outcome(name, "sqlite" if scene.server is None else "postgresql", scene.workers)


def _close(scene: Scene, outcome: Outcome, uncertain: int) -> None:
    """Compare the books, for some seconds until they agree.

    Args:
        scene: The scene.
        outcome: Gets the books, and what does not agree.
        uncertain: How many calls may have been cut off as their answer was sent, because a run was cancelled.
    """
    deadline = monotonic() + SETTLE
    while True:
        books = outcome.books = balance(scene)
        missing = books.unread + books.lost
        if missing > books.interrupted + uncertain:
            books.faults.append(f"{missing} answers are not stored, {books.interrupted} are known to be interrupted")
        if not books.faults or monotonic() > deadline:
            break
    outcome.faults += books.faults


def _errors(scene: Scene) -> str:
    rows = scene.rows("SELECT DISTINCT error FROM runs WHERE status IN ('failed', 'abandoned')")
    return "; ".join(str(error) for (error,) in rows)
