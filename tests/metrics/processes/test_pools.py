"""Every event in a pool's processes is counted once, however they are started and end."""

from __future__ import annotations

import pytest

from tests.support.page_processes import PageFolder, samples_of

pytestmark = pytest.mark.slow

START_METHODS = ["fork", "forkserver", "spawn"]
TASK = ("tasks_total", "success", "square")


@pytest.mark.parametrize("start_method", START_METHODS)
def test_what_pools_and_their_parent_count_is_counted_once(start_method: str, programs: PageFolder) -> None:
    shown = samples_of(programs.run("pools.py", start_method))
    assert shown[TASK] == 22
    assert shown["tasks_started_total", "square"] == 22
    assert shown["task_duration_seconds_count", "square"] == 22
    assert shown["active_tasks", "square"] == 0
    assert {key: value for key, value in shown.items() if key[0] == "worker_file_faults_total" and value} == {}


KILLED = """
import multiprocessing, os, signal, sys
from sparklio.metrics import render
from counting import registry, task_run
from work import square

def die(number):
    square(number)
    with task_run(task="square"):
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    for number in range(2):
        child = multiprocessing.get_context(sys.argv[1]).Process(target=die, args=(number,))
        child.start()
        child.join()
        assert child.exitcode == -signal.SIGKILL
    print(render(registry).decode())
"""


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_what_killed_children_counted_is_kept_and_what_they_had_begun_is_not_in_flight(
    start_method: str, programs: PageFolder
) -> None:
    (programs.path / "killed.py").write_text(KILLED)
    shown = samples_of(programs.run("killed.py", start_method))
    assert (shown[TASK], shown["tasks_started_total", "square"]) == (2, 4)
    assert shown.get(("active_tasks", "square"), 0) == 0


TWICE = """
import multiprocessing, sys
from counting import ROWS, registry, workers
from prometheus_client import CollectorRegistry
from sparklio.metrics import Workers, render, subscribe
from work import square

def start():
    global own
    own = CollectorRegistry()
    subscribe(ROWS, own, namespace="acme", label_limits={"task": 50}, workers=Workers(workers.folder))

if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(2, initializer=start) as pool:
        pool.map(square, range(10), chunksize=1)
    print(render(registry).decode())
"""


def test_a_second_subscription_in_a_forked_child_counts_once_and_is_logged(programs: PageFolder) -> None:
    (programs.path / "twice.py").write_text(TWICE)
    with programs.started("-W", "error", "twice.py") as process:
        assert process.wait(60) == 0
    log = (programs.path / "log").read_text()
    assert samples_of(log[log.index("# HELP") :])[TASK] == 10
    assert "subscribed before it was forked, and again after that" in log


GUARDED = """
import multiprocessing, sys
import work_without_counting

if __name__ == "__main__":
    from counting import registry
    from sparklio.metrics import render
    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
        pool.map(work_without_counting.square, range(10))
    print(render(registry).decode())
"""
UNCOUNTED = """
from sparklio.events import tool_called

def square(number):
    tool_called.emit(tool_name="square", status="success", duration=0.1)
"""


@pytest.mark.parametrize(("start_method", "counted"), [("fork", 10), ("spawn", 0)])
def test_a_subscription_behind_the_guard_of_the_main_module_is_not_in_a_spawned_child(
    start_method: str, counted: int, programs: PageFolder
) -> None:
    (programs.path / "guarded.py").write_text(GUARDED)
    (programs.path / "work_without_counting.py").write_text(UNCOUNTED)
    shown = samples_of(programs.run("guarded.py", start_method))
    assert shown.get(("events_total", "tool_called"), 0) == counted


LISTENER = """
import multiprocessing, sys, time
from concurrent.futures import ProcessPoolExecutor
from sparklio.events import background
from counting import TaskFinished, task_finished
from work import square

def write(event: TaskFinished) -> None:
    time.sleep(0.02)
    with open("heard", "a") as file:
        file.write(event.task + "\\n")

listener = background(write)
task_finished.connect(listener)

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        list(executor.map(square, range(10)))
    with context.Pool(1) as pool:
        pool.map(square, range(10))
        pool.close()
        pool.join()
    square(2)
"""


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_a_background_listener_of_a_child_is_passed_what_waits_at_the_childs_end(
    start_method: str, programs: PageFolder
) -> None:
    (programs.path / "listener.py").write_text(LISTENER)
    programs.run("listener.py", start_method)
    assert (programs.path / "heard").read_text() == "square\n" * 21
