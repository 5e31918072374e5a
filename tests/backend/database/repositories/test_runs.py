"""The transitions of runs, their idempotency keys and their pages."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import ORMExecuteState

from app.database import Database, Run
from app.database.repositories import brands, runs
from tests.backend.database.rows import MOMENT, queue_run


async def test_of_concurrent_callers_one_starts_a_run_and_one_ends_it(database: Database) -> None:
    """The caller that changed the row emits the event, so it has to be exactly one."""
    async with database.session() as session, session.begin():
        run_id = (await queue_run(session)).id

    async def begin() -> bool:
        async with database.session() as session, session.begin():
            return await runs.mark_running(session, run_id, MOMENT)

    async def finish(status: Any) -> bool:
        async with database.session() as session, session.begin():
            return await runs.mark_finished(session, run_id, status, None, {"text": status}, MOMENT)

    assert sorted(await asyncio.gather(*(begin() for _ in range(5)))) == [False] * 4 + [True]
    ends = await asyncio.gather(*(finish(status) for status in ("completed", "failed", "cancelled", "abandoned")))
    assert sorted(ends) == [False] * 3 + [True]
    assert not await begin()
    async with database.session() as session:
        run = await runs.get(session, run_id)
    assert run is not None
    assert run.output == {"text": run.status}
    assert run.finished_at == MOMENT


async def test_an_idempotency_key_belongs_to_the_first_run(database: Database) -> None:
    async def create() -> tuple[str, bool]:
        try:
            async with database.session() as session, session.begin():
                return (await queue_run(session, idempotency_key="key")).id, True
        except runs.IdempotencyKeyTaken as taken:
            return taken.run.id, False

    answers = await asyncio.gather(*(create() for _ in range(6)))
    assert len({run_id for run_id, _ in answers}) == 1
    assert sum(new for _, new in answers) == 1
    async with database.session() as session:
        first = await runs.get_by_idempotency_key(session, "key")
        assert first is not None
        assert first.brand.name == "Acme Audio"
        assert await runs.get_by_idempotency_key(session, "another") is None
        assert (await runs.list_page(session, limit=9, offset=0))[1] == 1


async def test_a_key_whose_run_is_deleted_as_it_is_asked_for_is_free(database: Database) -> None:
    """As where retention deletes it between the conflict and the look at who has the key."""
    async with database.session() as session, session.begin():
        first = (await queue_run(session, idempotency_key="key")).id

    def delete_first(state: ORMExecuteState) -> None:
        if state.is_select and deleted == []:
            deleted.append(first)
            state.session.execute(sa.delete(Run).where(Run.id == first))

    deleted: list[str] = []
    async with database.session() as session, session.begin():
        brand_id = (await brands.get_or_create(session, "Acme Audio")).id
        event.listen(session.sync_session, "do_orm_execute", delete_first)
        run = await runs.create(
            session, run_id="2", workflow_type="campaign", brand_id=brand_id, brief={}, idempotency_key="key"
        )
    assert (deleted, run.id) == ([first], "2")


async def test_pages_have_every_run_once_the_latest_first(database: Database) -> None:
    async with database.session() as session, session.begin():
        ids = [(await queue_run(session, workflow_type=kind)).id for kind in ("campaign", "product_content") * 3]
        await runs.mark_running(session, ids[0], MOMENT)
        await runs.mark_finished(session, ids[1], "failed", "no", None, MOMENT)
    async with database.session() as session:
        paged = [await runs.list_page(session, limit=4, offset=offset) for offset in (0, 4, 8)]
        assert [run.id for rows, _ in paged for run in rows] == ids[::-1]
        assert {total for _, total in paged} == {6}
        failed, total = await runs.list_page(
            session, limit=9, offset=0, status="failed", workflow_type="product_content"
        )
        assert ([run.id for run in failed], total) == ([ids[1]], 1)
        assert [run.id for run in await runs.list_unfinished(session)] == [ids[0], *ids[2:]]


async def test_a_run_of_an_unknown_brand_is_refused(database: Database) -> None:
    async with database.session() as session:
        with pytest.raises(Exception, match=r"(?i)foreign key"):
            await runs.create(session, run_id="1", workflow_type="campaign", brand_id=99, brief={})
