"""``python -m benchmarks.sizing``: measure what a studio's series cost a Prometheus, and write ``docs/cost.md``."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.report import machine
from tools.interrupt import end_on_signals
from tools.monitor.programs import installed, version_of

from .figures import Figures, QuantileErrors
from .page import write_page
from .quantiles import KINDS, observed_stores
from .stores import CLASSIC, Store, Stored, VictoriaMetrics, measured, name_of, variants_of
from .studio_scrapes import Page, served, working_studio


def main(arguments: Sequence[str]) -> int:
    """Run a studio, have Prometheus scrape it as many instances, and write what that takes into docs/cost.md.

    The studio executes each workflow twice first, and goes on with runs while it is scraped; its model is scripted.
    Each way in which this version of Prometheus takes histograms has a process of its own, all at the same time.
    """
    options = parse(arguments)
    end_on_signals()
    if options.part in ("all", "stores"):
        pages, stored = measure_stores(options)
        Figures.read().with_stores(machine(), pages, stored).write()
    if options.part in ("all", "quantiles"):
        errors = measure_quantiles(options.prometheus or installed("prometheus"))
        Figures.read().with_quantiles(errors).write()
    print(f"written into {write_page(Figures.read())}")
    return 0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options of a command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sizing", description=main.__doc__)
    parser.add_argument("--prometheus", metavar="PATH", help="the program (default: the one that is installed)")
    parser.add_argument("--victoria-metrics", metavar="PATH", help="its single-node program, to be measured beside it")
    parser.add_argument("--instances", type=int, default=40, help="as how many it is scraped (default: %(default)s)")
    parser.add_argument("--interval", type=float, default=5.0, help="seconds between scrapes (default: %(default)g)")
    parser.add_argument(
        "--scrapes", type=int, default=240, help="of each instance (default: %(default)s, two full chunks of a series)"
    )
    parser.add_argument(
        "--part",
        choices=("all", "stores", "quantiles", "page"),
        default="all",
        help="what is measured; of page nothing, it is written from what was (default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    if options.instances < 1 or options.interval < 1 or options.scrapes < 10:
        parser.error("--instances and --interval have to be at least 1, --scrapes at least 10")
    return options


def measure_stores(options: argparse.Namespace) -> tuple[dict[str, Page], list[Stored]]:
    """Return the scrapes after each workflow has run twice, and what the stores need."""
    program = options.prometheus or installed("prometheus")
    with ExitStack() as resources:
        folder = Path(resources.enter_context(tempfile.TemporaryDirectory(prefix="sizing-")))
        stores = [Store(program, variant, made(folder / variant.name)) for variant in variants_of(version_of(program))]
        if options.victoria_metrics:
            stores.append(VictoriaMetrics(options.victoria_metrics, CLASSIC, made(folder / "victoria-metrics")))
        print("a studio executes each workflow twice", flush=True)
        working = resources.enter_context(working_studio(made(folder / "studio")))
        pages = {**working.pages}
        for store in stores:
            resources.enter_context(store.running(options.interval))
        names = ", ".join(f"{store.name} ({store.variant.name})" for store in stores)
        print(f"{options.instances} instances for each: {names}", flush=True)
        before = working.runs
        with served(working, options.interval / 2) as address:
            stored = measured(stores, address, options.instances, options.interval * options.scrapes)
        print(f"{working.runs - before} runs ended meanwhile")
    return pages, stored


def measure_quantiles(program: str) -> list[QuantileErrors]:
    """Return how far off quantiles are of each way in which a Prometheus has histograms."""
    print(f"quantiles of {len(KINDS)} kinds of observations: about half a minute", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="quantiles-") as folder,
        observed_stores(Path(folder), program) as observed,
    ):
        name, date = name_of(program), datetime.now(UTC).date().isoformat()
        return [
            QuantileErrors(program=name, job=job, date=date, errors=observed.worst_errors(job))
            for job in ("classic", "native")
        ]


def made(folder: Path) -> Path:
    """Create a folder and return it."""
    folder.mkdir()
    return folder


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
