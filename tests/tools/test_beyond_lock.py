"""What a lock file has beyond another one."""

from __future__ import annotations

from tools.beyond_lock import beyond

BASE = """# Pins.
one==1.0 \\
    --hash=sha256:aa
two[more]==2.0 ; python_version < "3.12" \\
    --hash=sha256:bb \\
    --hash=sha256:cc
"""


def test_what_the_other_has_in_this_version_is_left_out() -> None:
    lines = BASE.replace("two[more]==2.0", "Two==2.1") + "three==3.0 \\\n    --hash=sha256:dd\n"
    left = beyond(lines.splitlines(keepends=True), BASE.splitlines(keepends=True))
    assert left.startswith("Two==2.1 ; python")
    assert left.endswith("three==3.0 \\\n    --hash=sha256:dd\n")
    assert left.count("hash") == 3


def test_two_that_are_alike_differ_in_nothing() -> None:
    assert beyond(BASE.splitlines(keepends=True), BASE.splitlines(keepends=True)) == ""
