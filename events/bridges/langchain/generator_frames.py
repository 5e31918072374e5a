"""Where a generator is suspended: at a ``yield``, so that its reader has the word, or at an ``await`` of its own.

Of a generator that another thread or task looks at, the frame says so only by the instruction that it stops at, which
is one of CPython's. Where that is not known, nothing is taken to be at a ``yield``.

Source: https://docs.python.org/3/library/dis.html#opcode-RESUME
"""

from __future__ import annotations

from dis import get_instructions
from functools import lru_cache
from types import CodeType, FrameType

AFTER_YIELDS = (1, 2)  # ``yield`` and ``yield from``
REASON_BITS = 3
INSTRUCTION_SIZE = 2


def is_at_yield(frame: FrameType) -> bool:
    """Return whether the generator of a frame is suspended, and at a ``yield``."""
    if frame.f_back is not None:
        return False
    next_ones = resumed_after_yield(frame.f_code)
    last = frame.f_lasti  # which from Python 3.13 on is the one that comes next
    return last in next_ones or last + INSTRUCTION_SIZE in next_ones


@lru_cache(maxsize=256)
def resumed_after_yield(code: CodeType) -> frozenset[int]:
    """Return the offsets at which a generator goes on after a ``yield``."""
    return frozenset(
        instruction.offset
        for instruction in get_instructions(code)
        if instruction.opname == "RESUME" and ((instruction.arg or 0) & REASON_BITS) in AFTER_YIELDS
    )
