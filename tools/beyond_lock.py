"""``python -m tools.beyond_lock LOCK``: print the pins of a lock file on standard input that another one has not."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(?:\[[^]]*])?==(?P<version>[^ ;\\]+)")


def pins(lines: Iterable[str]) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield each pin of a lock file as name and version, with its lines."""
    pin: tuple[str, str] | None = None
    block = ""
    for line in lines:
        if (begin := PIN.match(line)) is not None:
            if pin is not None:
                yield pin, block
            pin, block = (begin["name"].lower(), begin["version"]), ""
        if pin is not None:
            block += line
    if pin is not None:
        yield pin, block


def beyond(lines: Iterable[str], base: Iterable[str]) -> str:
    """Return the pins of one lock file that another has not, or in another version."""
    known = {pin for pin, _ in pins(base)}
    return "".join(block for pin, block in pins(lines) if pin not in known)


if __name__ == "__main__":
    sys.stdout.write(beyond(sys.stdin, Path(sys.argv[1]).read_text().splitlines(keepends=True)))
