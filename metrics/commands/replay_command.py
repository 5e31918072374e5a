"""``python -m metrics replay FILE``: a recording of events, played into a registry of its own."""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from pathlib import Path
from typing import IO, Any, cast

from prometheus_client import CollectorRegistry, start_http_server

from events.bus.recordings import UnknownRecording

from ..diagnostics.replay import Replayed, ReplayReport, replay, show_recorded_times
from ..exposition.render import render
from ..subscription.subscribe import declared_signals, subscribe
from .command_context import Context, UsageError

STANDARD_INPUT = "-"
LINES_NAMED = 20
"""How many damaged lines are named one by one."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's own options."""
    parser.add_argument(
        "file", metavar="FILE", help="what `python -m app record` wrote, or an event log; - for the standard input"
    )
    parser.add_argument(
        "--speed", type=positive, metavar="X", help="1 as it was recorded, 10 ten times as fast (default: no waiting)"
    )
    parser.add_argument(
        "--signal", dest="signals", action="append", default=[], metavar="NAME", help="only these (again for more)"
    )
    parser.add_argument(
        "--serve",
        type=port,
        metavar="PORT",
        help="serve the metrics on this port of localhost, until Ctrl-C; 0: a free one",
    )
    parser.add_argument("--counted", action="store_true", help="leave out what is 0")
    parser.add_argument(
        "--format",
        dest="replay_format",
        choices=("text", "json"),
        default="text",
        help="how to print it (default: text)",
    )


def positive(text: str) -> float:
    """Return a number above 0."""
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError("give a number above 0")
    return number


def port(text: str) -> int:
    """Return the number of a port."""
    number = int(text)
    if not 0 <= number <= 65_535:
        raise argparse.ArgumentTypeError("give a number from 0 to 65535")
    return number


def run(context: Context) -> int:
    """Play a recording and print what was counted; return the exit code: 1 where lines could not be read.

    Raises:
        UsageError: the file cannot be read, is no recording, or the options do not fit.
    """
    options = context.options
    if not context.namespace:
        raise UsageError("name the first word of every metric: --namespace acme")
    check_signals(options.signals)
    registry, report = CollectorRegistry(), ReplayReport()
    try:
        subscription = subscribe(
            context.catalogue, registry, namespace=context.namespace, label_limits=context.label_limits
        )
    except ValueError as error:
        raise UsageError(str(error)) from error
    with subscription, open_recording(options.file) as file, serving(registry, options.serve) as is_serving:
        show_recorded_times(subscription, context.catalogue, report)
        with suppress(KeyboardInterrupt):  # what was played until then is shown
            play(file, options, report)
        print_report(report)
        if is_serving:
            with suppress(KeyboardInterrupt):
                while True:
                    time.sleep(3600)
        else:
            shown = Replayed(registry, only_counted=options.counted)
            print(as_json(shown) if options.replay_format == "json" else as_text(shown), end="")
    return int(bool(report.damaged))


def play(file: IO[bytes], options: argparse.Namespace, report: ReplayReport) -> None:
    """Play a file; raise UsageError where it is no recording."""
    try:
        replay(file, speed=options.speed or math.inf, signals=options.signals, report=report)
    except UnknownRecording as error:
        raise UsageError(f"{options.file}: {error}") from error
    except OSError as error:
        raise UsageError(f"{options.file} cannot be read: {error.strerror}") from error
    if report.damaged and not (report.played or report.left_out or report.unknown or report.gaps):
        raise UsageError(f"{options.file} is no recording: line {report.damaged[0].line} {report.damaged[0].reason}")


def check_signals(names: Collection[str]) -> None:
    """Raise UsageError for a name that no signal has."""
    declared = [signal.name for signal in declared_signals()]
    for name in names:
        if name not in declared:
            alike = get_close_matches(name, declared, n=3)
            advice = f"did you mean {' or '.join(alike)}?" if alike else "python -m metrics has those that are counted"
            raise UsageError(f"no signal is named {name!r}; {advice}")


@contextmanager
def open_recording(name: str) -> Iterator[IO[bytes]]:
    """Open a file, or the standard input, until the block ends.

    Raises:
        UsageError: It cannot be read.
    """
    if name == STANDARD_INPUT:
        yield sys.stdin.buffer
        return
    try:
        opened = Path(name).open("rb")  # noqa: SIM115 - closed below; an error of the block is another one
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {error.strerror}") from error
    with opened as file:
        yield file


@contextmanager
def serving(registry: CollectorRegistry, number: int | None) -> Iterator[bool]:
    """Serve a registry on a port of the loopback interface while the block runs, if there is a port; yield whether.

    Raises:
        UsageError: The port is taken.
    """
    if number is None:
        yield False
        return
    try:
        server, thread = start_http_server(number, "127.0.0.1", registry)
    except OSError as error:
        raise UsageError(f"port {number} cannot be listened on: {error.strerror}") from error
    try:
        tell(f"serving http://127.0.0.1:{server.server_port}/metrics; stop with Ctrl-C")
        yield True
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def print_report(report: ReplayReport) -> None:
    """Print what was played and what was not; standard output has the metrics."""
    for line in report.damaged[:LINES_NAMED]:
        tell(f"line {line.line} {line.reason}: skipped")
    if len(report.damaged) > LINES_NAMED:
        tell(f"{len(report.damaged) - LINES_NAMED:,} more lines cannot be read")
    for gap in report.gaps:
        tell(f"line {gap.line}: {'events' if gap.missed is None else f'{gap.missed:,} events'} are missing")
    if report.unknown:
        tell(f"skipped, as nothing declares them here: {numbered(report.unknown)}; name their module by --catalogue")
    left_out = f", left out {numbered(report.left_out)}" if report.left_out else ""
    tell(f"played {numbered(report.played)}{left_out}")


def numbered(counts: Counter[str]) -> str:
    """Return how many events of which signals there are, at most five of them by name."""
    named = ", ".join(f"{name} {number:,}" for name, number in counts.most_common(5))
    more = ", ..." if len(counts) > 5 else ""
    return f"{counts.total():,} events" + (f" ({named}{more})" if counts else "")


def as_text(shown: Replayed) -> str:
    """Return the exposition, in Prometheus's text format."""
    return render(cast(CollectorRegistry, shown)).decode()


def as_json(shown: Replayed) -> str:
    """Return the families as JSON; a number that JSON has not, NaN or an infinite one, is null."""
    families = [
        {
            "name": family.name,
            "type": family.type,
            "help": family.documentation,
            "samples": [
                {"name": sample.name, "labels": sample.labels, "value": finite(sample.value)}
                for sample in family.samples
            ],
        }
        for family in shown.collect()
    ]
    return json.dumps(families, indent=1, allow_nan=False) + "\n"


def finite(number: Any) -> float | None:
    """Return a number, None for one that is infinite or not a number."""
    return number if math.isfinite(number) else None


def tell(text: str) -> None:
    """Print a line for the person at the terminal."""
    print(f"python -m metrics replay: {text}", file=sys.stderr, flush=True)
