"""``python -m metrics watch [URL]``: a running server's numbers in the terminal."""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import count
from typing import Any

from ..diagnostics.scrape_client import ScrapeResult, Unreachable, scrape_url, strip_credentials
from ..diagnostics.scrape_rates import QUANTILES, Line, read_lines


class NothingChosen(ValueError):
    """No family has the name, or no family has the label, that was asked for."""


class RichNotFound(ImportError):
    """The library that draws the table is not installed."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's own options."""
    parser.add_argument(
        "--interval", type=positive, default=2.0, metavar="SECONDS", help="between scrapes (default: 2)"
    )
    parser.add_argument("--match", type=expression, metavar="REGEX", help="only families whose name has it")
    parser.add_argument("--by", action="append", default=[], metavar="LABEL", help="a line for each of its values")
    parser.add_argument("--all", action="store_true", help="also what has been 0 all the time")
    parser.add_argument("--count", type=int, metavar="N", help="end after so many intervals (default: at Ctrl-C)")
    parser.add_argument(
        "--format",
        dest="watch_format",
        choices=("table", "json"),
        default="table",
        help="a table, or a JSON object a line for each interval (default: table)",
    )


def positive(text: str) -> float:
    """Return a number of seconds above 0."""
    seconds = float(text)
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError("give a number of seconds above 0")
    return seconds


def expression(text: str) -> re.Pattern[str]:
    """Return a regular expression."""
    try:
        return re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no regular expression: {error}") from None


def run(url: str, headers: Mapping[str, str], options: argparse.Namespace) -> int:
    """Watch a server; return the exit code: 2 where it cannot be read, or the table not drawn."""
    try:
        watch(url, headers, options)
    except (Unreachable, RichNotFound, NothingChosen) as reason:
        print(f"python -m metrics watch: {reason}", file=sys.stderr)
        return 2
    return 0


def watch(url: str, headers: Mapping[str, str], options: argparse.Namespace) -> None:
    """Scrape a server again and again and show what happened in between, until Ctrl-C or as often as asked for.

    A scrape that fails is shown, and the next one is compared with the last that did not.

    Raises:
        Unreachable: the first scrape failed.
        NothingChosen: it has no family, or no label, that was asked for.
        RichNotFound: a table is asked for and rich is not installed.
    """
    show = print_json if options.watch_format == "json" else open_table(strip_credentials(url))
    before = scrape_url(url, headers)
    try:
        check_choice([*read_lines(before, before)], label_names(before), options)
        for _ in count() if options.count is None else range(options.count):
            time.sleep(options.interval)
            try:
                after = scrape_url(url, headers)
            except Unreachable as reason:
                show([], str(reason))
                continue
            show(select(read_lines(before, after, options.by), options), "")
            before = after
    except KeyboardInterrupt:
        return
    finally:
        if close := getattr(show, "close", None):
            close()


def check_choice(lines: Sequence[Line], labels: Collection[str], options: argparse.Namespace) -> None:
    """Check that something of a scrape is what was asked for.

    Args:
        lines: What the scrape says.
        labels: The names of its labels.
        options: The command's options.

    Raises:
        NothingChosen: No family's name has the expression, or no family has one of the labels.
    """
    families = {line.family for line in lines}
    if options.match is not None and families and not any(map(options.match.search, families)):
        alike = get_close_matches(options.match.pattern, families, n=1)
        advice = f"did you mean {alike[0]}?" if alike else "python -m metrics lists families"
        raise NothingChosen(f"no family matches {options.match.pattern!r}; {advice}")
    for label in options.by:
        if labels and label not in labels:
            raise NothingChosen(f"no family has the label {label!r}; there are {', '.join(sorted(labels))}")


def label_names(scrape: ScrapeResult) -> set[str]:
    """Return the names of the labels of a scrape, without those of buckets and quantiles."""
    return {name for sample in scrape.samples for name in sample.labels} - {"le", "quantile"}


def select(lines: Iterator[Line], options: argparse.Namespace) -> list[Line]:
    """Return the lines that were asked for: by name, and with something to show."""
    return [
        line
        for line in lines
        if (options.match is None or options.match.search(line.family)) and (options.all or line.value or line.rate)
    ]


def print_json(lines: Sequence[Line], problem: str) -> None:
    """Print an interval as one line of JSON; a number that JSON has not, NaN or an infinite one, as null."""
    shown = [
        {
            "family": line.family,
            "labels": dict(line.labels),
            "value": finite(line.value),
            "rate": finite(line.rate),
            "quantiles": dict(zip(map(str, QUANTILES), map(finite, line.quantiles), strict=True)),
            "mean": finite(line.mean),
        }
        for line in lines
    ]
    print(json.dumps({"error": problem} if problem else {"lines": shown}, allow_nan=False), flush=True)


def finite(number: float | None) -> float | None:
    """Return a number, None for one that is infinite or not a number."""
    return number if number is not None and math.isfinite(number) else None


def open_table(address: str) -> Callable[[Sequence[Line], str], None]:
    """Return what shows an interval as a table, in place of the one before where the output is a terminal.

    Raises:
        RichNotFound: rich is not installed.
    """
    try:
        from rich.console import Console  # an extra, and slow to import
        from rich.live import Live
    except ImportError as error:
        raise RichNotFound(
            "the table is drawn by rich, which is not installed: pip install 'sparklio[watch]', or take --format json"
        ) from error
    return LiveTable(address, Console(), Live)


class LiveTable:
    """Shows intervals as a table: each in place of the one before, or one below the other where that is no terminal."""

    def __init__(self, address: str, console: Any, live: Callable[..., Any]) -> None:
        self._address = address
        self._console = console
        self._last: Sequence[Line] = ()
        self._live = live(console=console, auto_refresh=False) if console.is_terminal else None
        if self._live is not None:
            self._live.start()

    def __call__(self, lines: Sequence[Line], problem: str) -> None:
        """Show an interval; the last one stays where there is a problem."""
        self._last = lines = self._last if problem else lines
        if self._live is None:
            self._console.print(self._table(lines, problem))
            return
        room = max(self._console.height - 7, 1)  # without title, header, borders and note
        left = len(lines) - room
        note = problem or (f"{left} more lines: choose by --match" if left > 0 else "")
        self._live.update(self._table(lines[:room], note), refresh=True)

    def close(self) -> None:
        """Leave the terminal as it is."""
        if self._live is not None:
            self._live.stop()

    def _table(self, lines: Sequence[Line], note: str) -> Any:
        from rich.table import Table
        from rich.text import Text

        table = Table(title=f"{self._address}  {time.strftime('%H:%M:%S')}", caption=Text(note) if note else None)
        longest = max(map(len, ("family", *(line.family for line in lines))))
        # A name stays whole on a terminal of 80 columns; labels take what is left.
        table.add_column("family", overflow="fold", min_width=min(longest, self._console.width // 2))
        table.add_column("labels", overflow="fold")
        for column in ("value", "a second", *(f"p{share * 100:.0f}" for share in QUANTILES), "mean"):
            table.add_column(column, justify="right", no_wrap=True)
        for line in lines:
            labels = ", ".join(f"{name}={value}" for name, value in line.labels)
            numbers = (line.value, line.rate, *line.quantiles, line.mean)
            table.add_row(Text(line.family), Text(labels), *map(format_number, numbers))
        return table


def format_number(number: float | None) -> str:
    """Return a number with three or more digits that count, as a person reads it; nothing for none."""
    if number is None:
        return ""
    if number == int(number) and abs(number) < 1e15 if math.isfinite(number) else False:
        return f"{number:,.0f}"
    return f"{number:,.1f}" if 1000 <= abs(number) < math.inf else f"{number:.3g}"
