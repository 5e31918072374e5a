"""A file of tests that need what is not here is not imported, and others are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.environments import MARKERS, is_missing, modules_of_file


@pytest.mark.parametrize(
    ("text", "modules"),
    [
        ('pytestmark = pytest.mark.models("agents")\n', ["agents"]),
        (
            'pytestmark = [pytest.mark.slow, pytest.mark.models("langchain", "opentelemetry.sdk")]\n\nX = 1\n',
            ["langchain", "opentelemetry.sdk"],
        ),
        (
            'pytestmark = [\n    pytest.mark.models(\n        "a", "b",\n    ),\n    pytest.mark.servers("c")]',
            ["a", "b", "c"],
        ),
        ("pytestmark = pytest.mark.slow\n", []),
        ('pytestmark = pytest.mark.slow\n\n\n@pytest.mark.models("agents")\ndef test_one(): ...\n', []),
        ('@pytest.mark.models("agents")\ndef test_one(): ...\ndef test_two(): ...\n', []),
    ],
)
def test_a_file_needs_what_each_of_its_tests_needs(text: str, modules: list[str], tmp_path: Path) -> None:
    (tmp_path / "test_these.py").write_text(text)
    assert modules_of_file(tmp_path / "test_these.py") == modules


def test_a_module_is_missing_with_the_package_that_it_is_in() -> None:
    assert is_missing("no_such_package")
    assert is_missing("no_such_package.inside")
    assert not is_missing("tests.support.environments")


def test_each_marker_of_an_environment_is_one_of_the_project(pytestconfig: pytest.Config) -> None:
    names = {line.partition("(")[0] for line in pytestconfig.getini("markers")}
    assert names.issuperset(MARKERS)
