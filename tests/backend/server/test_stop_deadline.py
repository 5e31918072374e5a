"""A stop that does not come to its end is ended; one that does is left alone."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

import pytest

from app.server.stop_deadline import UNFINISHED, StopDeadline


def exit_code_of(work: Callable[[], None]) -> int:
    """Return the exit code of a forked process that does the work and then ends."""
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_process_that_does_not_end_is_ended() -> None:
    def hang() -> None:
        StopDeadline(0, 0.01).begin()
        time.sleep(60)

    assert exit_code_of(hang) == UNFINISHED


def test_a_process_whose_output_nobody_reads_is_ended_too() -> None:
    def hang() -> None:
        sys.stdout.close()
        StopDeadline(0, 0.01).begin()
        time.sleep(60)

    assert exit_code_of(hang) == UNFINISHED


def test_a_second_stop_ends_the_drain() -> None:
    def hang() -> None:
        deadline = StopDeadline(3600, 0.01)
        deadline.begin()
        deadline.begin()
        deadline.begin()  # and a third one begins nothing anew
        time.sleep(60)

    assert exit_code_of(hang) == UNFINISHED


@pytest.mark.parametrize("stops", [0, 1, 2])
def test_a_process_that_ends_by_itself_does_not_wait_for_the_deadline(stops: int) -> None:
    def end() -> None:
        deadline = StopDeadline(60, 60)
        for _ in range(stops):
            deadline.begin()

    assert exit_code_of(end) == 0
