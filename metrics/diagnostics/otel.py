"""The catalogue in the names of OpenTelemetry's semantic conventions, which ``otel.toml`` holds by their version."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..rows import Metric

LATEST_RELEASED = ""
"""Stands for the default version, the first one in ``otel.toml``."""


class UnknownVersion(LookupError):
    """The conventions are not mapped in that version."""


@dataclass(frozen=True, slots=True)
class OtelNames:
    """OpenTelemetry's names of metrics, labels and label values, by ours, in one version of the conventions."""

    name: str
    title: str
    metrics: Mapping[str, str]
    labels: Mapping[str, str]
    values: Mapping[str, Mapping[str, str]]


@lru_cache
def versions() -> dict[str, OtelNames]:
    """Return every version that is mapped, by name, the default one first."""
    data: dict[str, Any] = tomllib.loads(Path(__file__).with_name("otel.toml").read_text("utf-8"))
    return {
        version["name"]: OtelNames(
            name=version["name"],
            title=version["title"],
            metrics=version["metrics"],
            labels=data["labels"] | version.get("labels", {}),
            values=data["values"],
        )
        for version in data["version"]
    }


def names_in(version: str = LATEST_RELEASED) -> OtelNames:
    """Return the names in one version.

    Raises:
        UnknownVersion: it is not mapped.
    """
    mapped = versions()
    if not version:
        return next(iter(mapped.values()))
    if version not in mapped:
        raise UnknownVersion(f"no conventions of version {version!r}; choose one of {', '.join(mapped)}")
    return mapped[version]


def format_names(catalogue: Iterable[Metric], namespace: str, version: str = LATEST_RELEASED) -> str:
    """Return a Markdown table of every family: its name there, its labels there, and the values that differ.

    Raises:
        UnknownVersion: that version is not mapped.
    """
    names = names_in(version)
    families = {row.name: row for row in catalogue}
    lines = [
        f"Names in {names.title}; a family without an equivalent keeps its own.",
        "",
        "| metric | OpenTelemetry | labels |",
        "|---|---|---|",
    ]
    for name, row in families.items():
        otel_name = names.metrics.get(name)
        labels = ", ".join(format_label(label, names) for label in row.label_names) if otel_name else ""
        prefix = (f"{namespace}_", f"{namespace}.") if namespace else ("", "")
        lines.append(
            f"| `{prefix[0]}{name}` | {f'`{otel_name}`' if otel_name else f'none: `{prefix[1]}{name}`'} | {labels} |"
        )
    return "\n".join(lines)


def format_label(label: str, names: OtelNames) -> str:
    """Return a label with its name there, and those of its values that are called otherwise there."""
    values = names.values.get(label, {})
    differing = f" ({', '.join(f'{ours} is {theirs}' for ours, theirs in values.items())})" if values else ""
    return f"{label} is {names.labels[label]}{differing}" if label in names.labels else label
