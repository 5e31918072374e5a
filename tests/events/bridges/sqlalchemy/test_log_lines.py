"""The log lines of slow, long and repeated work of a database name the endpoint, and which statement repeats."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import pytest
import sqlalchemy as sa
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

import events
from events.bridges.asgi import HTTPEventsMiddleware
from events.bridges.sqlalchemy import instrument, repeat_log
from events.bus.log_throttle import LogThrottle


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[sa.Engine]:
    monkeypatch.setattr(repeat_log, "_throttle", LogThrottle())
    created = sa.create_engine(f"sqlite:///{tmp_path}/shop.db")
    with created.begin() as connection:
        connection.exec_driver_sql("create table orders (id integer, name text)")
    yield created
    created.dispose()


def shop(engine: sa.Engine) -> TestClient:
    """Return an application whose session is given back after its answer, as FastAPI's dependencies are."""
    app, inner = FastAPI(), FastAPI()

    def session() -> Iterator[Session]:
        with Session(engine) as opened:
            yield opened

    @app.get("/orders/{number}")
    def order(number: int, session: Annotated[Session, Depends(session)]) -> str:
        session.execute(sa.text(f"select name from orders where id = {number} and name = :name"), {"name": "hidden"})
        return "ok"

    @inner.get("/repeated")
    def repeated(session: Annotated[Session, Depends(session)]) -> str:
        for number in range(8):
            order(number, session)
        return "ok"

    app.mount("/{tenant}/inner", inner)
    app.add_middleware(HTTPEventsMiddleware)
    return TestClient(app)


def lines(caplog: pytest.LogCaptureFixture, beginning: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.getMessage().startswith(beginning)]


def test_slow_statements_and_long_holds_name_the_endpoint(engine: sa.Engine, caplog: pytest.LogCaptureFixture) -> None:
    with instrument(engine, slow_seconds=0.0, hold_seconds=0.0):
        shop(engine).get("/orders/7")
        with engine.connect() as connection:
            connection.exec_driver_sql("select 1")
    slow, outside = lines(caplog, "slow statement")
    assert "endpoint /orders/{number}, agent none, run none: select name from orders where id = ?" in slow
    assert "on main, agent none, run none: select ?" in outside
    hold, outside = lines(caplog, "long hold")
    assert hold.endswith("scope http, endpoint /orders/{number}, agent none, run none")
    assert outside.endswith("scope none, agent none, run none")


def test_the_agent_the_run_and_the_workflow_of_a_request_are_named_with_it(
    engine: sa.Engine, caplog: pytest.LogCaptureFixture
) -> None:
    app = FastAPI()

    @app.post("/runs")
    def run() -> None:
        with (
            events.workflow_run.scope(run_id="r1", workflow_type="campaign"),
            events.agent_run(agent_name="writer"),
            engine.connect() as connection,
        ):
            connection.exec_driver_sql("select 1")

    app.add_middleware(HTTPEventsMiddleware)
    with instrument(engine, slow_seconds=0.0, hold_seconds=0.0):
        TestClient(app).post("/runs")
    for beginning in ("slow statement", "long hold"):
        [line] = lines(caplog, beginning)
        assert "endpoint /runs, workflow campaign, agent writer, run r1" in line


def test_what_repeats_is_named_once_a_scope_without_what_it_was_asked_with(
    engine: sa.Engine, caplog: pytest.LogCaptureFixture
) -> None:
    with instrument(engine), caplog.at_level(logging.DEBUG, logger="events.sql"):
        client = shop(engine)
        for _ in range(3):  # the same again within a minute
            client.get("/acme/inner/repeated")
        with events.agent_run(agent_name="writer"), engine.connect() as connection:
            for number in range(8):
                connection.exec_driver_sql(f"select id from orders where name = 'secret {number}'")
    request, agent = lines(caplog, "repeated statement")
    assert request == (
        "repeated statement: sent 6 times to orders by one http_request, endpoint /{tenant}/inner/repeated, agent none,"
        " run none: select name from orders where id = ? and name = ?"
    )
    assert "by one agent, agent writer, run none: select id from orders where name = ?" in agent
    assert "secret" not in agent


def test_what_repeats_is_not_logged_where_nobody_debugs(engine: sa.Engine, caplog: pytest.LogCaptureFixture) -> None:
    with instrument(engine), caplog.at_level(logging.INFO, logger="events.sql"):
        shop(engine).get("/acme/inner/repeated")
    assert lines(caplog, "repeated statement") == []


def test_a_connection_that_was_returned_keeps_no_scope(engine: sa.Engine) -> None:
    with instrument(engine), events.agent_run(agent_name="writer"), engine.connect() as connection:
        state = connection.connection.events_state
        assert state.scope is not None
    assert state.scope is None
