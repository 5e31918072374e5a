"""Cost of instrumenting a request through uvicorn, with every HTTP family subscribed."""

from __future__ import annotations

import re
import shutil
import subprocess
from contextlib import ExitStack
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory

from .http_server import VARIANTS, ServerProcess
from .measurement import Claim, Runs, ratios


def measure(short: bool) -> list[Claim]:
    """Count instructions, which hardly vary; in the long form measure CPU time as well, in many short runs."""
    what = "instructions of a request through uvicorn, to none counted"
    if short:
        return [claim(what, 1.03, "thousands", instructions(("nothing", "ours"), rounds=1))]
    return [
        claim(what, 1.03, "thousands", instructions(tuple(VARIANTS), rounds=2)),
        claim(
            "CPU time of a request through uvicorn, to none counted",
            1.1,
            "us",
            cpu_times(tuple(VARIANTS), rounds=10),
        ),
    ]


def claim(what: str, bar: float, unit: str, runs: Runs) -> Claim:
    """Compare every variant with none."""
    to_none = {name: ratios(values, runs["nothing"]) for name, values in runs.items() if name != "nothing"}
    shown = {f"{name}, {unit}": values for name, values in runs.items()}
    return Claim(
        what=what, bar=bar, better="lower", unit="times", ours=to_none.pop("ours"), peers=to_none, runs=shown,
        note="a routed FastAPI endpoint that answers at once",
    )  # fmt: skip


def instructions(names: tuple[str, ...], rounds: int) -> Runs:
    """Return thousands of instructions per request, counted by callgrind: the process's, without the kernel's."""
    if shutil.which("callgrind_control") is None:
        raise SystemExit("http_request needs valgrind: apt-get install valgrind")
    runs: Runs = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            runs[name].append(instructions_per_request(name) / 1000)
    return runs


def instructions_per_request(name: str) -> float:
    """Return the cost of one more request: the difference between many and few, without callgrind's own cost."""
    with TemporaryDirectory() as directory:
        out = Path(directory) / "out"
        callgrind = ("valgrind", "--quiet", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}")
        with ServerProcess(name, wrapper=callgrind) as server:
            server.request(100)  # by then the interpreter has specialised the code that runs often
            few, many = 100, 500  # the garbage collector's runs are among them, and few
            totals = [count_instructions(server, out, requests) for requests in (few, many)]
    return (totals[1] - totals[0]) / (many - few)


def count_instructions(server: ServerProcess, out: Path, requests: int) -> int:
    """Return the instructions of that many requests."""
    before = set(out.parent.iterdir())
    control(server, "-i", "on")
    server.request(requests)
    control(server, "-i", "off")
    control(server, "--dump")
    [dumped] = set(out.parent.iterdir()) - before
    found = re.search(r"^totals: (\d+)$", dumped.read_text(), re.MULTILINE)
    if found is None:
        raise RuntimeError(f"{dumped} has no totals")
    return int(found[1])


def control(server: ServerProcess, *command: str) -> None:
    """Send callgrind a command, and wait until it has obeyed."""
    subprocess.run(["callgrind_control", *command, str(server.process.pid)], capture_output=True, check=True)  # noqa: S607


def cpu_times(names: tuple[str, ...], rounds: int, tries: int = 20, requests: int = 50) -> Runs:
    """Return the microseconds of CPU time per request of servers that run side by side, measured in turns.

    A figure is the best of ``tries``, since other load on the machine only ever adds.
    """
    runs: Runs = {name: [] for name in names}
    with ExitStack() as stack:
        servers = {name: stack.enter_context(ServerProcess(name)) for name in names}
        for server in servers.values():
            server.request(3 * requests)
        for _ in range(rounds):
            best = dict.fromkeys(names, inf)
            for _ in range(tries):
                for name, server in servers.items():
                    began = server.cpu_seconds()
                    server.request(requests)
                    best[name] = min(best[name], 1e6 * (server.cpu_seconds() - began) / requests)
            for name in names:
                runs[name].append(best[name])
    return runs
