"""``python -m metrics``: print the catalogue, check it against the code, or ask a running server how it is."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any

from .catalogue import CATALOGUE, OPTIONAL, SERIES_BUDGET, every_signal
from .diagnostics import otel
from .diagnostics.check import SourceNotFound, check, load, most_series
from .diagnostics.doctor import diagnose
from .diagnostics.scrape_client import Unreachable, shown, without_secret
from .rows import Metric

ADDRESS = "http://127.0.0.1:8000/metrics"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the answer is the exit code."""
    options = parser().parse_args(arguments)
    try:
        catalogue = load(options.catalogue) if options.catalogue else CATALOGUE + OPTIONAL
        if options.command == "doctor":
            return run_doctor(options.url, options.header)
        if options.command == "check":
            return run_check(catalogue, options.source or default_sources())
        if options.otel is not None:
            print(otel.as_table(catalogue, options.namespace, options.otel))
            return 0
    except (SourceNotFound, otel.UnknownVersion) as missing:
        print(f"python -m metrics: {missing}", file=sys.stderr)
        return 2
    print(FORMATS[options.format](list(families(catalogue, options.namespace))))
    return 0


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    top = argparse.ArgumentParser(
        prog="python -m metrics", description="Print the catalogue of metrics, check it, or look at a running server."
    )
    top.add_argument("--format", choices=FORMATS, default="table", help="how to print it (default: table)")
    top.add_argument("--namespace", default="sparklio", help="first word of every name (default: sparklio)")
    top.add_argument(
        "--otel",
        metavar="VERSION",
        nargs="?",
        const=otel.LATEST_RELEASED,
        help=f"print the names in OpenTelemetry's conventions instead: {', '.join(otel.versions())}",
    )
    top.add_argument(
        "--catalogue", metavar="MODULE:NAME", help="rows of your own instead of ours, optional ones included"
    )
    commands = top.add_subparsers(dest="command")
    checks = commands.add_parser(
        "check",
        help="fail where nothing feeds a metric, a signal is emitted or counted nowhere, or the budget is passed",
    )
    checks.add_argument(
        "--source",
        action="append",
        metavar="PACKAGE",
        help="package or folder whose code emits (again for more; default: app, where it is installed)",
    )
    doctor = commands.add_parser(
        "doctor", help="ask a running server whether its numbers can be right, and say what to do where they cannot"
    )
    doctor.add_argument("url", nargs="?", default=ADDRESS, help=f"where its metrics are (default: {ADDRESS})")
    doctor.add_argument(
        "--header",
        action="append",
        default=[],
        type=as_header,
        metavar="'NAME: VALUE'",
        help="sent along, as in 'Authorization: Bearer ...' (again for more)",
    )
    return top


def as_header(text: str) -> tuple[str, str]:
    """Read a header; what is none is not repeated, since it may hold a secret."""
    name, colon, value = (part.strip() for part in text.partition(":"))
    if not (name and colon and value and text.isprintable() and text.isascii()):
        raise argparse.ArgumentTypeError("give it as 'NAME: VALUE', in one line of ASCII")
    return name, value


def run_doctor(url: str, headers: Sequence[tuple[str, str]]) -> int:
    """Print what is wrong with the numbers of a running server, or that nothing was found."""
    url, secret = without_secret(url)
    try:
        wrong = diagnose(url, {**secret, **dict(headers)})
    except Unreachable as reason:
        print(f"python -m metrics doctor: {reason}", file=sys.stderr)
        return 2
    for finding in wrong:
        print(f"- {finding}")
    print(f"{'FAILED' if wrong else 'ok'}: {shown(url)}")
    return 1 if wrong else 0


def default_sources() -> list[str]:
    """Name the studio's package, where it is installed."""
    return ["app"] if find_spec("app") else []


def run_check(catalogue: Sequence[Metric], sources: Sequence[str]) -> int:
    """Print what is wrong, or what was checked."""
    wrong = check(catalogue, sources)
    for fault in wrong:
        print(f"- {fault}")
    names = {row.name for row in catalogue}
    signals = {signal.name for row in catalogue for signal in row.signals} - {every_signal.name}
    print(
        f"{'FAILED' if wrong else 'ok'}: {len(names)} families fed by {len(signals)} signals, "
        f"at most {most_series(catalogue):,} series of {SERIES_BUDGET:,}; sources: {', '.join(sources) or 'none'}"
    )
    return 1 if wrong else 0


def families(catalogue: Sequence[Metric], namespace: str) -> Iterator[dict[str, Any]]:
    """Describe each family once, its rows together."""
    for name in dict.fromkeys(row.name for row in catalogue):
        rows = [row for row in catalogue if row.name == name]
        first = rows[0]
        signals = dict.fromkeys(signal for row in rows for signal in row.signals)
        yield {
            "name": f"{namespace}_{name}",
            "type": "gauge" if first.kind == "in_flight" else first.kind,
            "labels": list(first.label_names),
            "signal": ", ".join("every signal" if signal is every_signal else signal.name for signal in signals),
            "most_series": most_series(rows),
            "help": first.help,
            "buckets": list(first.buckets),
        }


COLUMNS = ("name", "type", "labels", "signal", "most_series")


def cells(family: dict[str, Any]) -> list[str]:
    """Write one family's columns as text."""
    return [", ".join(value) if isinstance(value := family[column], list) else str(value) for column in COLUMNS]


def as_table(described: list[dict[str, Any]]) -> str:
    """Line the columns up for a terminal."""
    rows = [[column.replace("_", " ") for column in COLUMNS], *map(cells, described)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def as_markdown(described: list[dict[str, Any]]) -> str:
    """Write a table for a page of documentation, with the meanings."""
    lines = ["| metric | type | labels | told by | at most | meaning |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {' | '.join([f'`{name}`', *rest, family['help']])} |"
        for family in described
        for name, *rest in [cells(family)]
    ]
    return "\n".join(lines)


def as_json(described: list[dict[str, Any]]) -> str:
    """Write a list of objects."""
    return json.dumps(described, indent=2)


FORMATS = {"table": as_table, "markdown": as_markdown, "json": as_json}

if __name__ == "__main__":
    sys.exit(main())
