"""A studio that counts in exponential buckets, scraped by a Prometheus that asks for them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.prometheus import Prometheus
from tests.support.scripted_studio import scripted_studios
from tests.support.wait import wait_until
from tools.monitor import programs

pytestmark = [pytest.mark.slow, pytest.mark.needs("prometheus")]

MODEL_TIME = "llm_request_duration_seconds"


@pytest.mark.timeout(180)
def test_a_histogram_of_the_studio_is_one_series(tmp_path: Path, free_port: Callable[[], int]) -> None:
    with scripted_studios(tmp_path, free_port) as make, make(native_histograms=True) as studio:
        target = studio.url.removeprefix("http://")
        configuration = {
            "global": {"scrape_interval": "1s"},
            "scrape_configs": [{"job_name": "studio", "static_configs": [{"targets": [target]}]}],
        }
        (tmp_path / "prometheus.yml").write_text(json.dumps(configuration))
        with (
            programs.prometheus(tmp_path, free_port(), "--enable-feature=native-histograms") as program,
            Prometheus.at(program.url) as prometheus,
        ):
            assert studio.wait_for_end(studio.submit("product_content"))["status"] == "completed"
            calls = studio.total(f"{MODEL_TIME}_count")
            assert calls > 0
            wait_until(
                lambda: prometheus.query(f"sum(histogram_count(sparklio_{MODEL_TIME}))") == {(): calls}, every=0.2
            )
            assert prometheus.query(f"count(sparklio_{MODEL_TIME})") == {(): 1.0}
            assert prometheus.query('{__name__=~"sparklio_.*_bucket"}') == {}
            assert prometheus.query("sum(sparklio_workflows_total)") == {(): 1.0}
            quantile = prometheus.query(f"histogram_quantile(0.5, sum(sparklio_{MODEL_TIME}))")[()]
            assert quantile > 0
