"""A history that is indexed: who held a run when, and which faults touched what."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf

from .history import ENDED, PENDING, Fault, History, HolderChange, ModelCall, RunChange

_OVER = frozenset({"CANCELLED", "SUCCESS", "ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"})
"""Statuses by which a workflow stays with its last holder: nobody else takes it."""
_RENEWAL_TIME = 2.0  # seconds after a fault until a lease is renewed, at most
_SCRAPED_LATE = 0.5  # seconds before its last scrape in which what a host did may be missing there


@dataclass(frozen=True)
class Wait:
    """A wait of a run in the queue: its place, which is a moment, when the wait began and when it ended, and how."""

    run: str
    place: float
    began: float
    ended: float
    is_claimed: bool


class Story:
    """A history, with what the rules ask of it.

    Attributes:
        history: The history.
        changes: The changes of each run.
        claims: The changes by which a host became the holder of each run.
        stored: How often each answer is stored, by its number.
    """

    def __init__(self, history: History) -> None:
        self.history = history
        self.changes: defaultdict[str, list[RunChange]] = defaultdict(list)
        self.claims: defaultdict[str, list[HolderChange]] = defaultdict(list)
        self.stored = Counter(each.prompt_tokens for each in history.attempts if each.prompt_tokens)
        self._holders: defaultdict[str, list[HolderChange]] = defaultdict(list)
        self._faults: defaultdict[str, list[Fault]] = defaultdict(list)
        for change in history.changes:
            self.changes[change.run].append(change)
        for holder in history.holders:
            self._holders[holder.run].append(holder)
            if holder.status == PENDING:
                self.claims[holder.run].append(holder)
        self._common = [fault for fault in history.faults if not fault.host]
        self._common += self._without_any_host()
        self._waits = [wait for run in self._holders for wait in self._waits_of(run)]
        for fault in [*(fault for fault in history.faults if fault.host), *self._common]:
            for host in [fault.host] if fault.host else history.hosts:
                self._faults[host].append(fault)

    def sent(self) -> Iterator[ModelCall]:
        """Yield the calls whose usage was sent: it comes before the end of an answer, and the client may leave then."""
        yield from (call for call in self.history.calls if call.is_sent or call.number in self.stored)

    def faults_of(self, host: str) -> list[Fault]:
        """Return the faults of a host, and those of all hosts."""
        return self._faults[host]

    def is_disturbed(self, host: str, began: float, ended: float) -> bool:
        """Return whether a host had a fault between two moments, or felt one that was over.

        A lease that nothing could renew may lapse before the next renewal. And after packets have vanished for some
        seconds, TCP may wait as long again until it sends the next: it doubles its waits (RFC 6298, 5.5).
        """
        return any(
            fault.overlaps(began - _RENEWAL_TIME - (fault.ended - fault.began if fault.is_cut else 0.0), ended)
            for fault in self._faults[host]
        )

    def suspension_at(self, host: str, at: float) -> Fault | None:
        """Return the fault by which a host's process was suspended at a moment."""
        return next((fault for fault in self._faults[host] if fault.kind == "freeze" and fault.overlaps(at, at)), None)

    def claim_before(self, run: str, at: float) -> HolderChange | None:
        """Return the last claim of a run before a moment."""
        return next((claim for claim in reversed(self.claims[run]) if claim.at <= at), None)

    def holding_at(self, run: str, at: float) -> HolderChange | None:
        """Return the claim by which a run is held at a moment; None where it is queued or deleted."""
        change = next((change for change in reversed(self._holders[run]) if change.at <= at), None)
        if change is None or change.status not in {PENDING, *_OVER}:
            return None
        return self.claim_before(run, at)

    def status_of(self, run: str) -> str:
        """Return the status that a run has in the end."""
        return self.changes[run][-1].status

    def end_of(self, run: str) -> float:
        """Return when a run ended, or the moment of the history where it has not."""
        return next((change.at for change in self.changes[run] if change.status in ENDED), self.history.at)

    def last_set_back(self, run: str, since: float) -> float:
        """Return when a run could go on after the last thing that held it up, or ``since`` where that is later.

        A fault that is over within the lease holds a run up until its end. During a longer one others take the run,
        unless it is all hosts'. A run that is in the queue again has to let those pass that are before it.
        """
        moments = [since]
        for host, began, ended in self._held(run):
            for fault in self._faults[host]:
                if fault.overlaps(began, ended):
                    is_over_soon = not fault.host or fault.ended - fault.began <= self.history.lease
                    moments.append(fault.ended if is_over_soon else fault.began)
        moments += [fault.ended for fault in self._common if fault.overlaps(since, self.end_of(run))]
        moments += [self._turn_of(wait) for wait in self._waits if wait.run == run]
        return max(moments)

    def is_gone(self, host: str) -> bool:
        """Return whether a host's process was killed, and none has come in its place."""
        return any(counted.host == host and not counted.is_alive for counted in self.history.counted)

    def may_be_uncounted(self, run: str, at: float) -> bool:
        """Return whether a run's change at a moment may be missing in the counters: its host died with them."""
        holder = self.claim_before(run, at)
        return holder is not None and any(
            counted.host == holder.host and not counted.is_alive and at > counted.at - _SCRAPED_LATE
            for counted in self.history.counted
        )

    def _held(self, run: str) -> Iterator[tuple[str, float, float]]:
        """Yield each host that held a run, with when that began and ended."""
        changes = self._holders[run]
        for place, change in enumerate(changes):
            if change.status == PENDING:
                ended = changes[place + 1].at if place + 1 < len(changes) else self.history.at
                yield change.host, change.at, ended

    def _waits_of(self, run: str) -> Iterator[Wait]:
        place = began = None
        for change in self._holders[run]:
            if change.status == "ENQUEUED":
                began = change.at if began is None else began
                place = change.at if place is None else place
            elif change.status in {PENDING, "DELETED"} and place is not None and began is not None:
                yield Wait(run, place, began, change.at, change.status == PENDING)
                began = None
            if change.status == "DELETED":
                place = None

    def _turn_of(self, wait: Wait) -> float:
        """Return when the last run was claimed that was before another in the queue; -infinity where none was."""
        before = [each for each in self._waits if each.is_claimed and each.place < wait.place]
        return max((each.ended for each in before if wait.began <= each.ended <= wait.ended), default=-inf)

    def _without_any_host(self) -> Iterator[Fault]:
        """Yield the times at which no host was without a fault, each as a fault of all hosts."""
        faults = [replace(fault, ended=min(fault.ended, self.history.at)) for fault in self.history.faults]
        edges = sorted({edge for fault in faults for edge in (fault.began, fault.ended)})
        for began, ended in pairwise(edges):
            broken = {fault.host for fault in faults if fault.began <= began and ended <= fault.ended}
            if "" in broken or broken >= set(self.history.hosts):
                yield Fault("no host", "", began, ended)
