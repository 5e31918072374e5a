"""``python -m metrics doctor [URL]``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping

from ..diagnostics.deployment import ADVICE
from ..diagnostics.doctor import SETUP_FAULTS, diagnose
from ..diagnostics.project_config import ProjectConfigInvalid, find_project_config
from ..diagnostics.scrape_client import Unreachable, strip_credentials
from .working_folder import current_folder


def run(url: str, headers: Mapping[str, str], _options: argparse.Namespace) -> int:
    """Print what is wrong with the numbers of a running server, or that nothing was found; return the exit code.

    The project of the current folder may have words of its own for what to do.
    """
    try:
        advice = find_project_config(current_folder()).advice
        diagnosis = diagnose(url, headers, {**ADVICE, **advice})
    except (Unreachable, ProjectConfigInvalid) as reason:
        print(f"python -m metrics doctor: {reason}", file=sys.stderr)
        return 2
    for finding in diagnosis.findings:
        print(f"- {finding}")
    if not diagnosis.sees_setup:
        print(
            f"python -m metrics doctor: there is no NAMESPACE{SETUP_FAULTS}, so what the server found at its start is"
            " not seen; if the address is right, subscribe metrics.PIPELINE too",
            file=sys.stderr,
        )
    print(f"{'FAILED' if diagnosis.findings else 'ok'}: {strip_credentials(url)}")
    return 1 if diagnosis.findings else 0
