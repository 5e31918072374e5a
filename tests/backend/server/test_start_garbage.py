"""Garbage is collected as usual once a process has started, and what the start made is searched no more."""

from __future__ import annotations

import gc
from contextlib import suppress

from app.server.start_garbage import collecting_no_garbage


def test_nothing_is_collected_in_the_block_and_what_is_there_at_its_end_is_exempt() -> None:
    kept: list[object] = []
    with collecting_no_garbage():
        assert not gc.isenabled()
        kept.append([kept])
        before = gc.get_freeze_count()
    assert gc.isenabled()
    assert gc.get_freeze_count() > before
    assert not any(found is kept for found in gc.get_objects())


def test_garbage_is_collected_after_a_start_that_fails() -> None:
    with suppress(ImportError), collecting_no_garbage():
        raise ImportError
    assert gc.isenabled()
