"""Killed with -9 in phases of a run, the books agree: rows, metrics and model server. The long form: `make chaos`."""

from __future__ import annotations

import pytest

from tests.support.wait import wait_until
from tools.chaos.books import balance
from tools.chaos.kills import PHASES, Phase, kill_in
from tools.chaos.scene import Scene, open_scene

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CHOSEN = (
    "as the answer's end is sent",
    "while its usage cannot be stored",
    "as a run ends",
    "while the next process recovers",
)


def chosen_phases() -> list[Phase]:
    return [phase for phase in PHASES if phase.name in CHOSEN]


def agrees(scene: Scene) -> bool:
    books = balance(scene)
    return not books.faults and books.unread + books.lost <= books.interrupted


def test_no_count_and_no_token_is_lost_whenever_the_studio_is_killed() -> None:
    with open_scene(workers=1, seed=5) as scene:
        scene.start()
        for phase in chosen_phases():
            kill_in(scene, phase)
        scene.wait_until_ended(within=120)
        wait_until(lambda: agrees(scene), within=60)
        assert len(chosen_phases()) == len(CHOSEN)
        assert balance(scene).ends["completed"] == len(scene.accepted)
