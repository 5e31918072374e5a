"""The window that the settings name is the one that prompts are fitted into and measured by."""

from __future__ import annotations

from events import context_built
from tests.support.in_process_studio import NewSettings, Told, living


async def test_contexts_are_measured_by_the_window_of_the_settings(told: Told, new_settings: NewSettings) -> None:
    """A server of one's own does not say how much it takes."""
    with context_built.captured() as contexts:
        async with living(new_settings(llm_window=2000)) as life:
            assert (await life.ended(await life.submit())).status == "completed"
    assert [(context.window, context.utilization) for context in contexts] == [(2000, 11 / 2000)] * 3
