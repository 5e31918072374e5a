"""An audit that looked nothing up does not pass for one that found nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tools.audit_pins import main

GOOD = {"name": "a", "version": "1", "vulns": []}
BAD = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"]}]}
SKIPPED = {"name": "c", "skip_reason": "Dependency not found on PyPI"}


@pytest.mark.parametrize(
    ("dependencies", "code", "said"),
    [
        ([GOOD, SKIPPED], 0, "pins: 1 of 2 packages audited, no known vulnerability"),
        ([GOOD, BAD], 1, "pins: b 2 has PYSEC-1, fixed in 3"),
        ([SKIPPED], 0, "pins: not audited: no source of advisories answers for any of its 1 packages here"),
        (None, 0, "pins: not audited: cannot connect"),
    ],
)
def test_what_was_found_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], dependencies: list[Any] | None, code: int, said: str
) -> None:
    """A program stands in for pip-audit, whose format it has: github.com/pypa/pip-audit, section JSON."""
    output = "" if dependencies is None else json.dumps({"dependencies": dependencies, "fixes": []})
    program = tmp_path / "pip-audit"
    program.write_text(f"#!/bin/sh\necho 'cannot connect' >&2\ncat <<'END'\n{output}\nEND\n")
    program.chmod(0o755)
    assert main(str(program), ["pins"]) == code
    assert capsys.readouterr().out.strip() == said
