"""Imports what our command line and a run of pytest need, and reads the sources that each check reads, once for all.

It is for the process that `tests.support.preloaded` forks from. The main module itself and the plugins of pytest are
left out, as these have to be imported by the run: what pytest rewrites, and what it warns of where it comes too late.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import walk_packages

from _pytest.config import default_plugins

from metrics import commands, diagnostics, kit, testing
from metrics.diagnostics.own_check import emitted_by_bridges

for package in (commands, diagnostics, kit, testing):
    for module in walk_packages(package.__path__, f"{package.__name__}."):
        import_module(module.name)
for name in (*(f"_pytest.{name}" for name in default_plugins), "coverage", "execnet", "trio"):  # what plugins import
    import_module(name)
emitted_by_bridges()
