"""A registry with the rows of a project, each of whose numbers begins at the start of a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from weakref import WeakKeyDictionary

from prometheus_client import CollectorRegistry

from ..diagnostics.project_catalogue import assemble_catalogue
from ..diagnostics.project_config import TABLE, ProjectConfig, find_project_config, importable
from ..subscription.subscribe import subscribe

NAMESPACE = "test"
"""The namespace of a project that has none in its configuration."""

missing_rows: WeakKeyDictionary[CollectorRegistry, str] = WeakKeyDictionary()
"""By a project's registry, why it has no rows of the project, for whoever looks for one of them; empty if it has."""


@contextmanager
def project_registry(folder: Path) -> Iterator[CollectorRegistry]:
    """Yield a fresh registry that counts while the block runs.

    Its rows, namespace and limits are those of ``[tool.sparklio.metrics]`` of the nearest ``pyproject.toml``; the whole
    catalogue where that names no rows.

    Args:
        folder: Where the ``pyproject.toml`` is looked for, and upwards.

    Raises:
        CatalogueNotFound: a catalogue is not there.
        ProjectConfigInvalid: the table cannot be used.
    """
    project = find_project_config(folder)
    registry = CollectorRegistry()
    missing_rows[registry] = describe_missing_rows(project, folder)
    with importable(project):
        rows = assemble_catalogue(project)
    with subscribe(rows, registry, namespace=project_namespace(folder), label_limits=project.label_limits):
        yield registry


def project_namespace(folder: Path) -> str:
    """Return the namespace of such a registry.

    Raises:
        ProjectConfigInvalid: the table cannot be used.
    """
    return find_project_config(folder).namespace or NAMESPACE


def describe_missing_rows(project: ProjectConfig, folder: Path) -> str:
    """Return where the rows of a project are to be named, empty where they are."""
    if project.catalogue:
        return ""
    there = (
        f"{project.file} names no rows of the project"
        if project.file
        else f"no pyproject.toml from {folder} upwards has [{TABLE}], which names the rows of the project"
    )
    return (
        f" ({there}, so the registry has the library's own alone: give it catalogue = ['shop.counting:ROWS'], or have"
        " a metrics_registry of your own, see docs/testing.md)"
    )
