"""The chaos: clients submit and cancel runs, and faults happen to hosts, for some minutes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from threading import BoundedSemaphore, Event, Thread
from time import monotonic

from .faults import FaultKind
from .lab import Lab

CANCELLED = 0.05  # the share of runs whose cancellation is asked for
CLIENTS = 6  # that submit runs, so that one who waits for an answer does not hold up the others
BURST = 8  # runs that a client submits at once, at most: so that some wait, and every host has several
REPORT_INTERVAL = 10.0  # seconds


class Chaos:
    """Load and faults, on threads of their own.

    Args:
        lab: The lab, started.
        kinds: The kinds of faults.
        runs: How many runs are submitted.
        seconds: In how many seconds.
        seed: Where all choices come from.
        report: Called with a line about how far it is.
    """

    def __init__(
        self,
        lab: Lab,
        kinds: Sequence[FaultKind],
        *,
        runs: int,
        seconds: float,
        seed: int,
        report: Callable[[str], None],
    ) -> None:
        self._lab = lab
        self._kinds = kinds
        self._runs = runs
        self._seconds = seconds
        self._seed = seed
        self._report = report
        self._ending = Event()
        # One host is left to go on, and where all break all the same, a rule knows of it.
        self._broken_at_once = BoundedSemaphore(max(1, len(lab.hosts) - 1))
        self._failures: list[BaseException] = []

    def run(self) -> None:
        """Return when the time is over, all runs are submitted, and all that was broken is whole again.

        Raises:
            Exception: A fault could not be put right, as a host that does not start.
        """
        own = [kind for kind in self._kinds if not kind.is_common]
        common = [kind for kind in self._kinds if kind.is_common]
        threads = [Thread(target=self._submit, args=(client,), daemon=True) for client in range(CLIENTS)]
        if own:
            threads += [Thread(target=self._break, args=(name, own, 2.0), daemon=True) for name in self._lab.hosts]
        if common:
            threads += [Thread(target=self._break, args=(next(iter(self._lab.hosts)), common, 12.0), daemon=True)]
        began = monotonic()
        for thread in threads:
            thread.start()
        while monotonic() < began + self._seconds and not self._failures:
            self._ending.wait(min(REPORT_INTERVAL, self._seconds / 4))
            self._lab.note_crashes()
            self._report(f"{monotonic() - began:6.0f} s: {self._lab.status()}")
        self._ending.set()
        for thread in threads:
            thread.join()
        if self._failures:
            raise self._failures[0]

    def _submit(self, client: int) -> None:
        rng = Random(f"{self._seed} client {client}")
        left = len(range(client, self._runs, CLIENTS))
        interval = self._seconds / max(1, left)
        while left:
            burst = min(left, rng.randint(1, BURST))
            left -= burst
            for _ in range(burst):
                self._lab.submit()
            if rng.random() < CANCELLED * burst:
                self._ending.wait(rng.uniform(0.0, 2.0))
                self._lab.cancel_one()
            self._ending.wait(burst * interval * rng.uniform(0.5, 1.4))

    def _break(self, name: str, kinds: Sequence[FaultKind], pause: float) -> None:
        rng = Random(f"{self._seed} {name} {kinds[0].name}")
        while not self._ending.wait(self._lab.lease * pause * rng.uniform(0.3, 1.7)):
            kind = rng.choice(kinds)
            try:
                if kind.is_common:
                    kind.inject(self._lab, self._lab.hosts[name], rng)
                else:
                    with self._broken_at_once:
                        if not self._ending.is_set():
                            kind.inject(self._lab, self._lab.hosts[name], rng)
            except BaseException as failure:
                self._failures.append(failure)
                return
