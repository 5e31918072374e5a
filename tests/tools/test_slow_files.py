"""A file of which no test is run is not imported, and no test is left out for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import ports
from tests.support.slow_files import STUDIO, is_all_slow, may_have_slow


@pytest.mark.parametrize(
    ("text", "all_slow", "has_slow"),
    [
        ("pytestmark = pytest.mark.slow", True, True),
        ("pytestmark = [pytest.mark.timeout(60), pytest.mark.slow]", True, True),
        ("@pytest.mark.slow\ndef test_one(): ...\ndef test_two(): ...", False, True),
        ("@pytest.mark.parametrize('x', [pytest.param(1, marks=pytest.mark.slow)])\ndef test_one(x): ...", False, True),
        ("def test_one(): ...", False, False),
        ("def test_a_slow_query(database: Database): ...", False, False),
    ],
)
def test_a_file_says_what_it_has(text: str, all_slow: bool, has_slow: bool, tmp_path: Path) -> None:
    (tmp_path / "test_these.py").write_text(text)
    assert is_all_slow(tmp_path / "test_these.py") is all_slow
    assert may_have_slow(tmp_path / "test_these.py") is has_slow


def test_a_file_whose_tests_run_on_each_database_may_have_slow_ones() -> None:
    assert may_have_slow(STUDIO / "database" / "test_column_types.py")
    assert not may_have_slow(STUDIO / "api" / "test_host_check.py")


def test_a_slow_test_in_a_file_without_the_word_fails_the_run_that_leaves_it_out(pytestconfig: pytest.Config) -> None:
    @dataclass
    class SlowTest:
        path: Path

        def get_closest_marker(self, name: str) -> str | None:
            return name if name == "slow" else None

    leave_out = pytestconfig.hook.pytest_deselected
    leave_out(items=[SlowTest(Path(__file__))])
    with pytest.raises(pytest.UsageError, match=r"but does not say so: .*ports\.py"):
        leave_out(items=[SlowTest(Path(ports.__file__))])
