"""The catalogue of a project: the rows that it names, without those that it leaves out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from sysconfig import get_path
from traceback import extract_tb
from types import ModuleType
from typing import TypeGuard

from ..catalogue import CATALOGUE, GROUPS, LABEL_LIMITS, OPTIONAL, PIPELINE
from ..rows import Metric
from .project_config import ProjectConfig, ProjectConfigInvalid


class CatalogueNotFound(LookupError):
    """A catalogue's module, or the name in it, is not there, or is something else than rows."""


def assemble_catalogue(project: ProjectConfig, paths: Sequence[str] | None = None) -> tuple[Metric, ...]:
    """Return the rows at these paths, else those that a project names, without those that it leaves out.

    Raises:
        CatalogueNotFound: a catalogue is not there, or has a row of another.
        ProjectConfigInvalid: the project names a family or a label that no row has.
    """
    origin = f"; it is {project.describe('catalogue')}" if paths is None else ""
    rows: dict[int, Metric] = {}
    taken: dict[int, str] = {}  # the catalogue that a row is of
    named = project.catalogue if paths is None else paths
    for path in dict.fromkeys(named):
        try:
            loaded = {id(row): row for row in load_catalogue(path)}
        except CatalogueNotFound as error:
            raise CatalogueNotFound(f"{error}{origin}") from error
        if twice := loaded.keys() & rows.keys():
            name, first = min((rows[row].name, taken[row]) for row in twice)
            raise CatalogueNotFound(f"{name} is a row of {first!r} and of {path!r}: name one of the two{origin}")
        rows.update(loaded)
        taken.update(dict.fromkeys(loaded, path))
    if any(path in GROUPS for path in named):
        rows.update({id(row): row for row in PIPELINE})  # as subscribe() has it
    catalogue = tuple(rows.values()) if named else CATALOGUE + OPTIONAL
    if paths is None:
        check_names("without", project.without, {row.name for row in catalogue}, "family", project)
        labels = {label for row in catalogue for label in row.labels}
        check_names("label_limits", project.label_limits, labels | {*LABEL_LIMITS}, "label", project)
    return tuple(row for row in catalogue if row.name not in project.without)


def check_names(key: str, names: Iterable[str], known: set[str], what: str, project: ProjectConfig) -> None:
    """Raise ProjectConfigInvalid if a key of a project's configuration names what no row of its catalogue has."""
    for name in names:
        if name not in known:
            similar = get_close_matches(name, sorted(known), n=3) or sorted(known)
            raise ProjectConfigInvalid(
                f"{name!r} is no {what} of the catalogue, as are {', '.join(similar)}; it is in {project.describe(key)}"
            )


def labels_without_limit(catalogue: Sequence[Metric], label_limits: Mapping[str, int]) -> Iterator[str]:
    """Yield the open and the nested labels that have no limit."""
    for row in catalogue:
        for label, values in zip(row.labels, row.closed_label_values, strict=True):
            if (values is None or label in row.nested_in) and label not in label_limits:
                yield label


def load_catalogue(path: str) -> Sequence[Metric]:
    """Return the rows at ``module:name``, whose name is ``CATALOGUE`` where it is left out, or of a group by its name.

    Raises:
        CatalogueNotFound: the module, or the name in it, is not there, or is something else than rows.
    """
    if path in GROUPS:
        return GROUPS[path]
    module, _, name = path.partition(":")
    loaded = import_catalogue(module, path)
    name = name or "CATALOGUE"
    try:
        rows = getattr(loaded, name)
    except AttributeError as missing:
        rows_there = [other for other in dir(loaded) if is_catalogue(getattr(loaded, other, None))]
        best = get_close_matches(name, rows_there, n=1) or rows_there[:3]
        advice = f"; did you mean {' or '.join(f'{module}:{other}' for other in best)}?" if best else ""
        raise CatalogueNotFound(
            f"no catalogue at {path!r}, which is to be MODULE:NAME: module {module!r} has no attribute {name!r}{advice}"
        ) from missing
    if not is_catalogue(rows):
        raise CatalogueNotFound(f"no catalogue at {path!r}: it is no sequence of rows, but {rows!r:.60}")
    return tuple(rows)


def is_catalogue(rows: object) -> TypeGuard[Sequence[Metric]]:
    """Return whether something is a sequence of rows."""
    return isinstance(rows, Sequence) and not isinstance(rows, str) and all(isinstance(row, Metric) for row in rows)


def import_catalogue(module: str, path: str) -> ModuleType:
    """Import the module of a catalogue.

    Raises:
        CatalogueNotFound: It is not there, or fails.
    """
    if not module:
        raise CatalogueNotFound(f"no catalogue at {path!r}, which is to be MODULE:NAME: it names no module")
    try:
        return import_module(module)
    except (Exception, SystemExit) as error:
        if not isinstance(error, ImportError | SyntaxError):
            places = [step for step in extract_tb(error.__traceback__) if not is_of_python(step.filename)]
            place = f", at {places[-1].filename}:{places[-1].lineno}" if places else ""
            reason = f"{module} failed when it was imported: {type(error).__name__}: {error}{place}"
        elif isinstance(error, ModuleNotFoundError) and module.startswith(f"{error.name}"):
            groups = get_close_matches(path, GROUPS, n=1)
            advice = f"; did you mean the group {groups[0]!r}?" if groups else ""
            reason = f"No module named {error.name!r}, neither in {Path.cwd()} nor installed{advice}"
        else:
            reason = f"{module} cannot be imported: {error}"
        raise CatalogueNotFound(f"no catalogue at {path!r}, which is to be MODULE:NAME: {reason}") from error


def is_of_python(file: str) -> bool:
    """Return whether a file of a traceback is of the standard library."""
    return file.startswith("<frozen ") or (
        file.startswith(get_path("stdlib")) and "site-packages" not in Path(file).parts
    )
