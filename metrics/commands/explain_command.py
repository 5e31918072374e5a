"""``python -m metrics explain NAME``: a family, an alert or a recorded series."""

from __future__ import annotations

import argparse
import json
from difflib import get_close_matches

from ..diagnostics.explain import FamilyNotFound, explain, format_explanation
from ..diagnostics.source_scan import SourceNotFound
from ..kit.placeholders import Names
from ..kit.rule_explanation import explain_rule, format_rule, rule_names
from ..kit.usage import users_of
from .command_context import Context


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's own options."""
    parser.add_argument("family", metavar="NAME", help="of a family, an alert or a recorded series")
    parser.add_argument(
        "--format",
        dest="explain_format",
        choices=("text", "json"),
        default="text",
        help="how to print it (default: text)",
    )


def run(context: Context) -> int:
    """Print the explanation of a family, or of a rule that has the name; return the exit code.

    Raises:
        AlertNameTaken: two rows ask for alerts of one name.
        FamilyNotFound: no row and no rule of the kit has the name.
        UsageError: a source is not there.
    """
    options = context.options
    names = names_of(context)
    is_json = options.explain_format == "json"
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
    except FamilyNotFound as error:
        if names is None:
            raise
        rule = explain_rule(context.catalogue, options.family, names)
        if rule is None:
            alike = get_close_matches(options.family, rule_names(context.catalogue, names), n=3)
            raise FamilyNotFound(f"{error}; as a rule, {' or '.join(alike)}?" if alike else str(error)) from None
        print(json.dumps(rule, indent=2) if is_json else format_rule(rule))
        return 0
    if names is not None:
        short = family["name"].removeprefix(f"{context.namespace}_")
        family["used_by"] = users_of(context.catalogue, short, names)
    print(json.dumps(family, indent=2) if is_json else format_explanation(family))
    return 0


def names_of(context: Context) -> Names | None:
    """Return the names of the kit, None for a namespace that no kit is built for."""
    try:
        return Names(namespace=context.namespace, runbooks=context.project.runbooks or "monitoring/runbooks")
    except ValueError:
        return None
