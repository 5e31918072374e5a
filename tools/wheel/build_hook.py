"""A build hook of hatchling: what it puts into the wheel is the staged package, whoever builds it and however."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).parents[2]))  # hatchling loads this file by its path

from tools.wheel.staging import PACKAGE, stage


class SparklioHook(BuildHookInterface[BuilderConfig]):
    """Puts ``sparklio`` into a wheel. An editable install has the folders of the checkout, by their own names."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        self._staged = TemporaryDirectory()
        if version == "editable":
            self.metadata.core.entry_points.pop("pytest11")  # it names the staged package, which is not there
        else:
            package = stage(Path(self.root), Path(self._staged.name), self.metadata.version)
            build_data["force_include"][str(package)] = PACKAGE

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        self._staged.cleanup()
