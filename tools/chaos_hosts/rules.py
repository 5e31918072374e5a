"""The rules that a history of hosts has to follow, each a function that yields what breaks it.

They are functions of the history alone: one that breaks a rule can be written down, as the tests do.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf

from .history import ENDED, PENDING, History, ModelCall
from .story import Story

RECOVERY_TIME = 30.0
"""Seconds beyond the lease in which a run ends whose holder is gone."""

_NOTICE_TIME = 0.3  # seconds that a process takes to notice that it is stopped or cancelled, at most
_CANCEL_TIME = 2.5  # seconds that a cancellation takes to reach the process that has the run, at most


@dataclass(frozen=True)
class Violation:
    """One thing that breaks a rule."""

    rule: str
    about: str


def judge(history: History) -> list[Violation]:
    """Return all that breaks a rule."""
    story = Story(history)
    return [Violation(name, about) for name, rule in RULES.items() for about in rule(story)]


def one_run_a_key(story: Story) -> Iterator[str]:
    """Yield the keys that have two runs, and the accepted submissions whose run is not there."""
    runs = defaultdict(set)
    for run, key in story.history.keys.items():
        runs[key].add(run)
    for submission in story.history.submissions:
        runs[submission.key].add(submission.run)
        if submission.run not in story.history.keys:
            yield f"{submission.run} was accepted and is not stored"
    yield from (f"{key} has {len(ids)} runs: {', '.join(sorted(ids))}" for key, ids in runs.items() if len(ids) > 1)


def begun_once(story: Story) -> Iterator[str]:
    """Yield the runs that were set to running more than once."""
    for run, changes in story.changes.items():
        if (begun := sum(change.status == "running" for change in changes)) > 1:
            yield f"{run} was begun {begun} times"


def ended_once(story: Story) -> Iterator[str]:
    """Yield the runs that have not ended, those that ended twice or went on, and those that had no reason to fail."""
    cancelled = {each.run for each in story.history.cancellations}
    for run, changes in story.changes.items():
        statuses = [change.status for change in changes]
        ends = [status for status in statuses if status in ENDED]
        if not ends:
            yield f"{run} has not ended: {' > '.join(statuses)}"
        elif len(ends) > 1 or statuses[-1] not in ENDED:
            yield f"{run} ended {len(ends)} times: {' > '.join(statuses)}"
        elif ends[0] != "completed" and not (ends[0] == "cancelled" and run in cancelled):
            yield f"{run} is {ends[0]}, for no reason that is known"


def one_holder(story: Story) -> Iterator[str]:
    """Yield the model calls by a host that did not hold the run, or whose run another host had taken meanwhile."""
    for call in story.history.calls:
        held = story.holding_at(call.run, call.began)
        if held is None or held.host != call.host:
            holder = "nobody" if held is None else held.host
            yield f"{call.host} asked for {call.run}/{call.step} at {call.began:.2f}, while {holder} held it"
            continue
        for claim in story.claims[call.run]:
            if (
                call.began < claim.at < call.ended
                and claim.host != call.host
                and story.suspension_at(call.host, claim.at) is None
            ):
                yield (
                    f"{claim.host} took {call.run} at {claim.at:.2f}, while {call.host} asked for {call.step}"
                    f" ({call.began:.2f} to {call.ended:.2f})"
                )


def total_held(story: Story) -> Iterator[str]:
    """Yield the moments at which a run was claimed though all hosts together held as many as they may."""
    held: set[str] = set()
    limit = story.history.total
    for change in story.history.holders:
        if change.status != PENDING:
            held.discard(change.run)
        elif change.run not in held:
            held.add(change.run)
            if limit is not None and len(held) > limit:
                yield f"{change.host} took {change.run} at {change.at:.2f}: {len(held)} are held, {limit} may be"


def ended_in_time(story: Story) -> Iterator[str]:
    """Yield the runs that ended later than a lease and `RECOVERY_TIME` after their last fault, or after their claim."""
    limit = story.history.lease + RECOVERY_TIME
    for run in story.changes:
        if (claims := story.claims[run]) and (
            late := story.end_of(run) - story.last_set_back(run, claims[0].at)
        ) > limit:
            yield f"{run} ended {late:.1f} s after its claim and its last fault; {limit:g} s are allowed"


def no_step_twice(story: Story) -> Iterator[str]:
    """Yield the steps that were asked for again, other than those that a fault had broken off."""
    stored: dict[tuple[str, str], float] = {}
    for each in story.history.steps:
        stored.setdefault((each.run, each.step), each.at)
    calls = defaultdict(list)
    for call in sorted(story.history.calls, key=lambda call: call.began):
        calls[call.run, call.step].append(call)
    for (run, step), asked in calls.items():
        for first, second in pairwise(asked):
            claim = story.claim_before(run, second.began)
            if claim is not None and stored.get((run, step), inf) < claim.at:
                yield f"{run}/{step} was stored at {stored[run, step]:.2f}, and asked for again by {second.host}"
            elif not story.is_disturbed(first.host, first.began, second.began):
                yield f"{run}/{step} was asked for by {first.host}, and without any fault by {second.host}"


def tokens_are_stored(story: Story) -> Iterator[str]:
    """Yield the answers that were sent and are not stored, or are stored twice, or were never sent."""
    calls = {call.number: call for call in story.history.calls}
    for number, times in story.stored.items():
        if times > 1:
            yield f"answer {number} is stored {times} times"
        if number not in calls:
            yield f"{number} prompt tokens are stored, and no such answer was asked for"
    for number, call in calls.items():
        if call.is_sent and number not in story.stored and not may_be_lost(story, call):
            yield f"answer {number} to {call.host} for {call.run}/{call.step} is not stored"


def tokens_are_counted(story: Story) -> Iterator[str]:
    """Yield the hosts whose counters of tokens are not what the model server has sent them."""
    for counted in story.history.counted:
        sent = [call for call in story.sent() if call.host == counted.host]
        certain = [
            call
            for call in sent
            if call.is_sent
            and not may_be_lost(story, call)
            and (counted.is_alive or call.ended < counted.at - _NOTICE_TIME)
        ]
        for name, told, least, most in (
            ("prompt", counted.prompt_tokens, sum(c.number for c in certain), sum(c.number for c in sent)),
            (
                "completion",
                counted.completion_tokens,
                sum(c.completion_tokens for c in certain),
                sum(c.completion_tokens for c in sent),
            ),
        ):
            if not least <= told <= most:
                yield f"{counted.host} counts {told} {name} tokens, and {most} were sent to it, {least} for certain"


def runs_are_counted(story: Story) -> Iterator[str]:
    """Yield the statuses of which the hosts together count more or fewer runs than are stored."""
    changes = [change for of_run in story.changes.values() for change in of_run]
    # A run that ends in the queue begins and ends at once.
    changes += [
        replace(change, status="running")
        for of_run in story.changes.values()
        for before, change in pairwise(of_run)
        if before.status == "queued" and change.status in ENDED
    ]
    stored = Counter(change.status for change in changes)
    unseen = Counter(change.status for change in changes if story.may_be_uncounted(change.run, change.at))
    told = Counter({"running": sum(counted.started for counted in story.history.counted)})
    for counted in story.history.counted:
        told.update(counted.ended)
    for status in sorted({"running", *ENDED}):
        if not stored[status] - unseen[status] <= told[status] <= stored[status]:
            name = "started" if status == "running" else status
            yield f"{told[status]} runs are counted as {name}, and {stored[status]} are stored"


def cancelled_for_good(story: Story) -> Iterator[str]:
    """Yield the runs whose cancellation was confirmed and which ended otherwise."""
    for each in story.history.cancellations:
        if each.status == 200 and each.run in story.changes and story.status_of(each.run) != "cancelled":
            yield f"{each.run} was cancelled, and is {story.status_of(each.run)}"


def no_crash(story: Story) -> Iterator[str]:
    """Yield the hosts whose process ended by itself."""
    yield from story.history.crashes


def may_be_lost(story: Story, call: ModelCall) -> bool:
    """Return whether an answer that was sent may be unknown to the studio.

    Its process was killed as it came; or it waited for the database when it was killed, and no other has its folder;
    or its run was stopped as it came. One that came while its process was suspended is read when that goes on.
    """
    faults = story.faults_of(call.host)
    for kill in (fault for fault in faults if fault.kind == "kill" and call.began <= fault.began):
        waited = story.is_gone(call.host) and any(
            other.overlaps(call.ended, call.ended) and kill.began <= other.ended + 1 for other in faults
        )
        if waited or kill.began <= call.ended + 1:
            return True
    earliest, latest = call.ended - _NOTICE_TIME, call.ended + _NOTICE_TIME
    stopped = any(earliest <= fault.began <= latest for fault in faults if fault.kind != "freeze")
    cancelled = any(
        each.run == call.run and call.ended - _CANCEL_TIME <= each.at <= latest for each in story.history.cancellations
    )
    return stopped or cancelled or (not call.is_read and story.is_disturbed(call.host, call.began, call.ended))


# fmt: off
RULES: dict[str, Callable[[Story], Iterator[str]]] = {
    "one run a key":      one_run_a_key,
    "begun once":         begun_once,
    "ended once":         ended_once,
    "one holder":         one_holder,
    "total held":         total_held,
    "ended in time":      ended_in_time,
    "no step twice":      no_step_twice,
    "tokens stored":      tokens_are_stored,
    "tokens counted":     tokens_are_counted,
    "runs counted":       runs_are_counted,
    "cancelled for good": cancelled_for_good,
    "no crash":           no_crash,
}
# fmt: on
