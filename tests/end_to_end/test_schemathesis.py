"""The API does what its OpenAPI document says: schemathesis makes requests of all kinds by it, and checks answers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.in_process_studio import matching_reply
from tests.support.openai_server import OpenAIServer
from tests.support.studio import StudioProcess

pytestmark = [pytest.mark.slow, pytest.mark.schemathesis("schemathesis"), pytest.mark.timeout(600)]

KEY = "a-key-for-schemathesis"
CONFIG = """
[[operations]]
include-name = "POST /api/v1/workflows/{workflow_type}/runs"
# A valid request is refused with 422, too, where its Idempotency-Key is that of another one, which no schema can say.
checks.positive_data_acceptance.expected-statuses = ["2xx", 401, 403, 404, 409, 422, 429]
"""
OPTIONS = (
    "--checks=all",
    "--exclude-path=/api/v1/events",  # its answer does not end
    "--max-examples=8",
    "--generation-deterministic",
    "--no-shrink",
    # The machine may be slow, and what schemathesis generates need not be economical.
    "--suppress-health-check=all",
    "--request-timeout=60",
    "--no-color",
)


def test_the_api_does_what_its_document_says(tmp_path: Path, free_port: Callable[[], int]) -> None:
    settings = {"llm": "openai:gpt-4o-mini", "concurrency": 1, "api_keys": f"alice:{KEY}", "log_level": "warning"}
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    with OpenAIServer(matching_reply) as server:
        studio = StudioProcess(tmp_path, free_port(), llm_base_url=server.base_url, **settings)
        studio.environment["OPENAI_API_KEY"] = "none"
        with studio:
            command = [sys.executable, "-m", "schemathesis.cli", "run", f"{studio.url}/openapi.json", *OPTIONS]
            ran = subprocess.run(
                [*command, f"--header=Authorization: Bearer {KEY}"],
                cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
                capture_output=True,
                text=True,
                timeout=580,
                check=False,
            )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Traceback" not in studio.output
