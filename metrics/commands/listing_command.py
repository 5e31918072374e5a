"""``python -m metrics catalogue``, or without a command, and ``python -m metrics groups``."""

from __future__ import annotations

from ..diagnostics import otel
from ..diagnostics.listing import FORMATS, describe_families, format_groups
from .command_context import Context


def run(context: Context) -> int:
    """Print the catalogue; return the exit code.

    Raises:
        UnknownVersion: OpenTelemetry's conventions are not mapped in that version.
    """
    options = context.options
    if options.otel is not None:
        print(otel.format_names(context.catalogue, context.namespace, options.otel))
    else:
        families = describe_families(context.catalogue, context.namespace, context.label_limits)
        print(FORMATS[options.format](list(families)))
    return 0


def run_groups(context: Context) -> int:
    """Print the groups of our rows; return the exit code."""
    print(format_groups(context.label_limits, context.catalogue))
    return 0
