"""A run is cancelled within two seconds through any host that lives, whatever the one does that has it."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from threading import Event
from time import monotonic, sleep

import pytest

from tests.support.hosts import Host
from tests.support.two_hosts import TwoHosts, start_on, two_hosts
from tests.support.wait import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

LIMIT = 2.0  # seconds
LEASE = 15.0  # which nobody waits for
ANSWER = 11 + 7  # tokens of an answer


def cancel(hosts: TwoHosts, product: str, through: Host) -> float:
    """Cancel a run and return the seconds that it took until the API said so.

    Those are left out that the machine's other work took: what a cancellation does in the database takes as long as ten
    requests for a run, a twentieth of a second on a machine with none.
    """
    began = monotonic()
    answer = through.post(f"/api/v1/runs/{hosts.runs[product]}/cancel", within=20)
    ended = monotonic()
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled"), answer.text
    for _ in range(10):
        assert hosts.run(product, through)["status"] == "cancelled"
    return ended - began - (monotonic() - ended)


def total(hosts: TwoHosts, name: str) -> float:
    return sum(host.studio.total(name) for host in hosts.cluster.hosts.values() if host.studio is not None)


def wait_for_sums(hosts: TwoHosts, *, started: int) -> None:
    """Wait until all hosts together have counted as many ends as starts, and the tokens that are stored."""

    def found() -> tuple[float, float, float, float]:
        names = ("workflows_started_total", "workflows_total", "active_workflows", "workflow_tokens_total")
        begun, ended, active, tokens = (total(hosts, name) for name in names)
        [[stored]] = hosts.rows("SELECT coalesce(sum(prompt_tokens + completion_tokens), 0) FROM attempts")
        return begun, ended, active, tokens - stored

    wait_until(lambda: found() == (started, started, 0, 0), every=0.1)
    sleep(1.5)  # nothing more is counted
    assert found() == (started, started, 0, 0)


def held_by_the_first(hosts: TwoHosts, delay: float) -> str:
    """Start a run on the first host, then the second host; return the run's product while its first call lasts."""
    hosts.first.start()
    hosts.second.start()
    hosts.second.freeze()
    hosts.model.delay = delay
    [product] = start_on(hosts, hosts.first)
    hosts.second.thaw()
    assert hosts.holder(product) == "hosta"
    return product


def answer_now(hosts: TwoHosts) -> None:
    """Have the model give the first answer, and wait until it has."""
    assert hosts.model.may_answer is not None
    hosts.model.may_answer.set()
    wait_until(lambda: hosts.tally.completed == 1)


def states(hosts: TwoHosts, product: str) -> list[tuple[str, str]]:
    return hosts.rows(
        "SELECT runs.status, dbos.workflow_status.status FROM runs JOIN dbos.workflow_status"
        f" ON workflow_uuid = runs.id WHERE runs.id = '{hosts.runs[product]}'"
    )


def test_a_run_of_a_host_that_was_killed(tmp_path: Path) -> None:
    with two_hosts(tmp_path, lease=LEASE) as hosts:
        product = held_by_the_first(hosts, 600.0)
        hosts.first.kill()
        assert cancel(hosts, product, hosts.second) < LIMIT
        assert f"run {hosts.runs[product]} is ended as cancelled here: hosta-" in hosts.second.output
        hosts.first.start()
        wait_for_sums(hosts, started=1)
        assert states(hosts, product) == [("cancelled", "CANCELLED")]
        assert hosts.model.calls(product) == {"hosta": 1}, "nobody goes on with it"


def test_a_run_of_a_host_that_is_suspended_whose_answer_is_paid(tmp_path: Path) -> None:
    """The answer has come when the host goes on: it counts, and nothing else does."""
    with two_hosts(tmp_path, lease=LEASE) as hosts:
        hosts.model.may_answer = Event()
        product = held_by_the_first(hosts, 0.0)
        hosts.first.freeze()
        assert cancel(hosts, product, hosts.second) < LIMIT
        assert hosts.rows("SELECT FROM attempts") == []
        answer_now(hosts)
        hosts.first.thaw()
        wait_until(lambda: f"run {hosts.runs[product]} was cancelled by another process" in hosts.first.output)
        wait_for_sums(hosts, started=1)
        assert total(hosts, "workflow_tokens_total") == ANSWER
        assert states(hosts, product) == [("cancelled", "CANCELLED")]
        assert hosts.model.calls(product) == {"hosta": 1}, "it begins no call any more"
        assert [step["status"] for step in hosts.run(product, hosts.second)["steps"]] == ["cancelled"]


def test_a_run_of_a_host_that_is_suspended_for_longer_than_its_lease(tmp_path: Path) -> None:
    with two_hosts(tmp_path, lease=3) as hosts:
        hosts.model.may_answer = Event()
        product = held_by_the_first(hosts, 0.0)
        hosts.first.freeze()
        assert cancel(hosts, product, hosts.second) < LIMIT
        answer_now(hosts)
        sleep(3.5)
        hosts.first.thaw()
        wait_until(lambda: "the lease on the database is renewed" in hosts.first.output)
        wait_for_sums(hosts, started=1)
        assert total(hosts, "workflow_tokens_total") == ANSWER
        assert hosts.model.calls(product) == {"hosta": 1}


def test_a_run_of_a_host_that_is_cut_off_from_the_database(tmp_path: Path) -> None:
    with two_hosts(tmp_path, lease=LEASE) as hosts:
        product = held_by_the_first(hosts, 1.0)
        hosts.first.link.cut()
        assert cancel(hosts, product, hosts.second) < LIMIT
        hosts.first.link.heal()
        wait_for_sums(hosts, started=1)
        assert states(hosts, product) == [("cancelled", "CANCELLED")]
        assert sum(hosts.model.calls(product).values()) == 1


def test_a_run_of_a_host_that_lives_at_any_moment_of_its_steps(tmp_path: Path) -> None:
    """That host is told, and ends it itself."""
    with two_hosts(tmp_path, lease=LEASE, concurrency=4) as hosts:
        hosts.first.start()
        hosts.second.start()
        hosts.model.delay = 1.0
        took = []
        for number in range(20):
            product = hosts.submit(hosts.first)
            hosts.wait_for_calls(product, 1)
            other = hosts.second if hosts.holder(product) == "hosta" else hosts.first
            sleep(0.1 * (number % 11))  # the moment of the cancellation, not a wait for something
            took.append(cancel(hosts, product, other))
            assert hosts.run(product, hosts.first)["status"] == hosts.run(product, hosts.second)["status"]
        assert max(took) < LIMIT, took
        assert median(took) < LIMIT / 2, took
        output = hosts.first.output + hosts.second.output
        assert "taken over" not in output
        assert "ERROR" not in output  # all is well, also to the workflow engine
        wait_for_sums(hosts, started=20)


def test_an_answer_that_a_host_finds_when_it_goes_on_after_its_lease_is_paid_beside_that_of_the_host_that_has_its_run(
    tmp_path: Path,
) -> None:
    with two_hosts(tmp_path, lease=3) as hosts:
        product = held_by_the_first(hosts, 1.0)
        hosts.first.freeze()
        hosts.wait_for_calls(product, 2)  # the other one has taken the run over
        hosts.first.thaw()
        run = hosts.wait_for_end(product, hosts.second)
        assert (run["status"], {step["status"] for step in run["steps"]}) == ("completed", {"success"})
        assert hosts.model.calls(product) == {"hosta": 1, "hostb": 3}
        wait_until(lambda: total(hosts, "workflow_tokens_total") == 4 * ANSWER)
        wait_for_sums(hosts, started=1)
