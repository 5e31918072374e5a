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
    source = """
from importlib.metadata import version
from importlib.util import find_spec
for name in ("fastapi", "starlette"):
    print(f"{name}=={version(name)}", find_spec(name).origin)
"""
    for pins in VERSIONS:
        folder = overlay(*pins)
        command = [sys.executable, "-c", source]
        environment = {"PYTHONPATH": str(folder)}
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        found = [line.split() for line in ran.stdout.splitlines()]
        assert found == [[pin, str(folder / pin.partition("=")[0] / "__init__.py")] for pin in pins]
        assert f"fastapi=={version('fastapi')}" not in pins
