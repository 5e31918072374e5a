"""A command line that runs in a forked process does what it does in one that is executed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.preloaded import LIBRARIES, run_preloaded

pytestmark = pytest.mark.slow

SHOW = """
import sys, dataclasses, warnings
from pathlib import Path

@dataclasses.dataclass
class Row:
    name: "str"

print(__name__, sys.argv, sys.path, Path.cwd(), sys.warnoptions, sys.modules[__name__].Row("x"))
print(sorted(name for name in sys.modules if name.partition(".")[0] in ("tests", "app", "events", "metrics")))
warnings.warn("old", DeprecationWarning)
"""


@pytest.mark.parametrize(
    "command",
    [
        ("-c", SHOW, "one", "-x"),
        ("-W", "error", "-c", "import show"),
        ("-m", "show", "one", "-x"),
        ("show.py", "one", "-x"),
        ("-c", "raise SystemExit(3)"),
        ("-W", "error", "-c", "unclosed = open('show.py')"),
        ("-W", "error", "-c", "import opens"),
        (
            "-c",
            "import atexit, threading; atexit.register(print, 'end'); threading.Timer(0.1, print, ['later']).start()",
        ),
    ],
    ids=lambda command: " ".join(command)[-30:],
)
def test_it_is_the_same(command: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "show.py").write_text(SHOW)
    (tmp_path / "opens.py").write_text("unclosed = open('show.py')")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    executed = subprocess.run(
        [sys.executable, *command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    forked = run_preloaded(*command, modules=LIBRARIES, cwd=tmp_path, env=environment, timeout=60)
    assert (forked.returncode, forked.stdout) == (executed.returncode, executed.stdout)
    assert last_lines(forked.stderr) == last_lines(executed.stderr)
    assert "-W" not in command or executed.stderr


def last_lines(text: str) -> list[str]:
    """Return what is written without where a traceback came by, which names the code that forks."""
    return [line for line in text.splitlines() if not line.startswith((" ", "Traceback"))]
