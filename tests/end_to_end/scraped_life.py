"""A troubled life of a studio as a Prometheus saw it, shared by the tests that ask it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import time

import pytest

from metrics.kit.expression_check import VARIABLES
from tests.support.prometheus import Labels, Prometheus, running_prometheus
from tests.support.studio import StudioProcess
from tests.support.troubled_life import SETTINGS, Script, kill, live, serve_models
from tests.support.wait import wait_until


@dataclass(frozen=True)
class Scraped:
    """A Prometheus after the life that it scraped, and when that was."""

    prometheus: Prometheus
    start: float
    end: float

    def over_time(self, expression: str) -> dict[Labels, list[float]]:
        """Evaluate an expression of a panel, a rule or a runbook over the whole life."""
        for variable, value in {
            **VARIABLES,
            "$__rate_interval": "10s",
            "$__range": "5m",
            "$job": "sparklio-backend",
        }.items():
            expression = expression.replace(variable, value)
        expression = re.sub(r"\$\w+", ".*", expression)
        return self.prometheus.query_range(expression, self.start, self.end)


@pytest.fixture(scope="session")
def scraped(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[Scraped]:
    directory, script, port = tmp_path_factory.mktemp("studio"), Script(), free_port()
    with pytest.MonkeyPatch.context() as patch, serve_models(script) as models:
        patch.setenv("OPENAI_API_KEY", "none")
        studio = StudioProcess(directory, port, llm_base_url=models.base_url, **SETTINGS)
        place = tmp_path_factory.mktemp("prometheus")
        with running_prometheus(place, free_port(), f"http://localhost:{port}/metrics") as prometheus:
            start = time()

            def pause() -> None:
                """Wait until Prometheus has seen the state of now twice."""
                prometheus.wait_for_scrapes(2)

            with studio:
                wait_until(lambda: prometheus.query("up == 1"))
                live(studio, script, pause)
                run_id = kill(studio, script)
            with StudioProcess(directory, port, llm_base_url=models.base_url, **SETTINGS) as again:
                again.wait_for_end(run_id)
                wait_until(lambda: prometheus.query("up == 1"))
                pause()
                yield Scraped(prometheus, start, time())
