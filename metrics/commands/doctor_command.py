"""``python -m metrics doctor [URL]``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping

from ..diagnostics.doctor import diagnose
from ..diagnostics.scrape_client import Unreachable, strip_credentials


def run(url: str, headers: Mapping[str, str], _options: argparse.Namespace) -> int:
    """Print what is wrong with the numbers of a running server, or that nothing was found; return the exit code."""
    try:
        found = diagnose(url, headers)
    except Unreachable as reason:
        print(f"python -m metrics doctor: {reason}", file=sys.stderr)
        return 2
    for finding in found:
        print(f"- {finding}")
    print(f"{'FAILED' if found else 'ok'}: {strip_credentials(url)}")
    return 1 if found else 0
