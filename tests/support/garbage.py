"""Garbage of tests: what is imported is exempt from collection, and with it whatever was there then."""

from __future__ import annotations

import gc


def collect_all() -> None:
    """Collect garbage, also what was exempt from that when it was still in use, as an object of an earlier test."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
