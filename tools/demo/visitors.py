"""The clients of the API: they start runs and look at them, cancel some, and in one act ask for what is refused."""

from __future__ import annotations

from contextlib import suppress
from random import Random

import httpx

from tests.support.studio import BRIEF, WORKFLOWS

from .acts import Act

SHARES = (6, 2, 4, 1)
BRANDS = ("Acme Audio", "Borealis Tea", "Cobalt Cycles", "Dune Skincare", "Ember Coffee")
CANCELLED = 0.04
LOOKS_A_SECOND = 4.0
REFUSED_A_SECOND = 8.0


class Visitors:
    """Clients of the API: what comes, comes at random moments, at the rate that the act has."""

    def __init__(self, url: str, random: Random) -> None:
        self._client = httpx.Client(base_url=url, timeout=10.0)
        self._random = random
        self._at = 0.0
        self._started: list[str] = []
        build = self._client.build_request
        self._refused = (
            build("GET", "/api/v1/runs", headers={"Host": "elsewhere.example"}),
            build("POST", "/api/v1/brands", json={"name": "x" * 70_000}),
            build("POST", "/api/v1/brands", json={}, headers={"Origin": "https://elsewhere.example"}),
            build("POST", "/api/v1/workflows/campaign/runs", json={"brand": 7}),
            build("GET", "/api/v1/runs/no-such-run"),
            build("GET", "/wp-login.php"),
        )

    def come(self, act: Act, now: float) -> None:
        """Make the requests that are due at this moment."""
        seconds, self._at = min(now - self._at, 1.0) if self._at else 0.0, now
        for rate, visit in (
            (act.runs / 60, self._start_run),
            (LOOKS_A_SECOND, self._look),
            (REFUSED_A_SECOND if act.floods else 0.0, self._ask_for_what_is_refused),
        ):
            if self._random.random() < rate * seconds:
                with suppress(httpx.HTTPError):  # the studio counts it, or is starting
                    visit()

    def _start_run(self) -> None:
        (workflow,) = self._random.choices(WORKFLOWS, SHARES)
        brief = {**BRIEF, "brand": self._random.choice(BRANDS)}
        answer = self._client.post(f"/api/v1/workflows/{workflow}/runs", json=brief)
        if answer.status_code == 202:
            self._started = [*self._started[-20:], answer.json()["run_id"]]
            if self._random.random() < CANCELLED:
                self._client.post(f"/api/v1/runs/{self._started[-1]}/cancel")

    def _look(self) -> None:
        paths = ["/", "/api/v1/runs", "/api/v1/brands", "/health", *(f"/api/v1/runs/{run}" for run in self._started)]
        self._client.get(self._random.choice(paths))

    def _ask_for_what_is_refused(self) -> None:
        self._client.send(self._random.choice(self._refused))
