"""The programs that store series, the ways in which each takes histograms, and what it needs for them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import monotonic, sleep
from urllib.parse import quote
from urllib.request import Request, urlopen

from tests.support.histogram_stores import SETTING_SINCE
from tests.support.ports import free_port
from tests.support.processes import tree_usage
from tests.support.prometheus import NATIVE_HISTOGRAMS
from tools.monitor.programs import Program, version_of

SETTLED = 0.7
"""The share of the time after which memory and processor time are read: the heap has grown by then."""


Settings = tuple[tuple[str, object], ...]


@dataclass(frozen=True)
class Variant:
    """A way in which Prometheus takes histograms: the format that it is served, its flags and the job's settings."""

    name: str
    format: str
    flags: tuple[str, ...] = ()
    settings: Settings = ()


CLASSIC = Variant("classic", "text")


@dataclass(frozen=True, kw_only=True)
class Stored:
    """The figures that were measured of a store.

    Attributes:
        series: Those of one instance, with those that Prometheus adds to each target.
        memory: Bytes that are resident for a series, beyond those of the program without targets.
        processor: Seconds for a million samples, with their scrapes.
        chunk: Bytes of a sample in a block.
        index: Bytes of a series in a block's index.
    """

    program: str
    variant: str
    date: str
    series: float
    memory: float
    processor: float
    chunk: float
    index: float


def variants_of(version: tuple[int, ...]) -> Iterator[Variant]:
    """Yield the ways that a version of Prometheus has."""
    by_flag = version < SETTING_SINCE
    flags = (NATIVE_HISTOGRAMS,) if by_flag else ()
    settings: Settings = () if by_flag else (("scrape_native_histograms", True),)
    yield CLASSIC
    if version >= (3,):
        yield Variant("custom buckets", "text", flags, (("convert_classic_histograms_to_nhcb", True),))
    yield Variant("native", "protobuf", flags, settings)
    if version >= (3,):
        both = (*settings, ("always_scrape_classic_histograms", True))
        yield Variant("native and classic", "protobuf", flags, both)


def name_of(program: str) -> str:
    """Return what a Prometheus is called, with its version."""
    return f"Prometheus {'.'.join(map(str, version_of(program)))}"


class Store:
    """A Prometheus that scrapes as many targets as asked for, all of which are one studio."""

    def __init__(self, program: str, variant: Variant, folder: Path) -> None:
        self.variant = variant
        self._config = folder / "prometheus.yml"
        self._data = folder / "data"
        self.name, self._program = self._described(program, folder)

    def _described(self, program: str, folder: Path) -> tuple[str, Program]:
        """Return what it is called in the page, and its process."""
        command = [program, f"--config.file={self._config}", f"--storage.tsdb.path={self._data}", *self.variant.flags]
        command += ["--web.enable-lifecycle", "--web.enable-admin-api"]
        return name_of(program), Program("prometheus", command, free_port(), folder / "log")

    @contextmanager
    def running(self, interval: float) -> Iterator[None]:
        """Run it without targets, and take what it needs then."""
        self._interval = interval
        self._configure([])
        with self._program as program:
            sleep(3)
            self._pid = program.pid
            self._alone = self._usage()[0]
            yield

    def scrape(self, address: str, instances: int) -> None:
        """Have it scrape a studio as so many instances."""
        self._instances = instances
        targets = [{"targets": [address], "labels": {"instance": f"studio-{number}"}} for number in range(instances)]
        job = {"job_name": "studio", "metrics_path": f"/{self.variant.format}", "static_configs": targets}
        self._configure([{**job, **dict(self.variant.settings)}])
        self._ask("/-/reload", method="POST")

    def begin(self) -> None:
        """Begin to read what it needs."""
        self._memory: list[float] = []
        self._began = (self._usage()[1], self._samples())

    def read(self) -> None:
        """Read its memory once more."""
        self._memory.append(self._usage()[0])

    def end(self) -> Stored:
        """Return what it has needed since `begin`, and what its blocks have."""
        processor = self._usage()[1] - self._began[0]
        samples = self._samples() - self._began[1]
        series = self._series()
        chunks, index, stored = self._block()
        return Stored(
            program=self.name,
            variant=self.variant.name,
            date=datetime.now(UTC).date().isoformat(),
            series=series / self._instances,
            memory=(median(self._memory) - self._alone) / series,
            processor=processor / samples * 1e6,
            chunk=chunks / stored,
            index=index / series,
        )

    def failed_scrapes(self) -> float:
        """Return the share of scrapes that failed."""
        asked = quote("1 - avg(avg_over_time(up[1h]))")
        [found] = json.loads(self._ask(f"/api/v1/query?query={asked}"))["data"]["result"]
        return float(found["value"][1])

    def _series(self) -> float:
        return self._own("prometheus_tsdb_head_series")

    def _samples(self) -> float:
        return self._own("prometheus_tsdb_head_samples_appended_total")

    def _block(self) -> tuple[float, float, float]:
        """Return the bytes of chunks and of the index in a block of all that is stored, and how many samples it has."""
        name = json.loads(self._ask("/api/v1/admin/tsdb/snapshot", method="POST"))["data"]["name"]
        chunks = index = samples = 0
        for block in (self._data / "snapshots" / name).iterdir():
            if (meta := block / "meta.json").exists():
                samples += json.loads(meta.read_text())["stats"]["numSamples"]
                chunks += sum(file.stat().st_size for file in (block / "chunks").iterdir())
                index += (block / "index").stat().st_size
        return chunks, index, samples

    def _configure(self, jobs: list[dict[str, object]]) -> None:
        every = f"{self._interval:g}s"
        text = json.dumps({"global": {"scrape_interval": every, "scrape_timeout": every}, "scrape_configs": jobs})
        self._config.write_text(text)  # JSON is YAML

    def _own(self, name: str, labels: str = "") -> float:
        """Return the sum of one of its own families, of series whose labels have this in their text."""
        pattern = rf"^{name}(?:{{.*{labels}.*}})? (\S+)$"
        return sum(float(value) for value in re.findall(pattern, self._ask("/metrics"), re.MULTILINE))

    def _ask(self, path: str, method: str = "GET") -> str:
        request = Request(self._program.url + path, method=method)  # noqa: S310 - its own
        with urlopen(request, timeout=120) as answer:  # noqa: S310
            return str(answer.read().decode())

    def _usage(self) -> tuple[float, float]:
        """Return its resident bytes, and its processor seconds so far."""
        usage = tree_usage(self._pid)
        return sum(each.memory for each in usage), sum(each.cpu for each in usage)


class VictoriaMetrics(Store):
    """The single-node VictoriaMetrics, which scrapes as Prometheus does and takes classic histograms."""

    def _described(self, program: str, folder: Path) -> tuple[str, Program]:
        command = [program, f"-promscrape.config={self._config}", f"-storageDataPath={self._data}"]
        return "VictoriaMetrics", Program("victoria-metrics", command, free_port(), folder / "log", "-httpListenAddr")

    def _series(self) -> float:
        return self._own("vm_new_timeseries_created_total")

    def _samples(self) -> float:
        return self._own("vm_rows_inserted_total", "promscrape")

    def _block(self) -> tuple[float, float, float]:
        self._ask("/internal/force_flush")
        size, rows = "vm_data_size_bytes", "vm_rows"
        return self._own(size, "storage/"), self._own(size, "indexdb/"), self._own(rows, "storage/")


def measured(stores: list[Store], address: str, instances: int, seconds: float) -> list[Stored]:
    """Have stores scrape a studio as so many instances for so long, and return what each needs; progress is printed."""
    for store in stores:
        store.scrape(address, instances)
    began = monotonic()
    settled = False
    while (passed := monotonic() - began) < seconds:
        if not settled and passed > SETTLED * seconds:
            settled = True
            for store in stores:
                store.begin()
        if settled:
            for store in stores:
                store.read()
        print(f"\r{passed:.0f} of {seconds:.0f} s", end="", flush=True)
        sleep(min(5.0, seconds / 50))
    print()
    for store in stores:
        if failed := store.failed_scrapes():
            print(f"{failed:.1%} of the scrapes of {store.name} ({store.variant.name}) failed: is the machine busy?")
    return [store.end() for store in stores]
