"""``python -m metrics build``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..kit.build import build_kit
from ..kit.libraries import KitLibraryMissing
from ..kit.placeholders import Names
from ..kit.written_files import write_kit
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
    parser.add_argument("--force", action="store_true", help="write over files that were changed by hand, too")


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
        changes = write_kit(files, out, runbooks, namespace=names.namespace, dry=options.check, force=options.force)
    except (KitLibraryMissing, ValueError, OSError) as error:
        print(f"python -m metrics build: {error}", file=sys.stderr)
        return 2
    done = ("is not current", "belongs to no alert") if options.check else ("written", "removed")
    for paths, word in zip((changes.written, changes.removed), done, strict=True):
        for path in paths:
            print(f"- {path} {word}{': run python -m metrics build' if options.check else ''}")
    for path in changes.kept:
        print(f"- {path} was changed by hand and is kept: --force writes over it")
    failed = bool(options.check and changes)
    print(
        f"{'FAILED' if failed else 'ok'}: {len(files)} files in {out} and {runbooks},"
        f" {len(changes.written) + len(changes.removed)} changed, {len(changes.kept)} kept"
    )
    return 1 if failed else 0
