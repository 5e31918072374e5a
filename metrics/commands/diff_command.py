"""``python -m metrics diff OLD [NEW]``."""

from __future__ import annotations

import argparse

from ..diagnostics.catalogue_diff import compare, format_changes, format_json, load_listing
from ..diagnostics.listing import describe_families
from .command_context import Context


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's own options."""
    written = "a file that `python -m metrics --format json` wrote, - for the standard input"
    parser.add_argument("old", metavar="OLD", help=written)
    parser.add_argument("new", metavar="NEW", nargs="?", help="another such file (default: the catalogue as it is)")
    parser.add_argument(
        "--format", dest="diff_format", choices=("text", "json"), default="text", help="how to print it (default: text)"
    )


def run(context: Context) -> int:
    """Print what is different; return the exit code: 1 where a change breaks queries.

    Raises:
        ListingInvalid: a file is no listing.
    """
    options = context.options
    old = load_listing(options.old)
    current = describe_families(context.catalogue, context.namespace, context.label_limits)
    new = load_listing(options.new) if options.new else list(current)
    changes = compare(old, new)
    print(format_json(changes) if options.diff_format == "json" else format_changes(changes, old, new))
    return int(any(change.breaks for change in changes))
