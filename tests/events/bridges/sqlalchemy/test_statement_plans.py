"""How to emit a statement is worked out once for those that are alike, and for a bounded number of them."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from events.bridges.sqlalchemy import statement_plans
from events.bridges.sqlalchemy.statement_plans import StatementPlans


@pytest.fixture
def context() -> Any:
    """The context of the execution of a text."""
    engine, contexts = sa.create_engine("sqlite://"), list[Any]()
    sa.event.listen(engine, "after_cursor_execute", lambda *arguments: contexts.append(arguments[4]))
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
    engine.dispose()
    return contexts[0]


def test_statements_that_are_alike_have_one_plan(context: Any) -> None:
    plans = StatementPlans("main", None, 1.0, own=True)
    plan = plans.make(context, "SELECT * FROM parcels", slow=False)
    assert plans.make(context, "SELECT weight FROM parcels WHERE id = 7", slow=False) is plan
    assert plans.make(context, "SELECT * FROM letters", slow=False) is not plan
    assert plans.make(context, "DELETE FROM parcels", slow=False) is not plan
    assert plans.make(context, "SELECT * FROM parcels", slow=True) is not plan


def test_the_plans_of_ever_new_tables_are_bounded(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without metadata any text names tables."""
    monkeypatch.setattr(statement_plans, "_MOST_PLANS", 3)
    plans = StatementPlans("main", None, 1.0, own=True)
    kept = [plans.make(context, f"SELECT * FROM t{number}", slow=False) for number in range(3)]
    assert plans.make(context, "SELECT * FROM t3", slow=False) is not plans.make(
        context, "SELECT * FROM t3", slow=False
    )
    again = [plans.make(context, f"SELECT * FROM t{number}", slow=False) for number in range(3)]
    assert all(one is other for one, other in zip(again, kept, strict=True))
    assert len(plans._plans) == 3
