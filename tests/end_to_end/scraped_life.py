"""A troubled life of a studio as two Prometheus saw it, by kind of histogram, shared by the tests that ask them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
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


@pytest.fixture(scope="module")  # one has tests of it, and they would scrape on until a worker's end
def scraped_by(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[dict[str, Scraped]]:
    """Return the Prometheus that takes classic histograms and the one that takes native ones, after the same life."""
    directory, script, port = tmp_path_factory.mktemp("studio"), Script(), free_port()
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        models = stack.enter_context(serve_models(script))
        patch.setenv("OPENAI_API_KEY", "none")
        settings = {"llm_base_url": models.base_url, "native_histograms": True, **SETTINGS}
        studio, again = (StudioProcess(directory, port, **settings) for _ in range(2))
        target = f"http://localhost:{port}/metrics"
        stores = {
            name: stack.enter_context(
                running_prometheus(tmp_path_factory.mktemp(name), free_port(), target, native_histograms=native)
            )
            for name, native in (("classic", False), ("native", True))
        }
        start = time()

        def until_up() -> None:
            """Wait until each Prometheus finds the studio there."""
            for store in stores.values():
                wait_until(lambda: store.query("up == 1"))  # noqa: B023  # it returns in the loop

        def pause() -> None:
            """Wait until each Prometheus has seen the state of now twice."""
            for store in stores.values():
                store.wait_for_scrapes(2)

        with studio:
            until_up()
            live(studio, script, pause)
            run_id = kill(studio, script)
        with again:
            again.wait_for_end(run_id)
            until_up()
            pause()
            yield {name: Scraped(store, start, time()) for name, store in stores.items()}


@pytest.fixture(params=["classic", "native"])
def scraped(scraped_by: dict[str, Scraped], request: pytest.FixtureRequest) -> Scraped:
    """Return the Prometheus that takes classic histograms, and the one that takes native ones."""
    return scraped_by[request.param]
