"""The catalogue, namespace, limits and sources that a command works on, as options and project name them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..catalogue import LABEL_LIMITS
from ..diagnostics.project_catalogue import assemble_catalogue, labels_without_limit
from ..diagnostics.project_config import ProjectConfig, namespace_error
from ..diagnostics.source_scan import SourceNotFound
from ..rows import Metric


class UsageError(Exception):
    """The command line and the project's configuration together do not say what to do."""


@dataclass(frozen=True, slots=True)
class Context:
    """A command's own: what the options say, then the project's configuration, then the defaults.

    ``is_own_catalogue`` is whether either names the rows.
    """

    options: argparse.Namespace
    project: ProjectConfig
    namespace: str
    catalogue: tuple[Metric, ...]
    label_limits: Mapping[str, int]
    sources: Sequence[str]
    is_own_catalogue: bool
    is_strict: bool

    @classmethod
    def of(cls, options: argparse.Namespace, project: ProjectConfig) -> Context:
        """Return the context of a command.

        Raises:
            UsageError: a label's limit is missing, or the namespace cannot begin a name.
            CatalogueNotFound: a catalogue is not there.
            ProjectConfigInvalid: the project's configuration names what no row has.
        """
        namespace = getattr(options, "namespace", project.namespace)
        if error := namespace_error(namespace):
            raise UsageError(f"--namespace {error}")
        catalogue = assemble_catalogue(project, getattr(options, "catalogue", None))
        label_limits = {**LABEL_LIMITS, **project.label_limits}
        if label := next(labels_without_limit(catalogue, label_limits), None):
            raise UsageError(
                f"label {label!r} has no limit: say how many values it may take, as {label} = 10 under"
                f" {project.describe('label_limits')}"
            )
        return cls(
            options,
            project,
            namespace,
            catalogue,
            label_limits,
            getattr(options, "source", project.source),
            bool(getattr(options, "catalogue", project.catalogue)),
            getattr(options, "strict", project.strict),
        )

    def source_error(self, error: SourceNotFound) -> UsageError:
        """Return the error of a source that is not there, with where it is named."""
        origin = "" if hasattr(self.options, "source") else f"; it is {self.project.describe('source')}"
        return UsageError(f"{error}{origin}")
