"""The defaults of ``python -m metrics`` that a project sets in its own ``pyproject.toml``.

::

    [tool.sparklio.metrics]
    namespace = "acme"                          # the first word of every metric's name
    source = ["shop", "billing"]                # packages, modules, folders or files whose code emits
    catalogue = ["metrics:HTTP", "shop.counting:ROWS"]  # MODULE:NAME, instead of the whole catalogue of `metrics`
    without = ["agent_review_verdicts_total"]   # families of the catalogue that the project leaves out
    label_limits = { style = 10 }               # for labels beside those of metrics.LABEL_LIMITS
    runbooks = "docs/runbooks"                  # the folder that `build` writes the alerts' runbooks to
    advice = { unshared_workers = "Set ACME_DIR" }  # what `doctor` advises about a fault that a server has
    strict = false                              # whether `check` judges each of our rows by itself, as `--strict` does

Every key may be left out, and an option of the command line goes before its key.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from events.pipeline import SetupFault

from .deployment import ADVICE

TABLE = "tool.sparklio.metrics"


class ProjectConfigInvalid(ValueError):
    """A ``pyproject.toml`` cannot be used; the message names the file and the key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectConfig:
    """The table ``[tool.sparklio.metrics]``, or the defaults where no file has one."""

    file: Path | None = None
    namespace: str = ""
    source: tuple[str, ...] = ()
    catalogue: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    label_limits: Mapping[str, int] = field(default_factory=dict)
    runbooks: str = ""
    advice: Mapping[SetupFault, str] = field(default_factory=dict)
    strict: bool = False

    def describe(self, key: str) -> str:
        """Return where a key stands, or is to stand."""
        return f"{key} in [{TABLE}] of {self.file or 'pyproject.toml'}"


@contextmanager
def importable(project: ProjectConfig) -> Iterator[None]:
    """Have modules beside a project's file importable while the block runs, wherever in the project the command is."""
    before = sys.path
    sys.path = [*before[:1], *([str(project.file.parent)] if project.file else []), *before[1:]]
    try:
        yield
    finally:
        sys.path = before


def find_project_config(folder: Path) -> ProjectConfig:
    """Return the table of the nearest ``pyproject.toml`` that has one, from a folder upwards.

    Raises:
        ProjectConfigInvalid: a file that stands nearer is no TOML, or the table has an unknown key or a wrong value.
    """
    for candidate in (folder, *folder.parents):
        file = candidate / "pyproject.toml"
        if is_readable_file(file) and (table := read_table(file)) is not None:
            return parse_table(table, file)
    return ProjectConfig()


def is_readable_file(file: Path) -> bool:
    """Return whether a file is there; what a folder above that may not be read has is nobody's configuration here."""
    try:
        return file.is_file()
    except PermissionError:
        return False


def read_table(file: Path) -> Any:
    """Return the table of a file, unchecked; None where the file has none.

    Raises:
        ProjectConfigInvalid: the file cannot be read as TOML.
    """
    try:
        text = file.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise ProjectConfigInvalid(f"{file} cannot be read: {error}") from error
    try:
        value: Any = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ProjectConfigInvalid(f"{file} cannot be read: {error}{quote_line(str(error), text)}") from error
    for name in TABLE.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def quote_line(error: str, text: str) -> str:
    """Return the line of a text that an error of `tomllib` names, and what is most often wrong with a value."""
    place = re.search(r"at line (\d+)", error)
    line = text.split("\n")[int(place[1]) - 1].strip() if place else ""
    advice = '; texts stand in quotes, as in "shop"' if error.startswith("Invalid value") else ""
    return f": {line}{advice}" if line else advice


def namespace_error(namespace: str) -> str:
    """Return why a namespace cannot begin the name of a metric, as `metrics.subscribe` will say; nothing if it can."""
    if re.fullmatch(r"([a-zA-Z_:][a-zA-Z0-9_:]*)?", namespace):
        return ""
    return f"{namespace!r} can't begin a metric's name: it takes letters, digits and underscores, such as 'acme'"


def parse_table(table: Any, file: Path) -> ProjectConfig:
    """Return the table as a configuration; paths of sources are relative to the file.

    Raises:
        ProjectConfigInvalid: a key is unknown, or a value of the wrong type.
    """
    if not isinstance(table, dict):
        raise ProjectConfigInvalid(f"{file}: [{TABLE}] must be a table, got {table!r}")
    keys = [key.name for key in fields(ProjectConfig) if key.name != "file"]
    if unknown := {*table} - {*keys}:
        raise ProjectConfigInvalid(f"{file}: [{TABLE}] has no key {min(unknown)!r}; it takes {', '.join(keys)}")
    namespace, runbooks = table.get("namespace", ""), table.get("runbooks", "")
    for name, value in (("namespace", namespace), ("runbooks", runbooks)):
        if not isinstance(value, str):
            raise ProjectConfigInvalid(f"{file}: {name} in [{TABLE}] must be a string, got {value!r}")
    if error := namespace_error(namespace):
        raise ProjectConfigInvalid(f"{file}: namespace in [{TABLE}]: {error}")
    advice = table.get("advice", {})
    if not isinstance(advice, dict) or not all(isinstance(text, str) for text in advice.values()):
        raise ProjectConfigInvalid(f"{file}: advice in [{TABLE}] must map faults to texts, got {advice!r}")
    if unknown := {*advice} - {*ADVICE}:
        raise ProjectConfigInvalid(
            f"{file}: advice in [{TABLE}] is for no fault {min(unknown)!r}; there are {', '.join(ADVICE)}"
        )
    strict = table.get("strict", False)
    if not isinstance(strict, bool):
        raise ProjectConfigInvalid(f"{file}: strict in [{TABLE}] must be true or false, got {strict!r}")
    limits = table.get("label_limits", {})
    if not isinstance(limits, dict) or not all(type(limit) is int and limit > 0 for limit in limits.values()):
        raise ProjectConfigInvalid(
            f"{file}: label_limits in [{TABLE}] must map labels to whole numbers above 0, as {{ style = 10 }} does,"
            f" got {limits!r}"
        )
    sources = parse_strings(table, "source", file)
    return ProjectConfig(
        file=file,
        namespace=namespace,
        source=tuple(str(file.parent / source) if is_path(source) else source for source in sources),
        catalogue=parse_strings(table, "catalogue", file),
        without=parse_strings(table, "without", file),
        label_limits=limits,
        runbooks=runbooks,
        advice=advice,
        strict=strict,
    )


def is_path(source: str) -> bool:
    """Return whether a source is the path of a folder or a file, and not the name of a package or a module."""
    return "/" in source or source.startswith(".") or source.endswith(".py")


def parse_strings(table: Mapping[str, Any], key: str, file: Path) -> tuple[str, ...]:
    """Return a key's value, one string or a list of them, as a tuple.

    Raises:
        ProjectConfigInvalid: it is something else.
    """
    value = table.get(key, [])
    strings = [value] if isinstance(value, str) else value
    if not isinstance(strings, list) or not all(isinstance(item, str) and item for item in strings):
        raise ProjectConfigInvalid(f"{file}: {key} in [{TABLE}] must be a string or a list of strings, got {value!r}")
    return tuple(strings)
