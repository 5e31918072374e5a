"""Studios in processes of their own that ask a scripted model, which replies at once and in the form asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.in_process_studio import matching_reply
from tests.support.openai_server import OpenAIServer
from tests.support.studio import StudioProcess


@contextmanager
def scripted_studios(directory: Path, free_port: Callable[[], int]) -> Iterator[Callable[..., StudioProcess]]:
    """Run the model, and yield a function that returns a studio with these settings."""
    with OpenAIServer(matching_reply) as model:

        def make(**settings: object) -> StudioProcess:
            return StudioProcess(directory, free_port(), llm="openai:scripted", llm_base_url=model.base_url, **settings)

        yield make
