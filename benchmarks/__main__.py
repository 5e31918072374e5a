"""``python -m benchmarks``: measure every claim; a benchmark is a module here with ``claims(short) -> list[Claim]``."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from dataclasses import asdict
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from statistics import median

from .measuring import Claim

BENCHMARKS = ("exposition",)
HERE = Path(__file__).parent
SLACK = 0.25


def main() -> int:
    """Run them; with ``--short`` nothing is written, and a bar missed by more than a quarter is a failure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=main.__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="name", help=f"which ones, of {', '.join(BENCHMARKS)} (default: all)"
    )
    parser.add_argument("--short", action="store_true", help="few rounds, nothing written, a failure far off a bar")
    options = parser.parse_args()
    measured: dict[str, list[Claim]] = {}
    for name in options.names or BENCHMARKS:
        measured[name] = import_module(f"{__package__}.{name}").claims(options.short)
    print(as_markdown(measured))
    if options.short:
        return int(any(claim.misses(SLACK) for claims in measured.values() for claim in claims))
    results = {
        "machine": machine(),
        "claims": {name: [asdict(claim) for claim in claims] for name, claims in measured.items()},
    }
    (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (HERE / "RESULTS.md").write_text(f"# Measured by `make bench`\n\n{machine()}.\n\n{as_markdown(measured)}")
    return 0


def machine() -> str:
    """Say on what it ran."""
    return (
        f"Python {platform.python_version()}, prometheus_client {version('prometheus_client')}, "
        f"{platform.machine()}, {os.cpu_count()} cores"
    )


def as_markdown(measured: dict[str, list[Claim]]) -> str:
    """Write every claim with its bar, and what the runs gave: median, least and most."""
    lines = ["| what | must be | measured | |", "|---|---|---|---|"]
    runs = ["| what | of | median | range |", "|---|---|---|---|"]
    for claim in (claim for claims in measured.values() for claim in claims):
        bound = "at least" if claim.better == "higher" else "at most"
        verdict = "missed" if claim.misses() else "kept"
        lines.append(f"| {claim.what} | {bound} {claim.bar:g} {claim.unit} | {claim.measured:.3g} | {verdict} |")
        for whose, values in claim.runs.items():
            spread = f"{min(values):.4g} to {max(values):.4g}"
            runs.append(f"| {claim.what} | {whose} | {median(values):.4g} | {spread} |")
    notes = [f"- {claim.what}: {claim.note}" for claims in measured.values() for claim in claims if claim.note]
    return "\n".join([*lines, "", *notes, "", *runs, ""])


if __name__ == "__main__":
    sys.exit(main())
