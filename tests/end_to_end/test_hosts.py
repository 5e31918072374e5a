"""Three hosts share a database while one dies, one is cut off, one is restarted and one upgraded: nothing is lost.

The long form, at random: `make chaos-hosts`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from time import monotonic

import pytest

from tests.support.wait import wait_until
from tools.chaos_hosts.history import History
from tools.chaos_hosts.lab import Lab, open_lab
from tools.chaos_hosts.report import describe
from tools.chaos_hosts.rules import RECOVERY_TIME, Violation
from tools.chaos_hosts.story import Story

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

LEASE = 4.0
RUNS = 60
KILLED, CUT_OFF, RESTARTED = "hosta", "hostb", "hostc"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with open_lab((KILLED, CUT_OFF, RESTARTED), 5, lease=LEASE, step_time=0.5) as lab:
        lab.start()
        yield lab
        for host in lab.hosts.values():
            print(f"{host.name}:\n{host.output}")  # noqa: T201  # shown with a failure


@pytest.fixture(scope="module")
def violations(lab: Lab) -> list[Violation]:
    """Have all of it happen, and return what breaks a rule."""
    keep_busy(lab, *lab.hosts)
    with lab.fault("cut-long", CUT_OFF):
        began = monotonic()
        when_it_holds(lab, CUT_OFF, lab.hosts[CUT_OFF].link.cut, lab.hosts[CUT_OFF].link.heal)
        when_it_holds(lab, KILLED, lab.hosts[KILLED].freeze, lab.hosts[KILLED].thaw)
        lab.begin_fault("kill", KILLED)
        lab.hosts[KILLED].kill()
        submit(lab, 10, RESTARTED)
        wait_until(lambda: not any(map(lab.recorder.is_holding, (KILLED, CUT_OFF))), within=LEASE + RECOVERY_TIME)
        wait_until(lambda: monotonic() > began + 1.5 * LEASE)
        lab.hosts[CUT_OFF].link.heal()
    keep_busy(lab, CUT_OFF, RESTARTED)
    with lab.fault("restart", RESTARTED):
        lab.hosts[RESTARTED].restart()
    keep_busy(lab, CUT_OFF, RESTARTED)
    with lab.fault("upgrade", CUT_OFF):
        lab.hosts[CUT_OFF].restart(version="2")
    submit(lab, max(10, RUNS - lab.accepted), CUT_OFF, RESTARTED)
    return lab.settle()


@pytest.fixture(scope="module")
def history(lab: Lab, violations: list[Violation]) -> History:
    return lab.history()


def submit(lab: Lab, count: int, *names: str) -> None:
    for _ in range(count):
        assert lab.submit(names) is not None


def keep_busy(lab: Lab, *names: str) -> None:
    """Submit runs until each of these hosts holds one."""
    submit(lab, 8, *names)
    deadline = monotonic() + 60
    while not all(map(lab.recorder.is_holding, names)):
        assert monotonic() < deadline, f"not all of {names} take runs"
        submit(lab, 1, *names)


def when_it_holds(lab: Lab, name: str, strike: Callable[[], None], undo: Callable[[], None]) -> None:
    """Strike a host while it holds a run; what it holds cannot change from then on."""

    def is_struck() -> bool:
        strike()
        if lab.recorder.is_holding(name):
            return True
        undo()
        return False

    wait_until(is_struck)


def test_no_rule_is_broken(history: History, violations: list[Violation]) -> None:
    assert not violations, describe(history, violations)


def test_every_run_is_completed(history: History) -> None:
    story = Story(history)
    statuses = [story.status_of(run) for run in story.changes]
    assert len(statuses) >= RUNS
    assert set(statuses) == {"completed"}


def test_the_runs_of_the_dead_host_and_of_that_which_was_cut_off_were_taken_by_others(history: History) -> None:
    story = Story(history)
    for name in (KILLED, CUT_OFF):
        assert any(
            earlier.host == name != later.host
            for claims in story.claims.values()
            for earlier, later in pairwise(claims)
        ), name


def test_the_raised_version_ran_workflows_beside_the_one_before(lab: Lab, history: History) -> None:
    [upgraded] = [fault for fault in history.faults if fault.kind == "upgrade"]
    later = {change.host for change in history.holders if change.at > upgraded.ended and change.status == "PENDING"}
    assert later == {CUT_OFF, RESTARTED}
