"""The options of a worker arrive as they were written."""

from __future__ import annotations

from dataclasses import replace

from app.llm.embedded.remote import RemoteEmbeddedServer
from app.server.worker_options import WorkerOptions

OPTIONS = WorkerOptions(
    arguments=["--port", "8080"],
    factory="app.main:create_app",
    listener_fd=3,
    metrics_listener_fd=4,
    ready_fd=5,
    model_server=None,
)


def test_options_are_one_line_that_gives_the_same_options() -> None:
    with_model = replace(OPTIONS, model_server=RemoteEmbeddedServer("http://127.0.0.1:40123", "key\n"))
    for options in (OPTIONS, with_model):
        line = options.to_json()
        assert "\n" not in line
        assert WorkerOptions.from_json(line) == options
