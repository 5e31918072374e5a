"""The studio's collectors have their names and are live, and a scrape is one response."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from textwrap import dedent

import pytest

from tests.support.preloaded import LIBRARIES, run_preloaded

pytestmark = pytest.mark.slow

# In a process of its own: importing the module subscribes the process for good.
PROGRAM = """
    from app.monitoring import prometheus_metrics as live
    from events import agent_run, context_built, http_request_finished, llm_called, query_executed, workflow_run

    with workflow_run(run_id="1", workflow_type="campaign"):
        assert live.active_workflows.labels("campaign")._value.get() == 1
        with agent_run(agent_name="copywriter"):
            context_built.emit(size=2000)
            llm_called.emit(model="m", status="success", duration=1.0, prompt_tokens=30, completion_tokens=7)
    http_request_finished.emit(method="GET", endpoint="/health", status_code=200, outcome="ok", duration=0.1)
    query_executed.emit(operation="select", table="runs", duration=0.1)

    assert live.request_counter.labels("GET", "/health", "200")._value.get() == 1
    assert live.request_latency.labels("GET", "/health")._sum.get() == 0.1
    assert live.agent_execution_counter.labels("copywriter", "success")._value.get() == 1
    assert live.agent_latency.labels("copywriter")._sum.get() > 0
    assert live.llm_tokens_used.labels("m", "prompt")._value.get() == 30
    assert live.llm_latency.labels("m")._sum.get() == 1.0
    assert live.workflow_counter.labels("campaign", "completed")._value.get() == 1
    assert live.active_workflows.labels("campaign")._value.get() == 0
    assert live.context_size_bytes.labels("copywriter")._sum.get() == 2000
    assert live.db_query_counter.labels("select", "runs")._value.get() == 1
    assert live.db_query_latency.labels("select", "runs")._sum.get() == 0.1

    response = live.metrics_endpoint()
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert b'sparklio_agent_executions_total{agent_name="reviewer",status="timeout"} 0.0' in response.body
    assert b"process_cpu_seconds_total" in response.body
    assert b"_created" not in response.body
"""


def run(*options: str, program: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a program, in a process that has imported libraries alone, and return how it went."""
    environment = {**os.environ, **settings}
    command = (*options, "-c", dedent(program))
    return run_preloaded(*command, modules=LIBRARIES, cwd=Path.cwd(), env=environment, timeout=100)


def test_the_named_collectors_are_live() -> None:
    ran = run("-W", "error", program=PROGRAM)
    assert (ran.returncode, ran.stderr) == (0, "")


EXPONENTIAL = """
    from app.monitoring import prometheus_metrics as live
    from events import llm_called

    llm_called.emit(model="m", status="success", duration=1.0)
    accept = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
    body = live.metrics_endpoint(accept).body
    print(hasattr(live.llm_latency.labels("m"), "_native_buckets"), len(body) > 1000)
"""


@pytest.mark.parametrize(("setting", "expected"), [("", "False True"), ("true", "True True")])
def test_exponential_buckets_are_counted_where_the_setting_asks_for_them(setting: str, expected: str) -> None:
    ran = run(program=EXPONENTIAL, SPARKLIO_NATIVE_HISTOGRAMS=setting)
    assert (ran.returncode, ran.stdout.split()) == (0, expected.split()), ran.stderr
