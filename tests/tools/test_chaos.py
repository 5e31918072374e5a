"""The tool that lets things fail: what it is asked for, and what it finds in books that do not agree."""

from __future__ import annotations

import pytest

from tools.chaos.__main__ import PLACES, parse
from tools.chaos.cases import Outcome
from tools.chaos.faults import FAULTS
from tools.chaos.report import print_table


def test_every_fault_can_happen_somewhere() -> None:
    for fault in FAULTS.values():
        assert any(database in fault.databases and workers in fault.workers for database, workers in PLACES), fault.name


def test_the_help_names_every_fault(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert all(fault.name in text and fault.about in text for fault in FAULTS.values())


def test_a_choice_that_does_not_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["--fault", "flood"])
    assert ended.value.code == 2
    assert "flood" in capsys.readouterr().err


def test_what_failed_is_told_below_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(
        [
            Outcome("killed", "sqlite", 1, accepted=9, ends={"completed": 9}),
            Outcome("disk-full", "sqlite", 1, faults=["2 runs have not ended"]),
        ]
    )
    text = capsys.readouterr().out
    assert "| killed | sqlite | 1 | 9 | 9 |" in text
    assert text.endswith("FAIL disk-full, sqlite, 1 workers: 2 runs have not ended\n")
