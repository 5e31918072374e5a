"""The command line of ``python -m metrics``: its commands and their options."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from difflib import get_close_matches
from typing import NoReturn

from ..diagnostics import otel
from ..diagnostics.listing import FORMATS
from ..diagnostics.scrape_client import parse_header
from . import build_command, check_command, diff_command, explain_command, replay_command, watch_command

ADDRESS = "http://127.0.0.1:8000/metrics"
SHARED_OPTIONS = ("namespace", "catalogue", "source")
LISTING_OPTIONS = ("format", "otel")
AFTER_COMMAND = "after_command_"


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options; those before and after the command are one list, of the namespace the last one counts."""
    options = argparse.Namespace(format="table", otel=None)
    parser = build_parser()
    _, unknown = parser.parse_known_args(arguments, options)
    if unknown:
        report_unknown(parser, options.command, unknown)
    for name in (*SHARED_OPTIONS, *LISTING_OPTIONS):
        if hasattr(options, AFTER_COMMAND + name):
            after = getattr(options, AFTER_COMMAND + name)
            before = getattr(options, name, None)
            setattr(options, name, [*before, *after] if isinstance(before, list) else after)
    return options


def report_unknown(parser: argparse.ArgumentParser, command: str | None, unknown: Sequence[str]) -> NoReturn:
    """End with the usage of a command that does not take these arguments, and with an option that is alike."""
    [commands] = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]  # noqa: SLF001
    of_command: argparse.ArgumentParser = commands.choices[command] if command else parser
    alike = get_close_matches(unknown[0].partition("=")[0], of_command._option_string_actions, n=1)  # noqa: SLF001
    advice = f"; did you mean {alike[0]}?" if alike else ""
    of_command.error(f"unrecognized arguments: {' '.join(unknown)}{advice}")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m metrics",
        description="Print the catalogue of metrics, check it, build what operators need"
        " from it, or read a running server.",
        epilog="Exit codes: 0 all is well, 1 something is wrong that the output names, 2 the command cannot run.",
    )
    add_listing_options(parser)
    add_shared_options(parser)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    lister = commands.add_parser("catalogue", help="print the catalogue, as without a command")
    add_shared_options(lister, AFTER_COMMAND)
    add_listing_options(lister, AFTER_COMMAND)
    grouper = commands.add_parser(
        "groups", help="print the groups of our rows, their series, and which of them are taken"
    )
    add_shared_options(grouper, AFTER_COMMAND)
    check_parser = commands.add_parser(
        "check",
        help="fail where nothing feeds a metric, nothing emits a signal, or the series budget is passed",
        description="Fail where nothing feeds a row of yours or any row of a group that you took, where nothing emits a"
        " signal of yours, or where there may be more series than the budget. Code is read, not run; catalogues are"
        " imported.",
    )
    add_shared_options(check_parser, AFTER_COMMAND)
    check_command.add_options(check_parser)
    builder = commands.add_parser(
        "build", help="write what Prometheus, Alertmanager, Kubernetes and Grafana load, from the catalogue"
    )
    add_shared_options(builder, AFTER_COMMAND)
    build_command.add_options(builder)
    explainer = commands.add_parser(
        "explain", help="show what a family's labels may be, which events update it, who emits them, and who uses it"
    )
    add_shared_options(explainer, AFTER_COMMAND)
    explain_command.add_options(explainer)
    differ = commands.add_parser(
        "diff", help="compare two states of the catalogue; fail where a change breaks queries on the old one"
    )
    add_shared_options(differ, AFTER_COMMAND)
    diff_command.add_options(differ)
    player = commands.add_parser(
        "replay", help="play a recording of events into the catalogue, and print what it counts"
    )
    add_shared_options(player, AFTER_COMMAND)
    replay_command.add_options(player)
    add_server_options(
        commands.add_parser(
            "doctor",
            help="examine a running server: whether its numbers can be right, and what to do where they cannot",
        )
    )
    watcher = commands.add_parser("watch", help="show the rates and quantiles of a running server in the terminal")
    add_server_options(watcher)
    watch_command.add_options(watcher)
    return parser


def add_server_options(parser: argparse.ArgumentParser) -> None:
    """Add what says which server's metrics are read."""
    parser.add_argument("url", nargs="?", default=ADDRESS, help=f"where its metrics are (default: {ADDRESS})")
    parser.add_argument(
        "--header",
        action="append",
        default=[],
        type=parse_header,
        metavar="'NAME: VALUE'",
        help="sent along, as in 'Authorization: Bearer ...' (again for more)",
    )


def add_listing_options(parser: argparse.ArgumentParser, prefix: str = "") -> None:
    """Add the options that say how the catalogue is printed; ``prefix`` as in `add_shared_options`."""
    missing = argparse.SUPPRESS
    parser.add_argument(
        "--format", dest=f"{prefix}format", choices=FORMATS, default=missing, help="how to print it (default: table)"
    )
    parser.add_argument(
        "--otel",
        dest=f"{prefix}otel",
        metavar="VERSION",
        nargs="?",
        const=otel.LATEST_RELEASED,
        default=missing,
        help=f"print the names in OpenTelemetry's conventions instead: {', '.join(otel.versions())}",
    )


def add_shared_options(parser: argparse.ArgumentParser, prefix: str = "") -> None:
    """Add the options that stand before or after a command; ``prefix`` goes before their names in the result.

    Under one name, what stands after the subcommand would overwrite what stands before it.
    """
    missing = argparse.SUPPRESS
    parser.add_argument(
        "--namespace",
        dest=f"{prefix}namespace",
        default=missing,
        metavar="NAMESPACE",
        help="first word of every name (default: the project's, else none)",
    )
    parser.add_argument(
        "--catalogue",
        dest=f"{prefix}catalogue",
        action="append",
        default=missing,
        metavar="MODULE:NAME",
        help="rows of your own instead of ours, optional ones included (again for more; default: the project's)",
    )
    parser.add_argument(
        "--source",
        dest=f"{prefix}source",
        action="append",
        default=missing,
        metavar="PACKAGE",
        help="package, module, folder or file whose code emits (again for more; default: the project's)",
    )
