"""The check of wording finds what it is there for, and passes plain words."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools import check_wording

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("source", "line", "opening"),
    [
        ('"""Gives the rows."""\n', 1, "'Gives'"),
        ('def f():\n    """Tell whether it is so."""\n', 2, "'Tell'"),
        ('class A:\n    def f(self):\n        """What, if any, is left."""\n', 3, "'What,'"),
        ('async def f():\n    """Make what emits it."""\n', 2, "'Make what'"),
        ('class A:\n\n    """Keep the\n    lines."""\n', 3, "'Keep'"),
    ],
)
def test_a_docstring_that_opens_with_a_house_word_is_found(source: str, line: int, opening: str) -> None:
    [(found, message)] = check_wording.docstring_findings(source)
    assert found == line
    assert message.startswith(f"docstring opens with {opening}; ")


@pytest.mark.parametrize(
    "opening", ["Return what is left.", "Make a row.", "The keeper.", "Given a row, return it.", ""]
)
def test_a_docstring_in_plain_words_passes(opening: str) -> None:
    assert list(check_wording.docstring_findings(f'def f():\n    """{opening}"""\n    x = "Tell"\n')) == []


def test_a_file_name_that_occurs_twice_is_found(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a/__init__.py", "b/__init__.py", "a/page.py", "b/page.py", "b/line.py")]
    [finding] = check_wording.file_name_findings(tmp_path, paths)
    assert finding.startswith("a/page.py:1: one file name for two things: a/page.py and b/page.py")


def test_a_resource_has_one_file_name_in_every_layer_and_no_other_file_has_it(tmp_path: Path) -> None:
    layers = [tmp_path / folder / "runs.py" for folder in ("routers", "schemas", "repositories")]
    assert list(check_wording.file_name_findings(tmp_path, layers)) == []
    [finding] = check_wording.file_name_findings(tmp_path, [*layers, tmp_path / "runs.py"])
    assert finding.startswith("runs.py:1: ")


def test_a_file_name_that_says_nothing_is_found(tmp_path: Path) -> None:
    [finding] = check_wording.file_name_findings(tmp_path, [tmp_path / "utils.py"])
    assert finding == "utils.py:1: 'utils' says nothing; name the file after what is in it"


@pytest.mark.parametrize(
    "line", ["# set SPARKLIO_WORKERS", "from app.main import create_app", "import app", "# app.main"]
)
def test_a_name_of_the_studio_in_the_library_is_found(line: str) -> None:
    [(number, _)] = check_wording.studio_findings(f"\n{line}\n", ["main"])
    assert number == 2


def test_an_application_that_happens_to_be_called_app_passes() -> None:
    assert list(check_wording.studio_findings("app = FastAPI()\napp.add_middleware(M)\nimport apps\n", ["main"])) == []


def test_findings_are_printed_with_file_and_line_and_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / "bus.py").write_text('x = 1\n\n\ndef f():\n    """Say so."""\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(check_wording, "ROOT", tmp_path)
        assert check_wording.main() == 1
    assert capsys.readouterr().out.startswith("events/bus.py:5: docstring opens with 'Say'; ")


@pytest.mark.slow
def test_this_project_passes() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tools.check_wording"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
