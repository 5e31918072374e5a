"""The launcher imports little: a taken port is reported before the application is loaded."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import sys
import app.server.launcher, app.server.worker
print(*sorted({"app.main", "app.api", "fastapi", "pydantic_ai", "dbos", "prometheus_client"} & sys.modules.keys()))
"""


@pytest.mark.slow
def test_the_launcher_and_the_worker_do_not_import_the_application() -> None:
    imported = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert imported.stdout == "\n"
