"""Half a minute of a studio's life with faults in it, on a scripted model: for tests that need numbers of every kind.

Runs of every workflow complete; some fail, are cancelled, rejected, or taken up after a kill -9. The first model
refuses (429), breaks down (500), answers what nobody can use or in half, and another one answers for it. Requests are
refused for their size, host or content; a brand is stored twice.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from threading import Event

from tests.support.in_process_studio import matching_reply, rejecting
from tests.support.openai_server import ChatRequest, OpenAIServer, Reply, Usage, fails, says
from tests.support.studio import WORKFLOWS, StudioProcess
from tests.support.wait import wait_until

FIRST, SECOND = "gpt-4o-mini", "gpt-4o"
SETTINGS = {
    "llm": f"openai:{FIRST}",
    "llm_fallbacks": f"openai:{SECOND}",
    "llm_prices": "openai",
    "llm_retries": 1,
    "concurrency": 2,
    "database_details": True,
}
"""The studio's settings, beside the address of the model's server."""

LIMITS = {
    "x-ratelimit-limit-requests": "500",
    "x-ratelimit-remaining-requests": "420",
    "x-ratelimit-limit-tokens": "200000",
    "x-ratelimit-remaining-tokens": "150000",
}


@dataclass
class Script:
    """How the model's server answers: well, with a fault now and then, and as it is told.

    ``down`` are models that fail; ``rejects`` has reviewers reject; nothing is answered while ``gate`` is not set.
    """

    down: frozenset[str] = frozenset()
    rejects: bool = False
    gate: Event = field(default_factory=Event)
    _numbers: count[int] = field(default_factory=lambda: count(1))

    def __call__(self, request: ChatRequest) -> Reply:
        """Return the reply to a request."""
        if request.model in self.down:
            return fails(500)
        number = next(self._numbers)
        if request.model == FIRST and number % 9 == 4:
            return fails(429, retry_after=0.05)
        if request.model == FIRST and number % 13 == 6:
            return says("This is no JSON.", usage=Usage(40, 10))
        reply = matching_reply(request)
        if self.rejects:
            reply = rejecting(reply)
        usage = Usage(prompt=120 + number % 7, completion=30 + number % 5, cached=64 * (number % 2))
        finish = "length" if request.model == FIRST and number % 17 == 8 else None
        return replace(reply, usage=usage, delay=0.02, wait_for=self.gate, headers=LIMITS, finish=finish)


def live(studio: StudioProcess, script: Script, pause: Callable[[], object]) -> None:
    """Lead a studio that has just started through all of it; ``pause`` is called where a scrape has to see a state."""
    pause()  # everything at zero
    script.gate.set()
    submit_all(studio, WORKFLOWS * 3)
    script.gate.clear()
    waiting = [studio.submit("campaign", brand=f"Waiting {number}") for number in range(6)]
    pause()  # runs under way and in the queue
    assert studio.call("POST", "/api/v1/runs/{run_id}/cancel", run_id=waiting[0]).status_code == 200
    script.gate.set()
    for run_id in waiting:
        studio.wait_for_end(run_id)
    pause()
    script.rejects = True
    submit_all(studio, ("content_review", "product_content"))
    script.rejects = False
    script.down = frozenset({FIRST})
    submit_all(studio, ("product_content", "brand_identity"))  # the second model answers
    script.down = frozenset({FIRST, SECOND})
    submit_all(studio, ("product_content", "brand_identity"))  # these fail
    script.down = frozenset()
    pause()
    make_requests_that_are_refused(studio)
    pause()


def make_requests_that_are_refused(studio: StudioProcess) -> None:
    """Ask for what is not there, too much of it, or at another address."""
    for _ in range(2):
        studio.call("POST", "/api/v1/brands", json={"name": "Acme Twice"})
    studio.call("GET", "/api/v1/runs/{run_id}", run_id="no-such-run")
    studio.call("POST", "/api/v1/workflows/{workflow_type}/runs", workflow_type="product_content", json={})
    studio.call("POST", "/api/v1/brands", json={"name": "x" * 70_000})
    studio.call("GET", "/api/v1/runs", headers={"Host": "elsewhere.example"})
    studio.call("GET", "/health")
    studio.call("GET", "/api/v1/runs")


def submit_all(studio: StudioProcess, workflows: Sequence[str]) -> None:
    """Submit a run of each workflow and wait until all have ended."""
    for run_id in [studio.submit(workflow, brand=f"Brand of {workflow}") for workflow in workflows]:
        studio.wait_for_end(run_id)


def kill(studio: StudioProcess, script: Script) -> str:
    """Kill a studio in the middle of a run, and return the run's id; the next process takes it up."""
    script.gate.clear()
    run_id = studio.submit("product_content")
    wait_until(lambda: studio.total("llm_active_requests"))
    studio.stop(signal.SIGKILL)
    script.gate.set()
    return run_id


def serve_models(script: Script) -> OpenAIServer:
    """Return a server of both models that answers as a script says."""
    return OpenAIServer(script, models=(FIRST, SECOND))
