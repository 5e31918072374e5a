"""The exit codes of the launcher and of its workers."""

from __future__ import annotations

import asyncio

import pytest

from app.server.exit_codes import INTERRUPTED, exit_code_of
from app.server.startup_error import StartupError
from app.settings_loading import InvalidSettings


@pytest.mark.parametrize("error", [StartupError("the port is taken"), InvalidSettings("the port is taken")])
def test_a_studio_that_cannot_start_prints_why(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    def run() -> int:
        raise error

    assert exit_code_of(run) == 1
    assert capsys.readouterr() == ("", "the port is taken\n")


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), asyncio.CancelledError()])
def test_an_interrupted_start_has_the_code_of_the_shell(interruption: BaseException) -> None:
    def run() -> int:
        raise interruption

    assert exit_code_of(run) == INTERRUPTED == 130


def test_other_errors_are_raised_and_other_codes_are_returned() -> None:
    assert exit_code_of(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        exit_code_of(lambda: 1 // 0)
