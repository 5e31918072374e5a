"""The build that runs is told by version and commit, as far as anybody knows them."""

from __future__ import annotations

import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from app.build import checked_out_revision, emit_build, package_version
from events import build_read


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for command in (
        ["init", "--quiet"],
        ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet", "--allow-empty", "--message=one"],
    ):
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True, capture_output=True)
    return tmp_path


def test_the_revision_is_what_is_checked_out(repository: Path) -> None:
    asked = subprocess.run(
        ["git", "-C", str(repository), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    )
    with build_read.captured() as builds:
        emit_build(None, repository)
    assert [(build.version, build.revision) for build in builds] == [(version("sparklio"), asked.stdout[:12])]


def test_the_revision_that_the_settings_name_is_taken(repository: Path) -> None:
    with build_read.captured() as builds:
        emit_build("v1.2.3-4-gabcdef0", repository)
    assert builds[0].revision == "v1.2.3-4-gabcdef0"


def test_the_repository_around_an_installed_package_is_not_its_own(repository: Path) -> None:
    packages = repository / "lib" / "python3"
    packages.mkdir(parents=True)
    assert checked_out_revision(packages) is None


def test_a_build_that_nobody_knows_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".git").mkdir()  # it is none
    monkeypatch.setattr("app.build.PACKAGE", "no-such-package")
    with build_read.captured() as builds:
        emit_build(None, tmp_path)
    assert [(build.version, build.revision) for build in builds] == [("unknown", "unknown")]


def test_a_machine_without_git_knows_no_revision(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert checked_out_revision(repository) is None


def test_the_version_is_that_of_the_package() -> None:
    assert package_version() == version("sparklio")
