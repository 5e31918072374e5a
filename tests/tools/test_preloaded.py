"""Processes of one run of the tests fork what they start from the same process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support.wait import wait_until

pytestmark = pytest.mark.slow

STARTS = """
import os, sys
from pathlib import Path
from tests.support.preloaded import PROMETHEUS_CLIENT, run_preloaded

for _ in sys.stdin:
    code = "import os, sys; print(os.getppid(), 'prometheus_client' in sys.modules)"
    ran = run_preloaded("-c", code, modules=PROMETHEUS_CLIENT, cwd=Path.cwd(), env=os.environ, timeout=60)
    print(ran.stdout.rstrip(), flush=True)
"""


@contextmanager
def starter(run: str) -> Iterator[subprocess.Popen[str]]:
    """Start a process of a run, which starts another for each line that it is sent and says what forked it."""
    with subprocess.Popen(
        [sys.executable, "-c", STARTS],
        env={**os.environ, "PYTEST_XDIST_TESTRUNUID": run},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(30) == 0


def forked_by(process: subprocess.Popen[str]) -> int:
    """Return the id of the process that forks for a starter."""
    assert process.stdin is not None
    assert process.stdout is not None
    print(file=process.stdin, flush=True)
    pid, has_imported = process.stdout.readline().split()
    assert has_imported == "True"
    return int(pid)


def test_the_processes_of_a_run_share_one_until_the_last_of_them_ends() -> None:
    run = uuid4().hex
    with starter(run) as other:
        with starter(run) as first, starter(uuid4().hex) as stranger:
            shared = forked_by(first)
            assert forked_by(other) == shared
            assert forked_by(stranger) != shared
        assert forked_by(other) == shared, "although who started it is gone"
    wait_until(lambda: not Path(f"/proc/{shared}").exists())
    with starter(run) as later:
        assert forked_by(later) != shared
