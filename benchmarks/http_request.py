"""What counting costs a request through uvicorn, every HTTP family on."""

from __future__ import annotations

import re
import shutil
import subprocess
from contextlib import ExitStack
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory

from .measuring import Claim, Runs, ratios
from .served import WAYS, Served


def measure(short: bool) -> list[Claim]:
    """Count instructions, which hardly vary; in the long form CPU time as well, in many short runs."""
    what = "instructions of a request through uvicorn, to none counted"
    if short:
        return [claim(what, "thousands", counted(("nothing", "ours"), rounds=1))]
    return [
        claim(what, "thousands", counted(tuple(WAYS), rounds=2)),
        claim("CPU time of a request through uvicorn, to none counted", "us", timed(tuple(WAYS), rounds=10)),
    ]


def claim(what: str, unit: str, runs: Runs) -> Claim:
    """Compare every way with counting nothing."""
    to_none = {way: ratios(values, runs["nothing"]) for way, values in runs.items() if way != "nothing"}
    shown = {f"{way}, {unit}": values for way, values in runs.items()}
    return Claim(
        what=what, bar=1.1, better="lower", unit="times", ours=to_none.pop("ours"), peers=to_none, runs=shown,
        note="a routed FastAPI endpoint that answers at once",
    )  # fmt: skip


def counted(ways: tuple[str, ...], rounds: int) -> Runs:
    """Count thousands of instructions a request with callgrind: those of the process, not of the system's kernel."""
    if shutil.which("callgrind_control") is None:
        raise SystemExit("http_request needs valgrind: apt-get install valgrind")
    runs: Runs = {way: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            runs[way].append(instructions(way) / 1000)
    return runs


def instructions(way: str) -> float:
    """Count what one more request costs: the difference between many and few, without what counting itself costs."""
    with TemporaryDirectory() as directory:
        out = Path(directory) / "out"
        callgrind = ("valgrind", "--quiet", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}")
        with Served(way, around=callgrind) as served:
            served.ask(100)  # Python has then specialised what runs often
            few, many = 50, 150
            totals = [total(served, out, asked) for asked in (few, many)]
    return (totals[1] - totals[0]) / (many - few)


def total(served: Served, out: Path, asked: int) -> int:
    """Count the instructions of so many requests."""
    before = set(out.parent.iterdir())
    control(served, "-i", "on")
    served.ask(asked)
    control(served, "-i", "off")
    control(served, "--dump")
    [dumped] = set(out.parent.iterdir()) - before
    found = re.search(r"^totals: (\d+)$", dumped.read_text(), re.MULTILINE)
    if found is None:
        raise RuntimeError(f"{dumped} has no totals")
    return int(found[1])


def control(served: Served, *command: str) -> None:
    """Tell callgrind what to do, and wait until it did it."""
    subprocess.run(["callgrind_control", *command, str(served.process.pid)], capture_output=True, check=True)  # noqa: S607


def timed(ways: tuple[str, ...], rounds: int, tries: int = 20, requests: int = 50) -> Runs:
    """Take the microseconds of CPU that servers side by side spend on a request, in turns.

    A figure is the best of some tries: what else a machine does only ever adds.
    """
    runs: Runs = {way: [] for way in ways}
    with ExitStack() as stack:
        servers = {way: stack.enter_context(Served(way)) for way in ways}
        for served in servers.values():
            served.ask(3 * requests)
        for _ in range(rounds):
            best = dict.fromkeys(ways, inf)
            for _ in range(tries):
                for way, served in servers.items():
                    began = served.cpu()
                    served.ask(requests)
                    best[way] = min(best[way], 1e6 * (served.cpu() - began) / requests)
            for way in ways:
                runs[way].append(best[way])
    return runs
