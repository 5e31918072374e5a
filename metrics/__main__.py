"""``python -m metrics``: print the catalogue, check it, write the operators' kit, or examine a running server.

Defaults come from the nearest ``pyproject.toml`` with a table ``[tool.sparklio.metrics]``, see
`metrics.diagnostics.project_config`.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from .catalogue import LABEL_LIMITS, SERIES_BUDGET, UNCOUNTED_SIGNALS, every_signal
from .diagnostics import otel
from .diagnostics.check import UNFED, check, most_series
from .diagnostics.doctor import diagnose
from .diagnostics.listing import FORMATS, describe_families, format_groups
from .diagnostics.project_catalogue import CatalogueNotFound, assemble_catalogue, labels_without_limit
from .diagnostics.project_config import ProjectConfig, ProjectConfigInvalid, find_project_config, namespace_error
from .diagnostics.scrape_client import Unreachable, split_credentials, strip_credentials
from .diagnostics.source_scan import SourceNotFound
from .kit import command as kit
from .rows import Metric
from .subscription.subscribe import declared_signals

ADDRESS = "http://127.0.0.1:8000/metrics"
SHARED_OPTIONS = ("namespace", "catalogue", "source")
AFTER_COMMAND = "after_command_"


class UsageError(Exception):
    """The command line and the project's configuration together do not say what to do."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: 1 where something is wrong, 2 where the command cannot run."""
    options = parse_arguments(arguments)
    if options.command == "doctor":
        return run_doctor(options.url, options.header)
    try:
        return run_catalogue_command(options, find_project_config(current_folder()))
    except (UsageError, CatalogueNotFound, ProjectConfigInvalid, otel.UnknownVersion) as error:
        print(f"python -m metrics: {error}", file=sys.stderr)
        return 2


def current_folder() -> Path:
    """Return the current folder, or the root where it was deleted."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        return Path("/")


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options; those before and after the command are one list, of the namespace the last one counts."""
    options = build_parser().parse_args(arguments)
    for name in SHARED_OPTIONS:
        if hasattr(options, AFTER_COMMAND + name):
            after = getattr(options, AFTER_COMMAND + name)
            before = getattr(options, name, None)
            setattr(options, name, [*before, *after] if isinstance(before, list) else after)
    return options


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m metrics", description="Print the catalogue of metrics, check it, or examine a running server."
    )
    parser.add_argument("--format", choices=FORMATS, default="table", help="how to print it (default: table)")
    parser.add_argument(
        "--otel",
        metavar="VERSION",
        nargs="?",
        const=otel.LATEST_RELEASED,
        help=f"print the names in OpenTelemetry's conventions instead: {', '.join(otel.versions())}",
    )
    add_shared_options(parser)
    commands = parser.add_subparsers(dest="command")
    check_parser = commands.add_parser(
        "check",
        help="fail where nothing feeds a metric, nothing emits a signal, or the series budget is passed",
    )
    add_shared_options(check_parser, AFTER_COMMAND)
    builder = commands.add_parser(
        "build", help="write what Prometheus, Alertmanager, Kubernetes and Grafana load, from the catalogue"
    )
    add_shared_options(builder, AFTER_COMMAND)
    kit.add_options(builder)
    commands.add_parser("groups", help="print the groups of our rows, their series, and which of them are taken")
    doctor_parser = commands.add_parser(
        "doctor", help="examine a running server: whether its numbers can be right, and what to do where they cannot"
    )
    doctor_parser.add_argument("url", nargs="?", default=ADDRESS, help=f"where its metrics are (default: {ADDRESS})")
    doctor_parser.add_argument(
        "--header",
        action="append",
        default=[],
        type=parse_header,
        metavar="'NAME: VALUE'",
        help="sent along, as in 'Authorization: Bearer ...' (again for more)",
    )
    return parser


def add_shared_options(parser: argparse.ArgumentParser, prefix: str = "") -> None:
    """Add the options that stand before or after a command; ``prefix`` goes before their names in the result.

    Under one name, what stands after the subcommand would overwrite what stands before it.
    """
    missing = argparse.SUPPRESS
    parser.add_argument(
        "--namespace",
        dest=f"{prefix}namespace",
        default=missing,
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


def parse_header(text: str) -> tuple[str, str]:
    """Return the name and value of a header; the error does not repeat a malformed one, which may hold a secret."""
    name, colon, value = (part.strip() for part in text.partition(":"))
    if not (name and colon and value and text.isprintable() and text.isascii()):
        raise argparse.ArgumentTypeError("give it as 'NAME: VALUE', in one line of ASCII")
    return name, value


def run_doctor(url: str, headers: Sequence[tuple[str, str]]) -> int:
    """Print what is wrong with the numbers of a running server, or that nothing was found."""
    url, credentials = split_credentials(url)
    try:
        found = diagnose(url, {**credentials, **dict(headers)})
    except Unreachable as reason:
        print(f"python -m metrics doctor: {reason}", file=sys.stderr)
        return 2
    for finding in found:
        print(f"- {finding}")
    print(f"{'FAILED' if found else 'ok'}: {strip_credentials(url)}")
    return 1 if found else 0


def run_catalogue_command(options: argparse.Namespace, project: ProjectConfig) -> int:
    """Print or check the catalogue, as the options say, then the project's configuration, then the defaults.

    Raises:
        UsageError: a source or a label's limit is missing, or the namespace cannot begin a name.
        CatalogueNotFound: a catalogue is not there.
        ProjectConfigInvalid: the project's configuration names what no row has.
        UnknownVersion: OpenTelemetry's conventions are not mapped in that version.
    """
    namespace = getattr(options, "namespace", project.namespace)
    if error := namespace_error(namespace):
        raise UsageError(f"--namespace {error}")
    paths = getattr(options, "catalogue", project.catalogue)
    catalogue = assemble_catalogue(project, getattr(options, "catalogue", None))
    if options.otel is not None and options.command is None:
        print(otel.format_names(catalogue, namespace, options.otel))
        return 0
    label_limits = {**LABEL_LIMITS, **project.label_limits}
    if label := next(labels_without_limit(catalogue, label_limits), None):
        raise UsageError(
            f"label {label!r} has no limit: say how many values it may take, as {label} = 10 under"
            f" {project.describe('label_limits')}"
        )
    if options.command == "groups":
        print(format_groups(label_limits, catalogue))
        return 0
    if options.command == "build":
        return kit.run_build(catalogue, namespace, options)
    if options.command == "check":
        return run_check(catalogue, options, project, label_limits, own_catalogue=bool(paths))
    print(FORMATS[options.format](list(describe_families(catalogue, namespace, label_limits))))
    return 0


def run_check(
    catalogue: Sequence[Metric],
    options: argparse.Namespace,
    project: ProjectConfig,
    label_limits: Mapping[str, int],
    *,
    own_catalogue: bool,
) -> int:
    """Print what is wrong, or what was checked.

    The catalogue of `metrics` has to count every signal of `events`; one of the project's own counts what it likes, so
    only its rows are checked, and that the signals that its sources declare are emitted.

    Raises:
        UsageError: no source is named, or one is not there.
    """
    sources: Sequence[str] = getattr(options, "source", project.source)
    if not sources:
        raise UsageError(f"name the code that emits: --source PACKAGE, or {project.describe('source')}")
    try:
        wrong = check(
            catalogue,
            sources,
            signals=() if own_catalogue else declared_signals(),
            uncounted={} if own_catalogue else UNCOUNTED_SIGNALS,
            label_limits=label_limits,
        )
    except SourceNotFound as error:
        origin = "" if hasattr(options, "source") else f"; it is {project.describe('source')}"
        raise UsageError(f"{error}{origin}") from error
    for fault in wrong:
        print(f"- {fault}")
    if own_catalogue and any(fault.endswith(UNFED) for fault in wrong):
        print("  Rows are left out by their names, as in", project.describe("without = ['NAME']"))
    names = {row.name for row in catalogue}
    signals = {signal.name for row in catalogue for signal in row.signals} - {every_signal.name}
    print(
        f"{'FAILED' if wrong else 'ok'}: {len(names)} families fed by {len(signals)} signals, "
        f"at most {most_series(catalogue, label_limits):,} series of {SERIES_BUDGET:,}; sources: {', '.join(sources)}"
    )
    return 1 if wrong else 0


def run() -> int:
    """Run the command line in a process of its own; a reader that closes the pipe, as ``head`` does, is no error."""
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more at exit, which must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


if __name__ == "__main__":
    sys.exit(run())
