"""A series over workers began when the first of them began it, whoever answers, and whoever of them is gone."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from time import time

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from metrics import Workers, render, serve
from metrics.multiprocess.file_layout import FamilySchema, archive_name, parse_family_line
from metrics.text_format.formats import OPENMETRICS, PROTOBUF, TEXT
from tests.support.counter_worker import LocalWorker, WorkerProcess, count_call, file_names
from tests.support.ports import free_port
from tests.support.prometheus import Prometheus
from tests.support.protobuf_scrapes import read_scrape
from tests.support.wait import wait_until
from tools.monitor import programs

CREATED = replace(OPENMETRICS, with_created=True)
TOKENS = ("sparklio_llm_tokens_total", (("model", "m"), ("token_type", "prompt")))
SECONDS = ("sparklio_llm_request_duration_seconds", (("model", "m"),))


def created(worker: LocalWorker) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return when the series of a call began, as a scrape of messages has it; in OpenMetrics it is the same."""
    worker.workers.collect()
    found = read_scrape(render(worker.registry, PROTOBUF)).created
    text = render(worker.registry, CREATED).decode()
    shown = {
        (sample.name.removesuffix("_created"), tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
        for sample in family.samples
        if sample.name.endswith("_created")
    }
    assert shown == {(name.removesuffix("_total"), labels): began for (name, labels), began in found.items()}
    return {series: found[series] for series in (TOKENS, SECONDS) if series in found}


@pytest.mark.slow
def test_the_first_of_several_processes_says_when_a_series_began(folder: Path) -> None:
    before = int(time())
    first = WorkerProcess(folder, "run_agent")
    assert first.read_line() == "working"
    after = int(time())
    wait_until(lambda: time() >= after + 1, every=0.05)
    with LocalWorker(folder) as here, LocalWorker(folder, application="sparklio") as other:
        count_call()
        began = created(here)
        assert set(began) == {TOKENS, SECONDS}
        assert all(before <= each <= after for each in began.values())
        assert created(other) == began
        first.kill()
        assert created(here) == began  # it is the archive that says so now
        assert archive_name("sparklio") in file_names(folder)
        assert created(other) == began
    with LocalWorker(folder) as later:  # of all who counted none lives
        assert created(later) == began


@pytest.mark.slow
def test_the_archive_keeps_it_when_others_are_added(folder: Path) -> None:
    for _ in range(2):
        with LocalWorker(folder):
            count_call()
    with LocalWorker(folder) as here:
        first = created(here)
        assert first
        [path] = [folder / name for name in file_names(folder) if name == archive_name("sparklio")]
        times = [int(each) for each in re.findall(rb'"created": (\d+)', path.read_bytes())]
        assert times
        assert set(first.values()) <= {*times}


def test_a_forked_process_begins_nothing_anew(folder: Path) -> None:
    assert WorkerProcess(folder, "fork").wait() == ["done"]
    after = int(time())
    wait_until(lambda: time() >= after + 1, every=0.05)
    with LocalWorker(folder) as here:
        assert created(here)
        assert all(each <= after for each in created(here).values())


def test_no_time_is_said_where_one_of_the_files_says_none(folder: Path) -> None:
    """A file of a version of before: a total that counts longer than the time that is known would seem to be reset."""
    with LocalWorker(folder) as old:
        count_call()
        [name] = file_names(folder)
    path = folder / name
    path.write_bytes(re.sub(rb', "created": \d+', lambda found: b" " * len(found[0]), path.read_bytes()))
    assert old
    with LocalWorker(folder) as here:
        count_call()
        assert created(here) == {}
        assert here.calls() == (2.0,) * 4


def test_a_reader_of_before_takes_the_line_of_a_family_with_a_time_for_one_without() -> None:
    schema = FamilySchema("took", "histogram", "total", ("method",), (0.5, 1.0))
    line = schema.line_since(1_764_000_000)
    assert json.loads(line) == {**json.loads(schema.line), "created": 1_764_000_000}
    assert parse_family_line(line) == schema
    assert schema.line_since(0) == schema.line


def test_text_has_no_series_of_it_and_each_process_gives_the_same_answer(folder: Path) -> None:
    texts = []
    for _ in range(2):
        registry = CollectorRegistry()
        workers = Workers(folder)
        workers.attach(registry)
        for kind, name in ((Counter, "calls"), (Histogram, "took")):
            local, total = workers.create_instruments(kind, name, "h", ["who"], "total")
            local.labels("m")
            registry.register(total)
        texts.append([render(registry, each) for each in (TEXT, CREATED, PROTOBUF, OPENMETRICS)])
    assert texts[0] == texts[1]
    assert b"_created" not in texts[0][0] + texts[0][3]
    assert texts[0][1].count(b"_created{") == 2
    assert b'calls_total{who="m"} 0.0\n' in texts[0][1]


@pytest.mark.slow
@pytest.mark.needs("prometheus")
@pytest.mark.parametrize("accept", ["PrometheusProto", "OpenMetricsText1.0.0"])
def test_prometheus_sees_the_first_increase_of_a_series_that_is_born_at_more_than_zero(
    accept: str, folder: Path, tmp_path: Path
) -> None:
    """Of two processes, by one of them, with no series at 0 before. Version 2 sees none, and has none beside either."""
    program = programs.installed("prometheus")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    takes_created = "version 2." not in version.stdout + version.stderr
    port = free_port()
    with LocalWorker(folder) as here, serve(here.registry) as server:
        (tmp_path / "prometheus.yml").write_text(
            "global: {scrape_interval: 1s}\nscrape_configs: [{job_name: app, "
            + (f"scrape_protocols: [{accept}], params: {{created: ['true']}}, " if takes_created else "")
            + f"static_configs: [{{targets: ['127.0.0.1:{server.port}']}}]}}]\n"
        )
        features = ["--enable-feature=created-timestamp-zero-ingestion"] if takes_created else []
        with programs.prometheus(tmp_path, port, *features) as running, Prometheus.at(running.url) as prometheus:
            wait_until(lambda: prometheus.query('up{job="app"} == 1'), every=0.1)
            prometheus.wait_for_scrapes(1)
            for _ in range(2):
                count_call()
            assert WorkerProcess(folder, "count_once").wait() == ["done"]
            prometheus.wait_for_scrapes(3)
            name = 'sparklio_llm_tokens_total{token_type="completion",model="m"}'
            [increase] = prometheus.query(f"increase({name}[30s])").values()
            assert (increase == pytest.approx(3, rel=0.25)) is takes_created
            assert prometheus.query('{__name__=~".*_created"}') == {}
