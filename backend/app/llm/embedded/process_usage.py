"""The usage of the embedded model's process, as Linux has it; on other systems it is unknown."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

# The places in /proc/PID/stat after the name in brackets (proc_pid_stat(5): fields 14, 15 and 24 of all).
_USER_TICKS, _SYSTEM_TICKS, _RESIDENT_PAGES = 11, 12, 21


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """The processor time of a process, in seconds, since it was read before, and its memory now, in bytes.

    The memory is None where there is no process.
    """

    cpu_time: float
    resident_memory: int | None


class ProcessMeter:
    """Reads one process after the other, as the model's is replaced."""

    def __init__(self) -> None:
        self._pid: int | None = None
        self._cpu_time = 0.0  # of that process, as it was read last
        self._lock = Lock()

    def read(self, pid: int | None) -> ProcessUsage:
        """Return what the process used since the last call, or since its start; any thread may call it."""
        with self._lock:
            found = None if pid is None else read_stat(pid)
            if found is None:
                return ProcessUsage(0.0, None)
            cpu_time, resident_memory = found
            if pid != self._pid:
                self._pid, self._cpu_time = pid, 0.0
            spent, self._cpu_time = max(0.0, cpu_time - self._cpu_time), cpu_time
            return ProcessUsage(spent, resident_memory)


def read_stat(pid: int) -> tuple[float, int] | None:
    """Return the processor time of a process in seconds and its memory in bytes; None where nobody says."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
        fields = stat.rpartition(")")[2].split()  # the name in brackets may have spaces and brackets in it
        ticks = int(fields[_USER_TICKS]) + int(fields[_SYSTEM_TICKS])
        pages = int(fields[_RESIDENT_PAGES])
    except (OSError, ValueError, IndexError):
        return None
    return ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE")
