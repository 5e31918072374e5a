"""A batch's numbers in a file for a real node_exporter, and in a real Pushgateway, go on from one run to the next."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError

import httpx
import pytest
from prometheus_client import CollectorRegistry, Gauge, Histogram, push_to_gateway

from tests.support.page_processes import PageFolder, answers, samples_of
from tests.support.wait import wait_until

pytestmark = pytest.mark.slow


@contextmanager
def running(log: Path, port: int, *command: str) -> Iterator[str]:
    """Run a server while the block runs, and yield its address once it answers."""
    with log.open("w") as output:
        server = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=output, stderr=output)
    with server:
        try:
            wait_until(lambda: answers(port))
            yield f"http://127.0.0.1:{port}"
        except BaseException:
            print(log.read_text())  # noqa: T201  # for the report of the test
            raise
        finally:
            server.terminate()


@pytest.fixture
def textfiles(tmp_path: Path) -> Path:
    folder = tmp_path / "textfiles"
    folder.mkdir()
    return folder


@pytest.fixture
def node_exporter(tmp_path: Path, textfiles: Path, free_port: Callable[[], int]) -> Iterator[str]:
    options = ["--collector.disable-defaults", "--collector.textfile", f"--collector.textfile.directory={textfiles}"]
    with running(tmp_path / "log", free_port(), "prometheus-node-exporter", *options) as address:
        yield address


@pytest.fixture
def pushgateway(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[str]:
    # In memory alone: Debian's has a file by default, from which the next one would have what this one had.
    command = ("prometheus-pushgateway", "--persistence.file=")
    with running(tmp_path / "log", free_port(), *command) as address:
        yield address


def metrics_of(address: str) -> str:
    return httpx.get(f"{address}/metrics").raise_for_status().text


@pytest.mark.needs("prometheus-node-exporter")
def test_node_exporter_shows_the_totals_of_all_runs_and_when_one_succeeded_last(
    programs: PageFolder, textfiles: Path, node_exporter: str
) -> None:
    for rows in ("3", "4"):
        programs.run("nightly.py", TEXTFILE_DIR=str(textfiles), ROWS=rows)
    shown = samples_of(metrics_of(node_exporter))
    assert shown["tasks_total", "success", "nightly"] == 2
    assert shown["task_rows_total", "nightly"] == 7
    assert shown["task_duration_seconds_count", "nightly"] == 2
    assert shown["active_tasks", "nightly"] == 0
    succeeded = shown["task_last_success_timestamp_seconds", "nightly"]
    programs.run("nightly.py", TEXTFILE_DIR=str(textfiles), ROWS="none", code=1, stderr=None)
    shown = samples_of(metrics_of(node_exporter))
    assert shown["tasks_total", "error", "nightly"] == 1
    assert shown["tasks_total", "success", "nightly"] == 2
    assert shown["task_last_success_timestamp_seconds", "nightly"] == succeeded
    assert [path.name for path in textfiles.iterdir()] == ["nightly.prom"]


@pytest.mark.needs("prometheus-node-exporter")
def test_of_one_series_in_two_files_node_exporter_shows_one_and_says_so_in_a_counter_alone(
    programs: PageFolder, textfiles: Path, node_exporter: str
) -> None:
    for name in ("a", "b"):
        (textfiles / name).mkdir()
        folder = textfiles / name
        programs.run_forked("nightly.py", TEXTFILE_DIR=str(folder), METRICS_DIR=str(folder / "shared"))
        (textfiles / name / "nightly.prom").rename(textfiles / f"{name}.prom")
    metrics_of(node_exporter)
    text = metrics_of(node_exporter)
    assert samples_of(text)["tasks_total", "success", "nightly"] == 1
    assert samples_of(text, "node_textfile_")["scrape_error",] == 0
    assert samples_of(text, "promhttp_metric_handler_errors_")["total", "gathering"] >= 1


def test_a_directory_that_cannot_be_written_fails_no_batch(programs: PageFolder) -> None:
    programs.run_forked("nightly.py", TEXTFILE_DIR="/nowhere", stderr=None)


@pytest.mark.needs("prometheus-pushgateway")
def test_the_pushgateway_shows_the_totals_of_all_runs_under_the_name_of_the_batch(
    programs: PageFolder, pushgateway: str
) -> None:
    for _ in range(2):
        programs.run_forked("pushed.py", PUSHGATEWAY=pushgateway)
    [group] = httpx.get(f"{pushgateway}/api/v1/metrics").json()["data"]
    assert group["labels"] == {"job": "nightly"}
    shown = samples_of(metrics_of(pushgateway))
    assert shown["tasks_total", "", "nightly", "success", "pushed"] == 2
    assert shown["task_rows_total", "", "nightly", "pushed"] == 6
    assert shown["task_last_success_timestamp_seconds", "", "nightly", "pushed"] > 1e9
    assert samples_of(metrics_of(pushgateway), "push_")["failure_time_seconds", "", "nightly"] == 0


DELETED = """
import os
from prometheus_client import delete_from_gateway
delete_from_gateway(os.environ["PUSHGATEWAY"], job="nightly")
"""

OTHER_PROGRAM = """
import os
from prometheus_client import CollectorRegistry, Gauge, push_to_gateway, pushadd_to_gateway
registry = CollectorRegistry()
Gauge("other", "Another program's.", registry=registry).set(1)
PUSH(os.environ["PUSHGATEWAY"], job="nightly", registry=registry)
"""


@pytest.mark.needs("prometheus-pushgateway")
def test_a_push_replaces_its_group_unless_it_adds_and_the_group_goes_when_it_is_deleted(
    programs: PageFolder, pushgateway: str
) -> None:
    programs.run_forked("pushed.py", PUSHGATEWAY=pushgateway)
    programs.run_forked("-c", OTHER_PROGRAM.replace("PUSH", "pushadd_to_gateway", 1), PUSHGATEWAY=pushgateway)
    both = metrics_of(pushgateway)
    assert 'other{instance="",job="nightly"} 1' in both
    assert ("tasks_total", "", "nightly", "success", "pushed") in samples_of(both)
    programs.run_forked("-c", OTHER_PROGRAM.replace("PUSH", "push_to_gateway", 1), PUSHGATEWAY=pushgateway)
    assert samples_of(metrics_of(pushgateway)) == {}
    programs.run_forked("-c", DELETED, PUSHGATEWAY=pushgateway)
    assert httpx.get(f"{pushgateway}/api/v1/metrics").json()["data"] == []


@pytest.mark.needs("prometheus-pushgateway")
def test_without_a_folder_the_time_of_the_last_success_stays_where_a_failed_run_adds_and_goes_where_it_replaces(
    programs: PageFolder, pushgateway: str
) -> None:
    counting = programs.path / "counting.py"
    counting.write_text(counting.read_text().replace(", workers=workers", ""))
    pushed = (programs.path / "pushed.py").read_text()
    success = ("task_last_success_timestamp_seconds", "", "nightly", "pushed")
    programs.run_forked("-c", pushed, PUSHGATEWAY=pushgateway)
    first = samples_of(metrics_of(pushgateway))[success]
    failing = pushed.replace("rows=3", "rows=1 // 0")
    for function, left in (("pushadd_to_gateway", first), ("push_to_gateway", None)):
        program = failing.replace("push_to_gateway", function)
        programs.run_forked("-c", program, PUSHGATEWAY=pushgateway, code=1, stderr=None)
        assert samples_of(metrics_of(pushgateway)).get(success) == left


@pytest.mark.needs("prometheus-pushgateway")
def test_the_gateway_overwrites_a_label_job_and_refuses_a_family_of_another_type(pushgateway: str) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    gauge = Gauge("acme_size", "s", ["job"], registry=ours)
    gauge.labels("ours").set(1)
    push_to_gateway(pushgateway, job="nightly", registry=ours)
    assert samples_of(metrics_of(pushgateway)) == {("size", "", "nightly"): 1}
    gauge.labels("another").set(2)  # the same series to the gateway
    with pytest.raises(HTTPError, match="400"):
        push_to_gateway(pushgateway, job="nightly", registry=ours)
    Histogram("acme_size", "s", registry=theirs).observe(1)
    with pytest.raises(HTTPError, match="400"):
        push_to_gateway(pushgateway, job="another", registry=theirs)
    assert samples_of(metrics_of(pushgateway), "push_")["failure_time_seconds", "", "another"] > 0


def test_a_gateway_that_is_away_fails_no_batch(programs: PageFolder, port: int) -> None:
    programs.run_forked("pushed.py", PUSHGATEWAY=f"http://127.0.0.1:{port}", stderr=None)
