"""``python -m app`` runs the command that comes first, and without one the studio."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from app import __main__ as program
from app.commands import COMMANDS
from app.server import launcher


def test_every_command_is_a_module() -> None:
    for name in COMMANDS:
        assert find_spec(f"app.commands.{name}"), name


@pytest.mark.parametrize("arguments", [[], ["--port", "0"], ["--host=127.0.0.1"]])
def test_without_a_command_the_studio_runs(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[list[str], str]] = []

    def note(given: list[str], factory: str) -> int:
        calls.append((given, factory))
        return 7

    monkeypatch.setattr(launcher, "main", note)
    assert program.main(arguments) == 7
    assert calls == [(arguments, "app.main:create_app")]


def test_a_misspelt_command_is_named_and_starts_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    for word in ("recncile", "serve", "8000"):
        assert program.main([word]) == 2
        assert word in (said := capsys.readouterr()).err
        assert said.out == ""


def test_help_lists_the_settings_and_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        program.main(["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "--database-url" in said
    for name, purpose in COMMANDS.items():
        assert f"{name} " in said
        assert purpose in said
