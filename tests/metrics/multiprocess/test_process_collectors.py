"""The figures of several processes, as their CPU time, add up."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, ProcessCollector

from metrics.multiprocess import Workers, register_process_collector


def test_the_figures_of_processes_are_summed(folder: Path) -> None:
    """CPU time includes dead workers, open files are those of live ones, the start is that of the first."""
    registry, elsewhere = CollectorRegistry(), CollectorRegistry()
    here, other = Workers(folder), Workers(folder)
    collector = ProcessCollector(registry=elsewhere)
    here.attach(registry)
    register_process_collector(here, registry, collector)
    register_process_collector(other, CollectorRegistry(), collector)

    def value(name: str) -> float:
        here.collect()
        sample = registry.get_sample_value(name)
        assert sample is not None
        return sample

    one_process = {sample.name: sample.value for family in elsewhere.collect() for sample in family.samples}
    assert value("process_open_fds") == pytest.approx(2 * one_process["process_open_fds"], abs=8)
    assert value("process_start_time_seconds") == one_process["process_start_time_seconds"]
    used = value("process_cpu_seconds_total")
    assert used >= 2 * one_process["process_cpu_seconds_total"] * 0.9
    other.close()
    assert value("process_cpu_seconds_total") >= used
    assert value("process_open_fds") == pytest.approx(one_process["process_open_fds"], abs=8)
    here.close()


def test_the_sums_can_be_unregistered(folder: Path) -> None:
    registry = CollectorRegistry()
    workers = Workers(folder)
    workers.attach(registry)
    unregister = register_process_collector(workers, registry, ProcessCollector(registry=CollectorRegistry()))
    assert registry.get_sample_value("process_open_fds")
    unregister()
    assert [*registry.collect()] == []
    workers.read_own_values()  # reads them no more
    assert [*registry.collect()] == []
    workers.close()
