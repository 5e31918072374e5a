"""``python -m tools.soak``: run a studio under mixed load; fail where it needs more at the end than at the start."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from random import Random
from threading import Thread
from time import monotonic, sleep

from tests.support.openai_server import OpenAIServer
from tests.support.ports import free_port
from tests.support.postgresql import postgresql_server
from tests.support.studio import WORKFLOWS, StudioProcess
from tools.interrupt import end_on_signals

from .load import Load
from .model import scripted_model
from .reading import Reading, Window, comparisons, read
from .verdict import ALLOWANCES, MB

KEY = "a-key-for-the-soak-0123456789"
WARM_UP = 0.25
"""The share of the time that nothing is compared of: caches, pools and heaps fill."""
WINDOW = 0.15
"""The share of the time that the start has, after the warm-up, and the end."""
QUIET_LIMIT = 150.0  # seconds; for what is under way when the load stops


def main(arguments: Sequence[str]) -> int:
    """Run the soak and return the exit code: 1 where something grew, was answered wrongly, or does not add up."""
    options = parse(arguments)
    end_on_signals()
    with ExitStack() as resources:
        directory = Path(
            resources.enter_context(tempfile.TemporaryDirectory(prefix="soak-", ignore_cleanup_errors=True))
        )
        model = resources.enter_context(scripted_model(options.seed))
        settings = {"llm": "openai:gpt-4o-mini", "llm_base_url": model.base_url, "llm_prices": "openai"}
        settings |= {"workers": str(options.workers), "concurrency": "4", "receive_timeout": "5"}
        settings |= {"api_keys": f"soak:{KEY}", "log_level": "warning"}
        if (url := database_url(options.database, resources)) is not None:
            settings["database_url"] = url
        studio = StudioProcess(directory, free_port(), **settings)
        studio.preloaded = False  # its processes have memory of their own, and their names
        studio.environment["OPENAI_API_KEY"] = "none"
        studio.client.headers["Authorization"] = f"Bearer {KEY}"
        resources.enter_context(studio)
        print(f"{options.workers} workers at {studio.url}, {options.database}: {options.minutes:g} minutes", flush=True)
        load = Load(studio.url, KEY, Random(options.seed))  # noqa: S311 - no secret
        windows = soak(studio, load, 60 * options.minutes)
        faults = [f"{what} ({times} times)" for what, times in load.unexpected.items()]
        faults += unbalanced(studio, model)
    return report(windows, load, faults, ignored=options.ignore)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options of a command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.soak", description=main.__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long the load lasts (default: %(default)g)")
    parser.add_argument("--workers", type=int, default=None, help="processes that serve (default: 2, on SQLite 1)")
    parser.add_argument(
        "--database",
        default="postgresql",
        help="postgresql: a server of its own; sqlite; or a URL of an empty database (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=1, help="where all choices come from (default: %(default)s)")
    parser.add_argument(
        "--ignore", choices=ALLOWANCES, action="append", default=[], help="a figure that may grow, as on a busy machine"
    )
    options = parser.parse_args(arguments)
    on_sqlite = options.database.startswith("sqlite")
    if options.workers is None:
        options.workers = 1 if on_sqlite else 2
    if options.minutes <= 0 or options.workers < 1:
        parser.error("--minutes and --workers have to be more than 0")
    if on_sqlite and options.workers > 1:
        parser.error("--workers: SQLite lets one process write at a time; leave it out, or take --database postgresql")
    return options


def database_url(name: str, resources: ExitStack) -> str | None:
    """Return the address of a database, which is started if it has to be; None for the studio's own file."""
    if name == "sqlite":
        return None
    if name != "postgresql":
        return name
    url = resources.enter_context(postgresql_server())
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def soak(studio: StudioProcess, load: Load, seconds: float) -> tuple[Window, Window]:
    """Run the load for some seconds, and return the windows of the start and of the end."""
    interval = min(5.0, seconds / 30)
    readings: list[Reading] = []
    loop = asyncio.new_event_loop()
    clients = Thread(target=loop.run_until_complete, args=(load.run(),), name="load")
    began = told = monotonic()
    clients.start()
    try:
        while (now := monotonic()) < began + seconds and clients.is_alive():
            readings.append(read(studio))
            if now >= told:
                told = now + max(2 * interval, 1.0)
                tell(now - began, readings[-1], load)
            sleep(interval)
    finally:
        loop.call_soon_threadsafe(load.stop)
        clients.join(QUIET_LIMIT)
        loop.close()
    end = began + seconds
    begins = (began + WARM_UP * seconds, end - WINDOW * seconds)
    first, last = (Window.between(begin, begin + WINDOW * seconds, readings, list(load.requests)) for begin in begins)
    return first, last


def tell(elapsed: float, reading: Reading, load: Load) -> None:
    """Print a line about how far it is."""
    processes = reading.processes
    print(
        f"{elapsed:6.0f} s: {sum(load.answers.values())} answers, {sum(load.runs.values())} runs ended, "
        f"{reading.memory / MB:.0f} MB, {sum(each.descriptors for each in processes)} descriptors, "
        f"{sum(each.threads for each in processes)} threads, {reading.series} series, "
        f"{sum(load.unexpected.values())} unexpected",
        flush=True,
    )


def unbalanced(studio: StudioProcess, model: OpenAIServer) -> list[str]:
    """Return what does not add up at the quiet moment after the load: runs that are counted, and tokens."""
    faults = []
    for workflow in WORKFLOWS:
        started, ended, active = (
            studio.total(name, workflow_type=workflow)
            for name in ("workflows_started_total", "workflows_total", "active_workflows")
        )
        if started != ended or active:
            faults.append(f"{workflow}: {started:g} runs started, {ended:g} ended, {active:g} are active")
    sent = {"prompt": model.tally.prompt_tokens, "completion": model.tally.completion_tokens}
    for kind, tokens in sent.items():
        counted = studio.total("llm_tokens_total", token_type=kind)
        if not counted <= tokens:
            faults.append(f"{counted:g} {kind} tokens are counted, and the model has sent {tokens}")
    return faults


def report(windows: tuple[Window, Window], load: Load, faults: list[str], ignored: Sequence[str]) -> int:
    """Print the figures and what is wrong, and return the exit code."""
    print("\n" + " " * 37 + "start       end")
    try:
        figures = comparisons(*windows)
    except ValueError as error:
        figures = []
        faults.append(str(error))
    for figure in figures:
        print(figure)
        if not figure.is_flat and figure.name.split()[0] not in ignored:
            faults.append(str(figure))
    print(f"\n{sum(load.answers.values())} answers; runs: {dict(load.runs)}")
    for fault in faults:
        print(f"FAILED: {' '.join(fault.split())}", file=sys.stderr)
    print("failed" if faults else "flat")
    return int(bool(faults))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
