"""The fast paths work with the oldest supported prometheus_client and with the newest."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import distributions
from importlib.metadata import version as version_of
from pathlib import Path

import pytest

from tests.support.versions import overlay

ROOT = Path(__file__).parents[3]
TESTS = (
    "tests/metrics/exposition/test_render.py",
    "tests/metrics/exposition/test_protobuf.py",
    "tests/metrics/fastpath/test_native_buckets.py",
    "tests/metrics/fastpath/test_write_instruments.py",
    "tests/metrics/fastpath/test_update.py",
    "tests/metrics/fastpath/test_children.py",
    "tests/metrics/fastpath/test_write.py",
)


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("version", ["oldest", "newest"])
def test_the_fast_paths_work(version: str, tmp_path: Path) -> None:
    if version == "oldest":
        folder, selected = overlay("prometheus_client==0.19.0"), ""
    else:
        folder, selected = tmp_path, "not slow"
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
        environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        subprocess.run([*install, "prometheus_client"], check=True, env=environment)
        [found] = distributions(name="prometheus_client", path=[str(folder)])
        if found.version == version_of("prometheus_client"):
            return  # the suite has run these tests with it
    script = "import prometheus_client as used, pytest, sys; print(used.__file__); sys.exit(pytest.main(sys.argv[1:]))"
    ran = subprocess.run(
        [sys.executable, "-c", script, "-q", "-m", selected, "-p", "no:cacheprovider", *TESTS],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.startswith(str(folder))
