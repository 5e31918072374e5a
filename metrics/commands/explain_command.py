"""``python -m metrics explain FAMILY``."""

from __future__ import annotations

import argparse
import json

from ..diagnostics.explain import explain, format_explanation
from ..diagnostics.source_scan import SourceNotFound
from ..kit.placeholders import Names
from ..kit.usage import users_of
from .command_context import Context


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's own options."""
    parser.add_argument("family", metavar="FAMILY", help="its name, as the catalogue or a query has it")
    parser.add_argument(
        "--format",
        dest="explain_format",
        choices=("text", "json"),
        default="text",
        help="how to print it (default: text)",
    )


def run(context: Context) -> int:
    """Print the explanation of a family; return the exit code.

    Raises:
        FamilyNotFound: no row has the name.
        UsageError: a source is not there.
    """
    options = context.options
    try:
        family = explain(
            context.catalogue,
            options.family,
            namespace=context.namespace,
            sources=context.sources,
            label_limits=context.label_limits,
        )
    except SourceNotFound as error:
        raise context.source_error(error) from error
    if context.namespace:
        name = family["name"].removeprefix(f"{context.namespace}_")
        runbooks = context.project.runbooks or "monitoring/runbooks"
        family["used_by"] = users_of(name, Names(namespace=context.namespace, runbooks=runbooks))
    print(json.dumps(family, indent=2) if options.explain_format == "json" else format_explanation(family))
    return 0
