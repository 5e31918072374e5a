"""The fast paths work with the oldest supported prometheus_client and with the newest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TESTS = (
    "tests/metrics/exposition/test_render.py",
    "tests/metrics/fastpath/test_write_instruments.py",
    "tests/metrics/fastpath/test_update.py",
    "tests/metrics/fastpath/test_children.py",
    "tests/metrics/fastpath/test_write.py",
)


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("wanted", ["prometheus_client==0.19.0", "prometheus_client"], ids=["oldest", "newest"])
def test_the_fast_paths_work(wanted: str, tmp_path: Path) -> None:
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path), wanted]
    subprocess.run(install, check=True, env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"})
    script = "import prometheus_client as used, pytest, sys; print(used.__file__); sys.exit(pytest.main(sys.argv[1:]))"
    ran = subprocess.run(
        [sys.executable, "-c", script, "-q", "-p", "no:cacheprovider", *TESTS],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.startswith(str(tmp_path))
