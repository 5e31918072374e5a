"""``python -m metrics build``: write the operators' kit."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ..rows import Metric
from .build import build_kit, write_kit
from .libraries import KitLibraryMissing
from .placeholders import Names


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command, but for those that all commands share."""
    parser.add_argument(
        "--out", type=Path, default=Path("monitoring"), metavar="DIR", help="where to write (default: monitoring)"
    )
    parser.add_argument(
        "--runbooks", type=Path, metavar="DIR", help="where to write the runbooks (default: runbooks in --out)"
    )
    parser.add_argument(
        "--runbook-url",
        metavar="URL",
        help="address of the folder with the runbooks, which alerts link to (default: its path)",
    )
    parser.add_argument("--job", help="name of the scrape job (default: the namespace and -backend)")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a file is not current")


def run_build(catalogue: Sequence[Metric], namespace: str, options: argparse.Namespace) -> int:
    """Write the kit, or compare it with what is there, and return the exit code."""
    runbooks: Path = options.runbooks or options.out / "runbooks"
    url = options.runbook_url or runbooks.as_posix()
    try:
        files = build_kit(catalogue, Names(namespace=namespace, job=options.job or "", runbooks=url))
    except (KitLibraryMissing, ValueError) as error:
        print(f"python -m metrics build: {error}", file=sys.stderr)
        return 2
    changed = write_kit(files, options.out, runbooks, dry=options.check)
    for path in changed:
        print(f"- {path} {'is not current: run python -m metrics build' if options.check else 'written'}")
    failed = bool(options.check and changed)
    print(f"{'FAILED' if failed else 'ok'}: {len(files)} files in {options.out} and {runbooks}, {len(changed)} changed")
    return 1 if failed else 0
