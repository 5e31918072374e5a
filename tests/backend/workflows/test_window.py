"""The context window in the settings is the one that prompts have to fit."""

from __future__ import annotations

import pytest

from events import context_built
from tests.support.in_process_studio import NewSettings, RecordedEvents, running_studio

pytestmark = pytest.mark.slow


async def test_contexts_are_measured_by_the_window_of_the_settings(
    recorded: RecordedEvents, new_settings: NewSettings
) -> None:
    """A server of one's own does not report its context window."""
    with context_built.captured() as contexts:
        async with running_studio(new_settings(llm_window=2000)) as studio:
            assert (await studio.wait_for_end(await studio.submit())).status == "completed"
    assert [(context.window, context.utilization) for context in contexts] == [(2000, 11 / 2000)] * 3
