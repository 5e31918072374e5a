"""Every driver's failures have the same reasons: on real servers, and on databases that are embedded."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
import sqlalchemy as sa

import events
from events.bridges.sqlalchemy import instrument
from tests.support.databases import ScenarioRunner, scenario_runner
from tests.support.failing_statements import CONNECTING, EXECUTING, SERVERS, Failing, Refused, execute
from tests.support.mariadb import mariadb_server

pytestmark = pytest.mark.slow


def driver(name: str, *modules: str, programs: tuple[str, ...] = ()) -> Any:
    """Return a parameter for a driver; ``modules`` are those that the environment of drivers has."""
    marks = [pytest.mark.drivers(*modules)] if modules else []
    return pytest.param(name, marks=[*marks, *([pytest.mark.needs(*programs)] if programs else [])])


DRIVERS = [
    driver("postgresql+psycopg"),
    driver("postgresql+psycopg_async"),
    driver("postgresql+asyncpg"),
    driver("postgresql+psycopg2", "psycopg2"),
    driver("postgresql+pg8000", "pg8000"),
    driver("mysql+pymysql", "pymysql", programs=("mariadbd",)),
    driver("mysql+aiomysql", "aiomysql", programs=("mariadbd",)),
    driver("mysql+asyncmy", "asyncmy", programs=("mariadbd",)),
    driver("mysql+pyodbc", "pyodbc", programs=("mariadbd", "odbcinst")),
]


@pytest.fixture(scope="module")
def server_of(request: pytest.FixtureRequest) -> Iterator[Callable[[str], sa.URL]]:
    """Return a function that starts the server of a driver when it is first asked for, and returns its address."""
    with ExitStack() as stack:
        addresses: dict[str, sa.URL] = {}

        def address(driver_name: str) -> sa.URL:
            name = driver_name.partition("+")[0]
            if name not in addresses:
                if name == "postgresql":
                    addresses[name] = request.getfixturevalue("postgresql")
                else:
                    port: int = request.getfixturevalue("free_port")()
                    addresses[name] = stack.enter_context(mariadb_server(port))
                engine = sa.create_engine(addresses[name])
                with engine.begin() as connection:
                    for statement in SERVERS[name].schema:
                        connection.execute(sa.text(statement))
                engine.dispose()
            return addresses[name]

        yield address


@pytest.fixture
def admin(server_of: Callable[[str], sa.URL], driver_name: str) -> Iterator[sa.Engine]:
    """Return an engine that is not instrumented."""
    engine = sa.create_engine(server_of(driver_name))
    yield engine
    engine.dispose()


def address_for(driver_name: str, address: sa.URL, changes: dict[str, Any]) -> sa.URL:
    """Return the address of a server for a driver; ODBC is told driver and port as it wants them."""
    address = address.set(**changes)
    if driver_name != "mysql+pyodbc":
        return address
    return address.update_query_dict({"driver": "MariaDB Unicode", "port": str(address.port)})


async def failures_of(runner: ScenarioRunner, scenario: Callable[..., None], *others: Any) -> list[tuple[str, str]]:
    """Run a scenario that fails; return phase and reason of each failure that was emitted."""
    with (
        instrument(runner.engine),
        events.database_failed.captured() as failures,
        warnings.catch_warnings(),
        suppress(Exception),
    ):
        warnings.simplefilter("ignore")  # drivers warn of connections that they lost
        await runner.run(scenario, *others)
        pytest.fail("it did not fail")
    return [(failure.phase, failure.error) for failure in failures]


def cases(scenarios: Mapping[str, Mapping[str, Any]]) -> list[Any]:
    """Return parameters for each driver and each scenario of its server."""
    return [
        pytest.param(name, case, marks=each.marks, id=f"{name}-{scenario}")
        for each in DRIVERS
        for name in each.values
        for scenario, case in scenarios[str(name).partition("+")[0]].items()
    ]


@pytest.mark.parametrize(("driver_name", "case"), cases(EXECUTING))
async def test_a_failure_has_the_same_reason_by_every_driver(
    admin: sa.Engine, server_of: Callable[[str], sa.URL], driver_name: str, case: Failing
) -> None:
    scenario, reason = case
    async with scenario_runner(address_for(driver_name, server_of(driver_name), {}), driver_name) as runner:
        failures = await failures_of(runner, scenario, admin)
    assert failures[0] == ("execute", reason)
    assert {each for _, each in failures} == {reason}  # the rollback of a connection that was lost fails too


@pytest.mark.parametrize(("driver_name", "case"), cases(CONNECTING))
async def test_a_refused_connection_has_the_same_reason_by_every_driver(
    admin: sa.Engine, server_of: Callable[[str], sa.URL], driver_name: str, case: Refused
) -> None:
    changes, scenario, reason = case
    async with scenario_runner(address_for(driver_name, server_of(driver_name), changes), driver_name) as runner:
        failures = await failures_of(runner, scenario, admin)
    [(phase, error)] = failures
    assert phase in {"connect", "execute"}
    # pg8000 says goodbye to a server that may have hung up by then, and raises that this failed instead of the refusal.
    assert error == reason or (driver_name == "postgresql+pg8000" and error == "connect")


def fetch_all(engine: sa.Engine, _: sa.Engine) -> None:
    with engine.connect() as connection:
        connection.execution_options(yield_per=10).execute(sa.text(SERVERS[engine.dialect.name].breaking)).all()


@pytest.mark.parametrize("driver_name", DRIVERS)
async def test_a_stream_that_breaks_fails_as_it_is_fetched(
    admin: sa.Engine, server_of: Callable[[str], sa.URL], driver_name: str
) -> None:
    async with scenario_runner(address_for(driver_name, server_of(driver_name), {}), driver_name) as runner:
        failures = await failures_of(runner, fetch_all, admin)
    assert failures == [("execute" if driver_name == "mysql+pyodbc" else "fetch", "data")]  # it fetches all at once


@pytest.mark.parametrize("driver_name", ["postgresql+psycopg", "postgresql+asyncpg"])
async def test_a_server_that_does_not_answer_is_a_failure_to_connect(driver_name: str, tmp_path: Path) -> None:
    """asyncpg raises what the operating system does, which SQLAlchemy has no event for."""
    address = sa.make_url(f"postgresql://nobody@/none?host={tmp_path}")
    async with scenario_runner(address, driver_name) as runner:
        assert await failures_of(runner, execute_alone("select 1")) == [("connect", "connect")]


def execute_alone(*statements: str) -> Callable[[sa.Engine], None]:
    """Return a scenario that needs no administrator."""
    return lambda engine: execute(*statements)(engine, engine)


def on_two(*statements: str) -> Callable[[sa.Engine], None]:
    """Return a scenario that executes statements on connections in turn, and then commits on each."""

    def run(engine: sa.Engine) -> None:
        with ExitStack() as stack:
            connections = [stack.enter_context(engine.connect()) for _ in statements]
            for connection, statement in zip(connections, statements, strict=True):
                connection.execute(sa.text(statement))
            for connection in connections:
                connection.commit()

    return run


def interrupt(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        raw: Any = connection.connection.driver_connection
        Timer(0.1, raw.interrupt).start()
        connection.execute(sa.text("select sum(a.range * b.range) from range(200000) a, range(200000) b"))


# fmt: off
DUCKDB: Iterable[tuple[str, Callable[[sa.Engine], None], tuple[str, str]]] = [
    ("unique",     execute_alone("insert into items values (1, 1, null)"),            ("execute", "integrity")),
    ("check",      execute_alone("insert into items values (3, 5000, null)"),         ("execute", "integrity")),
    ("syntax",     execute_alone("selec 1"),                                          ("execute", "syntax")),
    ("table",      execute_alone("select * from missing"),                            ("execute", "syntax")),
    ("column",     execute_alone("select missing from items"),                        ("execute", "syntax")),
    ("text",       execute_alone("insert into items values (3, 'x', null)"),          ("execute", "data")),
    ("files",      execute_alone("set enable_external_access = false",
                                 "select * from read_csv('/etc/hosts')"),             ("execute", "permission")),
    ("memory",     execute_alone("set memory_limit = '10MB'", "set max_temp_directory_size = '0KB'",
                                 "create table large as select range, repeat('x', 1000) from range(100000)"),
                                                                                      ("execute", "other")),
    ("interrupt",  interrupt,                                                         ("execute", "cancelled")),
    ("conflict",   on_two("update items set n = 5", "update items set n = 6"),        ("execute", "serialization")),
    ("commit",     on_two("insert into items values (4, 1, null)",
                          "insert into items values (4, 1, null)"),                   ("commit", "integrity")),
    ("nested",     execute_alone("begin", "begin"),                                   ("execute", "other")),
]
# fmt: on


@pytest.mark.drivers("duckdb", "duckdb_engine")
@pytest.mark.parametrize(("scenario", "failure"), [pytest.param(*each[1:], id=each[0]) for each in DUCKDB])
async def test_a_failure_of_duckdb_has_the_reason_of_its_class_or_text(
    tmp_path: Path, scenario: Callable[..., None], failure: tuple[str, str]
) -> None:
    address = sa.make_url(f"duckdb:///{tmp_path}/items.db")
    async with scenario_runner(address, "duckdb") as runner:
        with runner.engine.begin() as connection:
            for statement in SERVERS["postgresql"].schema[1:4]:
                connection.execute(sa.text(statement))
        assert await failures_of(runner, scenario) == [failure]


@pytest.mark.drivers("duckdb", "duckdb_engine")
async def test_a_database_of_duckdb_may_be_read_only_or_none(tmp_path: Path) -> None:
    address = sa.make_url(f"duckdb:///{tmp_path}/items.db")
    async with scenario_runner(address, "duckdb") as runner:
        await runner.run(execute_alone("create table items (id int)"))
    async with scenario_runner(address, "duckdb", connect_args={"read_only": True}) as runner:
        assert await failures_of(runner, execute_alone("delete from items")) == [("execute", "permission")]
    (tmp_path / "text").write_text("hello")
    async with scenario_runner(address.set(database=str(tmp_path / "text")), "duckdb") as runner:
        assert await failures_of(runner, execute_alone("select 1")) == [("connect", "connect")]
