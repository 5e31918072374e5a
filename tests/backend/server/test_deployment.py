"""Deployments of the studio that make its metrics wrong: it logs a warning, and `doctor` says what to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from metrics.__main__ import main
from tests.support.in_process_studio import matching_reply
from tests.support.openai_server import OpenAIServer
from tests.support.server_process import environment_with_shifted_clock, running_server
from tests.support.studio import StudioProcess

pytestmark = pytest.mark.slow

TOKEN, PASSWORD = "hush-token", "hush-password"


@pytest.fixture
def new_studio(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Callable[..., StudioProcess]]:
    with OpenAIServer(matching_reply) as model:
        settings_of_model = {"llm": "openai:scripted", "llm_base_url": model.base_url}
        yield lambda **settings: StudioProcess(tmp_path, free_port(), **settings_of_model, **settings)


def test_doctor_finds_a_studio_that_reloads(
    new_studio: Callable[..., StudioProcess], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``uvicorn app.main:app --reload``: its counters start at zero when a file changes."""
    studio, log, watched = new_studio(), tmp_path / "log", tmp_path / "watched"
    watched.mkdir()
    port = studio.url.rpartition(":")[2]
    command = ["-m", "uvicorn", "app.main:app", "--port", port, "--reload", "--reload-dir", str(watched)]
    with studio.client, running_server(f"{studio.url}/health/live", command, tmp_path, studio.environment, log):
        assert studio.wait_for_end(studio.submit("brand_identity"))["status"] == "completed"
        assert main(["doctor", f"{studio.url}/metrics"]) == 1
    finding, last = capsys.readouterr().out.splitlines()
    assert re.match(r"- reload: found by the server at its start: .*Leave --reload", finding)
    assert last == f"FAILED: {studio.url}/metrics"
    assert "the numbers will be wrong (reload)" in log.read_text()


@pytest.mark.parametrize(("seconds", "direction"), [(3600, "ahead of"), (-3600, "behind")])
def test_doctor_finds_a_clock_that_differs_from_the_databases(
    seconds: int,
    direction: str,
    new_studio: Callable[..., StudioProcess],
    new_migrated_postgres: Callable[[], str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The studio compares its clock with PostgreSQL's at its start, and `doctor` with the one of this machine."""
    studio = new_studio(database_url=new_migrated_postgres())
    studio.environment |= environment_with_shifted_clock(seconds, studio.directory)
    studio.preloaded = False
    with studio:
        assert studio.total("setup_faults_total", fault="clock") == 1
        assert main(["doctor", f"{studio.url}/metrics"]) == 1
    [observed, found, _] = capsys.readouterr().out.splitlines()
    assert re.match(rf"- clock: the server's is 3(599|600) s {direction} the one here: .*NTP", observed)
    assert re.match(r"- clock: found by the server at its start: .*the database's.*NTP", found)
    assert " WARNING metrics: the numbers will be wrong (clock)" in studio.output


def test_doctor_says_how_to_send_the_secret_of_a_protected_studio(
    new_studio: Callable[..., StudioProcess], capsys: pytest.CaptureFixture[str]
) -> None:
    """Without it, with the token, and with the password in the URL; neither is ever shown."""
    with new_studio(metrics_token=TOKEN, metrics_password=PASSWORD) as studio:
        url = f"{studio.url}/metrics"
        assert main(["doctor", url]) == 2
        assert main(["doctor", url, "--header", f"Authorization: Bearer not-{TOKEN}"]) == 2
        refused = capsys.readouterr().err
        assert refused.count("--header 'Authorization: Bearer TOKEN'") == 2
        assert main(["doctor", url, "--header", f"Authorization: Bearer {TOKEN}"]) == 0
        assert main(["doctor", url.replace("//", f"//any:{PASSWORD}@")]) == 0
        assert capsys.readouterr().out.splitlines() == [f"ok: {url}"] * 2
    assert "the numbers will be wrong" not in studio.output
    assert not any(secret in output for secret in (TOKEN, PASSWORD) for output in (refused, studio.output))
