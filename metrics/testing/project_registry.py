"""A registry with the rows of a project, each of whose numbers begins at the start of a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry

from ..diagnostics.project_catalogue import assemble_catalogue
from ..diagnostics.project_config import find_project_config, importable
from ..subscription.subscribe import subscribe

NAMESPACE = "test"
"""The namespace of a project that has none in its configuration."""


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
