"""The package as it is installed: a folder ``sparklio`` with those of the library, its version and the types' mark."""

from __future__ import annotations

import shutil
from pathlib import Path

from .renaming import NameUnclear, Renaming

PACKAGE = "sparklio"
FOLDERS = ("events", "metrics", "traces")
PLUGIN = Path("metrics", "pytest_plugin.py")
"""A module for the top of the package: pytest loads it in every environment, and imports nothing else with it there."""

INIT = '''"""Events of business code, and what listens to them: metrics for Prometheus, traces for OpenTelemetry.

- `sparklio.events`: what happens, as signals; bridges emit for other people's libraries
- `sparklio.metrics`: what is counted of it, and served at ``/metrics``; ``python -m sparklio.metrics`` lists it
- `sparklio.traces`: spans of it, for OpenTelemetry; with the extra ``traces``
"""

__version__ = {version!r}
'''


def stage(root: Path, into: Path, version: str) -> Path:
    """Write the package of a checkout into a folder, and return it.

    Raises:
        NameUnclear: a file names a package in a way that cannot be renamed.
    """
    package = into / PACKAGE
    renaming = Renaming.of(PACKAGE, [root / folder for folder in FOLDERS])
    for folder in FOLDERS:
        copy = shutil.copytree(root / folder, package / folder, ignore=shutil.ignore_patterns("__pycache__"))
        for path in copy.rglob("*.py"):
            try:
                path.write_text(renaming.source(path.read_text("utf-8")), "utf-8")
            except NameUnclear as error:
                raise NameUnclear(f"{root / path.relative_to(package)}: {error}") from error
    (package / PLUGIN).rename(package / PLUGIN.name)
    (package / "__init__.py").write_text(INIT.format(version=version), "utf-8")
    (package / "py.typed").touch()
    return package
