"""The code that moves all the numbers of one event: written for each shape of it, and compiled."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from functools import cache
from time import time
from typing import Any

from .lock import LOCK, release_if_held


@cache
def written_out(
    ticks: int, stamps: int, amounts: tuple[tuple[str, bool], ...], named: tuple[str, ...] | None, *, mirrored: bool
) -> Callable[..., Callable[[Any], None]]:
    """Write the code that moves so many counters of events, times and amounts, and compile it.

    Looping over them instead takes half as long again. Amounts come with the name of their field and with whether they
    go into a histogram. For ``1, 1, (("duration", True),), None`` it is this function; where fields are named, ``move``
    takes their values instead::

        def make(refuse, tick0, stamp0, least0, limit0, total0, bounds0, buckets0):
            def move(event):
                odd = False
                now = time()
                try:
                    acquire()
                    tick0._value = tick0._value + 1.0
                    stamp0._value = now
                    amount = event.duration
                    if amount is not None:
                        try:
                            if least0 <= amount < limit0:
                                total0._value = total0._value + amount
                                bucket = buckets0[bisect_left(bounds0, amount)]
                                bucket._value = bucket._value + 1.0
                            else:
                                odd = True
                        except Exception:
                            odd = True
                except BaseException:
                    release_if_held()
                    raise
                release()
                if odd:
                    refuse(event)
            return move

    The lock is taken inside of ``try``: what a signal's handler raises may come as soon as ``acquire`` returns, or
    while it waits. ``with`` takes twice as long.
    """
    place = "{0}._value = {0}._cells[{0}._at] = " if mirrored else "{0}._value = "
    add = place + "{0}._value + {1}"
    names = [*(f"tick{each}" for each in range(ticks)), *(f"stamp{each}" for each in range(stamps))]
    told = (
        {field: f"event.{field}" for field, _ in amounts}
        if named is None
        else {field: f"told{each}" for each, field in enumerate(named)}
    )
    lines = [add.format(name, "1.0") for name in names[:ticks]]
    lines += [place.format(name) + "now" for name in names[ticks:]]
    for each, (field, is_histogram) in enumerate(amounts):
        names += [f"least{each}", f"limit{each}", f"total{each}"]
        taking = [add.format(f"total{each}", "amount")]
        if is_histogram:
            names += [f"bounds{each}", f"buckets{each}"]
            taking += [f"bucket = buckets{each}[bisect_left(bounds{each}, amount)]", add.format("bucket", "1.0")]
        lines += [
            f"amount = {told[field]}",
            "if amount is not None:",
            "    try:",
            f"        if least{each} <= amount < limit{each}:",
            *(f"            {line}" for line in taking),
            "        else:",
            "            odd = True",
            "    except Exception:",
            "        odd = True",
        ]
    source = [
        f"def make(refuse, {', '.join(names)}):",
        "    def move(event):",
        *([] if named is None else [f"        [{', '.join(told.values())}] = event"]),
        "        odd = False",
        "        now = time()",
        "        try:",
        "            acquire()",
        *(f"            {line}" for line in lines or ["pass"]),
        "        except BaseException:",
        "            release_if_held()",
        "            raise",
        "        release()",
        "        if odd:",
        "            refuse(event)",
        "    return move",
    ]
    lock = {"acquire": LOCK.acquire, "release": LOCK.release, "release_if_held": release_if_held}
    made: dict[str, Any] = {"time": time, "bisect_left": bisect_left, **lock}
    exec(compile("\n".join(source), "<moving>", "exec"), made)  # noqa: S102  # of names of fields and numbers alone
    return made["make"]  # type: ignore[no-any-return]  # the function above
