"""The sums of ``docs/scale.md``: what a load costs, from figures that were measured or published."""

from __future__ import annotations

from dataclasses import dataclass, replace

DAY = 86_400  # seconds
MEGABYTE, KILOBYTE = 1e6, 1e3


@dataclass(frozen=True, kw_only=True)
class Load:
    """The load of a deployment, and what each part of it costs; times are in seconds."""

    runs_a_second: float
    hosts: float
    processes_of_a_host: float
    cells: float
    steps_of_a_run: float
    seconds_of_a_step: float
    processor_seconds_of_a_run: float
    statements_of_a_run: float
    transactions_of_a_run: float
    writes_of_a_run: float
    seconds_between_beats: float
    seconds_between_sweeps: float
    microseconds_of_a_run_in_a_sweep: float
    connections_of_a_process: float
    most_connections_of_a_process: float
    days_that_runs_are_kept: float
    workflows_or_steps_a_vcpu: float
    writes_a_second_of_one_server: float
    samples_of_a_host: float
    seconds_between_scrapes: float
    megabytes_of_prometheus_alone: float
    kilobytes_of_a_series: float
    processor_seconds_of_a_million_samples: float

    def cell(self) -> Load:
        """Return the load of one of the cells that it is divided into, each with a database of its own."""
        return replace(self, runs_a_second=self.runs_a_second / self.cells, hosts=self.hosts / self.cells, cells=1)

    def sums(self) -> dict[str, float]:
        """Return what follows, by the names that the page has for it."""
        under_way = self.runs_a_second * self.steps_of_a_run * self.seconds_of_a_step  # Little's law
        processes = self.hosts * self.processes_of_a_host
        cores = self.runs_a_second * self.processor_seconds_of_a_run
        series = self.hosts * self.samples_of_a_host
        samples = series / self.seconds_between_scrapes
        memory = self.megabytes_of_prometheus_alone * MEGABYTE + series * self.kilobytes_of_a_series * KILOBYTE
        durable = self.runs_a_second * (1 + self.steps_of_a_run)
        return {
            "runs a second on a host": self.runs_a_second / self.hosts,
            "calls of models a second": self.runs_a_second * self.steps_of_a_run,
            "runs under way": under_way,
            "runs under way on a host": under_way / self.hosts,
            "processor cores of all studios": cores,
            "processor cores of a host": cores / self.hosts,
            "workflows and steps a second": durable,
            "vCPUs of PostgreSQL for them": durable / self.workflows_or_steps_a_vcpu,
            "statements a second": self.runs_a_second * self.statements_of_a_run,
            "transactions a second": self.runs_a_second * self.transactions_of_a_run,
            "writes a second": self.runs_a_second * self.writes_of_a_run,
            "runs a second that one server can write": self.writes_a_second_of_one_server / self.writes_of_a_run,
            "beats a second": processes / self.seconds_between_beats,
            "rows that sweeps read a second": processes * under_way / self.seconds_between_sweeps,
            "processor cores of a process for sweeps": (
                under_way * self.microseconds_of_a_run_in_a_sweep / 1e6 / self.seconds_between_sweeps
            ),
            "notices that processes get a second": processes * self.runs_a_second,
            "connections": processes * self.connections_of_a_process,
            "connections at most": processes * self.most_connections_of_a_process,
            "runs of a day": self.runs_a_second * DAY,
            "runs that are kept": self.runs_a_second * DAY * self.days_that_runs_are_kept,
            "series": series,
            "samples a second": samples,
            "processor cores of Prometheus": samples / 1e6 * self.processor_seconds_of_a_million_samples,
            "gigabytes of Prometheus": memory / 1e9,
        }


def shown(value: float) -> str:
    """Return a number as the page has it: three digits that count, with commas."""
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if rounded >= 100 or rounded.is_integer() else f"{rounded:g}"
