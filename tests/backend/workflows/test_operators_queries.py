"""What ``docs/hosts.md`` asks the database is what an operator wants to know."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from app.database import migrations
from app.workflows.executor_locks import host_name
from tests.support.in_process_studio import NewSettings, running_studio
from tests.support.openai_server import OpenAIServer, stalls
from tests.support.page_snippets import code_blocks
from tests.support.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

TOTALS, TABLES, HOLDER = code_blocks("sql", Path(__file__).parents[3] / "docs" / "hosts.md")


async def test_the_database_knows_the_totals_its_version_and_who_has_a_run(
    new_settings: NewSettings, new_migrated_postgres: Callable[[], str], model: OpenAIServer
) -> None:
    url = new_migrated_postgres()

    def ask(query: str) -> list[tuple[object, ...]]:
        with psycopg.connect(url) as connection:
            return connection.execute(query.encode()).fetchall()

    async with running_studio(new_settings(database_url=url, total_concurrency=3)) as studio:
        assert ask(TOTALS) == [(host_name(), 3)]
        newest = max((Path(migrations.__file__).parent / "versions").glob("[0-9]*.py"))
        assert ask(TABLES) == [(newest.name.partition("_")[0],)]
        model.behaviour = lambda _: stalls()
        run_id = await studio.submit()
        await until(lambda: ask(HOLDER.replace("RUN_ID", run_id)))
        [(holder,)] = ask(HOLDER.replace("RUN_ID", run_id))
        assert str(holder).startswith(host_name())
    assert ask(TOTALS) == []
