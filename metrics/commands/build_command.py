"""``python -m metrics build``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..kit.build import build_kit, write_kit
from ..kit.libraries import KitLibraryMissing
from ..kit.placeholders import Names
from .command_context import Context


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's own options."""
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write (default: monitoring)")
    parser.add_argument(
        "--runbooks",
        type=Path,
        metavar="DIR",
        help="where to write the runbooks (default: runbooks in --out, or without that as the project has it)",
    )
    parser.add_argument(
        "--runbook-url",
        metavar="URL",
        help="address of the folder with the runbooks, which alerts link to (default: its path)",
    )
    parser.add_argument("--job", help="name of the scrape job (default: the namespace and -backend)")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a file is not current")


def run(context: Context) -> int:
    """Write the operators' kit, or compare it with what is there; return the exit code."""
    options = context.options
    out: Path = options.out or Path("monitoring")
    of_project = context.project.runbooks if options.out is None else ""
    runbooks: Path = options.runbooks or Path(of_project or out / "runbooks")
    url = options.runbook_url or runbooks.as_posix()
    try:
        names = Names(namespace=context.namespace, job=options.job or "", runbooks=url)
        files = build_kit(context.catalogue, names)
    except (KitLibraryMissing, ValueError) as error:
        print(f"python -m metrics build: {error}", file=sys.stderr)
        return 2
    changed = write_kit(files, out, runbooks, dry=options.check)
    for path in changed:
        print(f"- {path} {'is not current: run python -m metrics build' if options.check else 'written'}")
    failed = bool(options.check and changed)
    print(f"{'FAILED' if failed else 'ok'}: {len(files)} files in {out} and {runbooks}, {len(changed)} changed")
    return 1 if failed else 0
