"""The examples in docstrings run and show what they say."""

from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {"events": ROOT, "metrics": ROOT, "traces": ROOT, "app": ROOT / "backend"}


def modules_with_examples() -> list[str]:
    """Return the modules whose source holds a prompt, without importing any."""
    files = [(path, above) for package, above in PACKAGES.items() for path in sorted((above / package).rglob("*.py"))]
    return [
        ".".join(path.relative_to(above).with_suffix("").parts).removesuffix(".__init__")
        for path, above in files
        if ">>> " in path.read_text()
    ]


@pytest.mark.parametrize("name", modules_with_examples())
def test_the_examples_of_a_module_run(name: str) -> None:
    found = [
        test for test in doctest.DocTestFinder(exclude_empty=True).find(import_module(name), name) if test.examples
    ]
    assert found, f"{name} has a prompt outside a docstring"
    runner = doctest.DocTestRunner(optionflags=doctest.REPORT_NDIFF)
    said: list[str] = []
    for test in found:
        runner.run(test, out=said.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(said)
    assert runner.tries > 0
    skipped = [f"{test.name}:{test.lineno}" for test in found for each in test.examples if doctest.SKIP in each.options]
    assert not skipped, f"examples that never run: {', '.join(skipped)}"
