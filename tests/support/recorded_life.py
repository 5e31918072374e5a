"""A short life of a studio with faults in it, on a scripted model, recorded from its live feed.

    python -m tests.support.recorded_life

writes it again, scrubbed, into ``tests/metrics/golden``. Runs complete, with a fallback and without, fail, are
cancelled and rejected; requests are refused; the studio is killed in the middle of a run, and the next process takes
it up.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.ports import free_port
from tests.support.studio import ENDED, StudioProcess
from tests.support.troubled_life import (
    FIRST,
    SECOND,
    SETTINGS,
    Script,
    kill,
    make_requests_that_are_refused,
    serve_models,
)
from tests.support.wait import wait_until
from tools.scrub_recording import scrub

RECORDINGS = Path(__file__).parents[1] / "metrics" / "golden" / "recordings"
RECORDED_LIFE = RECORDINGS / "life.jsonl"


@contextmanager
def recording(url: str, file: Path) -> Iterator[subprocess.Popen[str]]:
    """Record a studio while the block runs."""
    command = [sys.executable, "-m", "app", "record", str(file), "--url", url]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as recorder:
        try:
            wait_until(lambda: file.exists() or recorder.poll() is not None)
            yield recorder
        finally:
            recorder.send_signal(signal.SIGINT)


def run_to_its_end(studio: StudioProcess, *workflows: str) -> None:
    """Submit runs and wait for their ends, without asking more than is needed: each request is an event too."""
    for run_id in [studio.submit(workflow, brand="Acme Audio") for workflow in workflows]:
        wait_until(lambda run_id=run_id: studio.run(run_id)["status"] in ENDED, every=1.0)  # type: ignore[misc]


def live(studio: StudioProcess, script: Script) -> str:
    """Lead a studio through all of it but the last run, in the middle of which it is killed; return that run's id."""
    script.gate.set()
    run_to_its_end(studio, "product_content", "campaign")
    script.rejects = True
    run_to_its_end(studio, "content_review")
    script.rejects = False
    script.down = frozenset({FIRST})
    run_to_its_end(studio, "product_content")  # the second model answers
    script.down = frozenset({FIRST, SECOND})
    run_to_its_end(studio, "brand_identity")  # it fails
    script.down = frozenset()
    script.gate.clear()
    cancelled = studio.submit("campaign")
    wait_until(lambda: studio.total("llm_active_requests"), every=0.2)
    assert studio.call("POST", "/api/v1/runs/{run_id}/cancel", run_id=cancelled).status_code == 200
    script.gate.set()
    wait_until(lambda: studio.run(cancelled)["status"] in ENDED, every=1.0)
    make_requests_that_are_refused(studio)
    return kill(studio, script)


def record_life(directory: Path, file: Path) -> tuple[StudioProcess, str]:
    """Record the whole life; return the studio of its second part, which has stopped, and what it showed last."""
    os.environ["OPENAI_API_KEY"] = "none"
    script, port = Script(), free_port()
    with serve_models(script) as models:
        settings = {**SETTINGS, "llm_base_url": models.base_url}
        first = StudioProcess(directory, port, **settings)
        with first, recording(first.url, file) as recorder:
            run_id = live(first, script)
            with StudioProcess(directory, port, **settings) as second:
                wait_until(lambda: second.run(run_id)["status"] in ENDED, every=1.0)
                wait_until(lambda: run_id in file.read_text().partition('"gap"')[2])
                recorder.send_signal(signal.SIGINT)
                recorder.wait(60)
    return second, run_id


def main() -> None:
    """Write the recording again."""
    with TemporaryDirectory() as directory:
        file = Path(directory) / "life.jsonl"
        record_life(Path(directory), file)
        RECORDINGS.mkdir(exist_ok=True)
        with file.open() as lines:
            RECORDED_LIFE.write_text("".join(f"{line}\n" for line in scrub(lines)))


if __name__ == "__main__":
    main()
