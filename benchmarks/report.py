"""Write the results: a page for people, JSON for programs."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from statistics import median

from .measurement import Claim

HERE = Path(__file__).parent
INTRODUCTION = """# Measured by `make bench`

{machine}.

Every row compares what ran in turns, in one run on one machine; figures are medians of the rounds with their
ranges. Absolute times are this machine's, ratios hold better elsewhere. All rounds: `results.json`.

"""


def write(claims: Sequence[Claim]) -> None:
    """Write RESULTS.md and results.json beside this module."""
    results = {"machine": machine(), "claims": [asdict(claim) for claim in claims]}
    (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (HERE / "RESULTS.md").write_text(INTRODUCTION.format(machine=machine()) + as_markdown(claims))


def machine() -> str:
    """Return what the benchmarks ran on, in words."""
    return (
        f"Python {platform.python_version()}, prometheus_client {version('prometheus_client')}, "
        f"{platform.machine()}, {os.cpu_count()} cores"
    )


def as_markdown(claims: Sequence[Claim]) -> str:
    """Return a Markdown table of every claim with its bar, and one of the measurements behind them."""
    bars = as_table(
        ("what", "must be", "measured", "", "peers"),
        (
            (
                claim.what,
                f"{'at least' if claim.better == 'higher' else 'at most'} {claim.bar:g} {claim.unit}".rstrip(),
                _spread(claim.ours),
                "**missed**" if claim.misses() else "kept",
                "; ".join(f"{name} {_spread(values)}" for name, values in claim.peers.items()),
            )
            for claim in claims
        ),
    )
    runs = as_table(
        ("what", "of", "measured"),
        ((claim.what, name, _spread(values)) for claim in claims for name, values in claim.runs.items()),
    )
    notes = "".join(f"- {claim.what}: {claim.note}\n" for claim in claims if claim.note)
    return "\n".join(part for part in (bars, notes, runs) if part)


def _spread(values: Sequence[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.3g}"
    return f"{median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def as_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
