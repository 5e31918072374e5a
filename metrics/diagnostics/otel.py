"""The catalogue in OpenTelemetry's words: read from ``otel.toml``, which holds them by version of the conventions."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..rows import Metric

LATEST_RELEASED = ""
"""Asks for the default version."""


class UnknownVersion(LookupError):
    """The conventions are not mapped in that version."""


@dataclass(frozen=True)
class Conventions:
    """One version of the conventions: names of metrics, labels and label values."""

    name: str
    title: str
    metrics: Mapping[str, str]
    labels: Mapping[str, str]
    values: Mapping[str, Mapping[str, str]]


@lru_cache
def versions() -> dict[str, Conventions]:
    """Read every version, the default one first."""
    data: dict[str, Any] = tomllib.loads(Path(__file__).with_name("otel.toml").read_text("utf-8"))
    return {
        one["name"]: Conventions(
            one["name"], one["title"], one["metrics"], data["labels"] | one.get("labels", {}), data["values"]
        )
        for one in data["version"]
    }


def conventions(version: str = LATEST_RELEASED) -> Conventions:
    """Give one version.

    Raises:
        UnknownVersion: it is not mapped.
    """
    known = versions()
    if not version:
        return next(iter(known.values()))
    if version not in known:
        raise UnknownVersion(f"no conventions of version {version!r}; choose one of {', '.join(known)}")
    return known[version]


def as_table(catalogue: Iterable[Metric], namespace: str, version: str = LATEST_RELEASED) -> str:
    """Write a table of every family: its name there, its labels there, and the values that differ.

    Raises:
        UnknownVersion: that version is not mapped.
    """
    words = conventions(version)
    families = {row.name: row for row in catalogue}
    lines = [
        f"Names in {words.title}; a family without an equivalent keeps its own.",
        "",
        "| metric | OpenTelemetry | labels |",
        "|---|---|---|",
    ]
    for name, row in families.items():
        there = words.metrics.get(name)
        labels = ", ".join(label_there(label, words) for label in row.label_names) if there else ""
        lines.append(
            f"| `{namespace}_{name}` | {f'`{there}`' if there else f'none: `{namespace}.{name}`'} | {labels} |"
        )
    return "\n".join(lines)


def label_there(label: str, words: Conventions) -> str:
    """Write a label as it is called there, with the values that have another word."""
    values = words.values.get(label, {})
    changed = f" ({', '.join(f'{ours} is {theirs}' for ours, theirs in values.items())})" if values else ""
    return f"{label} is {words.labels[label]}{changed}" if label in words.labels else label
