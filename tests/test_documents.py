"""What the documents say is so: snippets run, commands and links exist, settings are all listed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from app.settings import PREFIX, Settings

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
README = DOCUMENTS[0].read_text()


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_the_snippets_of_the_readme_run(tmp_path: Path) -> None:
    """One after the other, in one program, as a reader who types them all."""
    program = tmp_path / "snippets.py"
    program.write_text("\n".join(blocks("python")))
    ran = subprocess.run([sys.executable, "-W", "error", program], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize("document", DOCUMENTS[1:], ids=lambda path: path.name)
def test_the_snippets_of_the_other_documents_run(document: Path) -> None:
    """Each by itself."""
    for snippet in blocks("python", document.read_text()):
        ran = subprocess.run(
            [sys.executable, "-W", "error", "-c", snippet], capture_output=True, text=True, check=False
        )
        assert (ran.returncode, ran.stderr) == (0, "")


def test_the_snippets_of_the_readme_are_well_typed(tmp_path: Path) -> None:
    program = tmp_path / "snippets.py"
    program.write_text("\n".join(blocks("python")))
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout) == (0, "")


def test_the_commands_of_the_readme_exist() -> None:
    commands = {line.split("#")[0].strip() for block in blocks("sh") for line in block.splitlines()}
    makefile = (ROOT / "Makefile").read_text()
    for command in commands:
        program, *rest = command.split()
        if program == "make":
            assert re.search(rf"^{rest[0]}:", makefile, re.MULTILINE), command
        else:
            assert command == "prometheus --config.file=monitoring/prometheus.yml"
            assert (ROOT / "monitoring" / "prometheus.yml").is_file()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text()):
        if "://" not in target:
            assert (document.parent / target).exists(), target


def test_every_setting_is_listed_with_its_default() -> None:
    rows = dict(re.findall(rf"^\| `{PREFIX}(\w+)` \| ([^|]*) \|", README, re.MULTILINE))
    listed = {name.lower(): default.strip().strip("`") for name, default in rows.items()}
    assert listed == {
        name: "" if field.default is None else str(field.default) for name, field in Settings.model_fields.items()
    }
