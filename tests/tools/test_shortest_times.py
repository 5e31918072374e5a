"""`make quick` leaves out a test that has always taken longer than its limit, and no other."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import file_seconds
from tests.support.shortest_times import KEY

ROOT = Path(__file__).parents[2]

CONFTEST = """
from tests.support.shortest_times import ShortestTimes

def pytest_addoption(parser):
    parser.addoption("--shorter-than", type=float)

def pytest_configure(config):
    config.pluginmanager.register(ShortestTimes(config))
"""
TESTS = """
def test_one(): pass
def test_two(): pass
def test_new(): pass
"""


def run(directory: Path, *options: str) -> str:
    """Return the names of the tests that a run of pytest ran, in one line, or what else it says."""
    command = [sys.executable, "-m", "pytest", "-p", "no:randomly", "-p", "no:xdist", "-p", "no:cov", "-v", *options]
    ended = subprocess.run([*command, str(directory)], capture_output=True, text=True, timeout=60, check=False)
    names = [line.partition("::")[2].split()[0] for line in ended.stdout.splitlines() if "PASSED" in line]
    return " ".join(names) or ended.stdout + ended.stderr


def times(directory: Path) -> Path:
    return directory / ".pytest_cache" / "v" / KEY


@pytest.mark.slow
def test_what_took_longer_each_time_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_three.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    assert run(tmp_path) == "test_one test_two test_new"
    known = json.loads(times(tmp_path).read_text())
    assert {name.partition("::")[2] for name in known} == {"test_one", "test_two", "test_new"}

    took = {"test_three.py::test_one": 0.5, "test_three.py::test_two": 0.07}
    times(tmp_path).write_text(json.dumps(took))
    assert run(tmp_path, "--shorter-than", "0.1") == "test_two test_new"
    assert json.loads(times(tmp_path).read_text())["test_three.py::test_one"] == 0.5, "it was not run"

    assert run(tmp_path, "--shorter-than", "0.07") == "test_two test_new", "two has run, and was quick"


@pytest.mark.slow
def test_a_test_that_was_quick_once_comes_back(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_three.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    run(tmp_path)
    times(tmp_path).write_text(json.dumps({"test_three.py::test_one": 0.5}))
    run(tmp_path)
    assert json.loads(times(tmp_path).read_text())["test_three.py::test_one"] < 0.5
    assert run(tmp_path, "--shorter-than", "0.4") == "test_one test_two test_new"
    assert run(tmp_path, "-p", "no:cacheprovider", "--shorter-than", "0.0") == "test_one test_two test_new"


def test_the_longest_files_are_written_first_by_the_times_of_their_tests() -> None:
    times = {"a.py::test_one": 0.5, "b.py::test_one[x]": 3.0, "b.py::test_two": 4.04, "c.py::test_one": 2.0}
    assert [*file_seconds.add_up(times).items()] == [("b.py", 7.0), ("c.py", 2.0)]


def test_each_file_that_takes_long_is_there() -> None:
    """A file that is moved would start last, and leave the other workers idle."""
    assert file_seconds.read()
    assert [file for file in file_seconds.read() if not (ROOT / file).exists()] == []
