"""``python -m tools.demo``: lead a studio through ten minutes of good and bad times, on a scripted model.

Nothing leaves this machine and nothing is paid. ``python -m tools.monitor``, in another terminal, shows it in
Prometheus and fires the alerts.
"""

from __future__ import annotations

import argparse
import signal
import sqlite3
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from random import Random
from threading import Event, Thread
from time import monotonic, sleep

import httpx

from tests.support.studio import StudioProcess
from tools.interrupt import end_on_signals

from .acts import ACTS, FIRST, SECOND, Act
from .model import Script, serve
from .totals import Totals
from .visitors import Visitors

LOCKED_SECONDS, FREE_SECONDS = 3.0, 3.0
PRINT_EVERY = 15.0  # seconds


def main(arguments: Sequence[str] | None = None) -> int:
    """Lead a studio through its acts; return the exit code: 1 where it did not start, or ended by itself."""
    options = parse(arguments)
    end_on_signals()
    try:
        with ExitStack() as resources:
            directory = Path(resources.enter_context(tempfile.TemporaryDirectory(prefix="demo-")))
            script = Script(options.seed)
            model = resources.enter_context(serve(script))
            studio = open_studio(directory, options.port, model.base_url)
            resources.enter_context(studio)
            print(f"the studio       {studio.url}\nits metrics      {studio.url}/metrics", flush=True)
            print(f"in Prometheus    make monitor U={studio.url}/metrics, in another terminal", flush=True)
            print("Ctrl-C ends it", flush=True)
            totals = Totals(studio)
            play(studio, script, totals, options)
            print(totals.summary(), flush=True)
    except KeyboardInterrupt:
        return 0
    except (AssertionError, httpx.HTTPError) as error:
        print(f"python -m tools.demo: {error}", file=sys.stderr)
        return 1
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options of a command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.demo", description=main.__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="how long all acts take together")
    parser.add_argument("--port", type=int, default=8000, help="of the studio")
    parser.add_argument("--seed", type=int, default=1, help="where all choices come from")
    parser.add_argument("--act", action="append", metavar="WORDS", help="only acts with these words (again for more)")
    options = parser.parse_args(arguments)
    if options.minutes <= 0:
        parser.error("--minutes has to be more than 0")
    options.acts = [act for act in ACTS if not options.act or any(words in act.name for words in options.act)]
    if not options.acts:
        parser.error(f"no act has these words; they are: {'; '.join(act.name for act in ACTS)}")
    return options


def open_studio(directory: Path, port: int, model_url: str) -> StudioProcess:
    """Return a studio on the scripted models, which is not started yet."""
    studio = StudioProcess(
        directory,
        port,
        llm=f"openai:{FIRST}",
        llm_fallbacks=f"openai:{SECOND}",
        llm_base_url=model_url,
        llm_prices="openai",
        llm_retries=2,
        concurrency=4,
        max_queued=60,
        database_details=True,
        log_level="error",
    )
    studio.environment["OPENAI_API_KEY"] = "none"
    studio.preloaded = False
    return studio


def play(studio: StudioProcess, script: Script, totals: Totals, options: argparse.Namespace) -> None:
    """Play the acts, one after the other, and say what each shows.

    Raises:
        AssertionError: the studio ended by itself, or did not start again.
    """
    visitors = Visitors(studio.url, Random(options.seed))  # noqa: S311 - no secret
    pace = options.minutes / sum(act.minutes for act in options.acts)
    began = monotonic()
    for act in options.acts:
        script.act = act
        print(f"{clock(monotonic() - began)}  {act.name}: {act.shows}", flush=True)
        with trouble(studio, totals, act):
            end = monotonic() + 60 * act.minutes * pace
            while (now := monotonic()) < end:
                visitors.come(act, now)
                if studio.process.poll() is not None:
                    raise AssertionError(f"the studio has ended:\n{studio.output[-2000:]}")
                sleep(0.05)
    print(f"{clock(monotonic() - began)}  the end", flush=True)


@contextmanager
def trouble(studio: StudioProcess, totals: Totals, act: Act) -> Iterator[None]:
    """Do to the studio what an act does beside its model and its visitors."""
    if act.kills:
        totals.carry_over()
        studio.stop(signal.SIGKILL)
        studio.lines.clear()
        studio.start()
    if not act.locks:
        yield
        return
    over = Event()
    locker = Thread(target=lock_now_and_then, args=(studio.directory / "data" / "studio.db", over))
    locker.start()
    try:
        yield
    finally:
        over.set()
        locker.join()


def lock_now_and_then(file: Path, over: Event) -> None:
    """Hold the database's lock for some seconds, again and again."""
    while not over.is_set():
        connection = sqlite3.connect(file, isolation_level=None)
        with suppress(sqlite3.OperationalError):
            connection.execute("BEGIN IMMEDIATE")
        over.wait(LOCKED_SECONDS)
        connection.close()
        over.wait(FREE_SECONDS)


def clock(seconds: float) -> str:
    """Return minutes and seconds."""
    return f"{int(seconds) // 60:2d}:{int(seconds) % 60:02d}"
