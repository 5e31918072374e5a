"""The ASGI bridge on other versions of FastAPI and Starlette than the installed ones: the same tests, real servers."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest

from tests.support.versions import overlay, run_tests

pytestmark = pytest.mark.slow

EVERYTHING, ROUTES = "tests/events/bridges/asgi", "tests/events/bridges/asgi/test_routes.py"
VERSIONS = {
    ("fastapi==0.115.0", "starlette==0.37.2"): EVERYTHING,  # the oldest that is supported, with its oldest Starlette
    ("fastapi==0.136.3", "starlette==0.46.0"): ROUTES,  # the last that copied the routes of included routers
    ("fastapi==0.137.0", "starlette==1.0.0"): ROUTES,  # the first that did not: `scope["route"].path` lost its prefix
}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("pins", VERSIONS, ids=" ".join)
def test_the_bridge_emits_the_same_events_on_every_version(pins: tuple[str, str]) -> None:
    assert "skipped" not in run_tests(VERSIONS[pins], *pins)


def test_an_overlay_has_the_pinned_version() -> None:
    """Otherwise the tests above would run with the installed version."""
    source = "import fastapi, starlette; print(fastapi.__version__, starlette.__version__)"
    found = {
        subprocess.run(
            [sys.executable, "-c", source],
            env={"PYTHONPATH": str(overlay(*pins))},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()[0]
        for pins in VERSIONS
    }
    assert found == {"0.115.0", "0.136.3", "0.137.0"}
    assert version("fastapi") not in found
