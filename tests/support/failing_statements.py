"""Scenarios that fail on a real server, each with the reason that every driver's failure has to have."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from events.database import DatabaseError
from tests.support.wait import wait_until

Scenario = Callable[[sa.Engine, sa.Engine], None]
"""Fails on the first engine; the second one, which is not instrumented, is an administrator's."""

Failing = tuple[Scenario, DatabaseError]
"""A scenario with its reason."""

Refused = tuple[dict[str, Any], Scenario, DatabaseError]
"""The same, with changes of the address before it."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """How a server says what the scenarios need."""

    schema: tuple[str, ...]
    own_id: str
    cancel: str
    kill: str
    endless: str
    breaking: str
    waiting: str
    snapshot: tuple[str, ...]


TABLES = (
    "create table items (id int primary key, n int not null check (n < 1000), ref int references items (id))",
    "create table filler (id int)",
    "insert into items values (1, 1, null), (2, 1, null)",
)
SERVERS = {
    "postgresql": Server(
        schema=(
            "drop table if exists items, filler",
            *TABLES,
            "drop role if exists reader, locked, limited",
            "create role reader login",
            "create role locked nologin",
            "create role limited login connection limit 0",
            "grant select on items to reader",
        ),
        own_id="select pg_backend_pid()",
        cancel="select pg_cancel_backend({})",
        kill="select pg_terminate_backend({})",
        endless="select pg_sleep(60)",
        breaking="select 1 / (5000 - n) from generate_series(1, 10000) as n",
        waiting="select count(*) from pg_stat_activity where wait_event_type = 'Lock'",
        snapshot=("set transaction isolation level repeatable read",),
    ),
    "mysql": Server(
        schema=(
            "drop table if exists items, filler",
            *TABLES,
            "create or replace user reader@'%' identified by 'secret'",
            "create or replace user limited@'%' identified by 'secret' with max_user_connections 1",
            "grant select on test.* to reader@'%'",
        ),
        own_id="select connection_id()",
        cancel="kill query {}",
        kill="kill connection {}",
        endless="select sum(a.seq * b.seq) from seq_1_to_100000 a, seq_1_to_100000 b",
        breaking="select (select n from (select 1 as n union all select 2) two where n = 1 or seq > 5000)"
        " from seq_1_to_10000",
        waiting="select count(*) from information_schema.innodb_trx where trx_state = 'LOCK WAIT'",
        snapshot=("set innodb_snapshot_isolation = 1", "start transaction"),
    ),
}


def execute(*statements: str) -> Scenario:
    """Return a scenario that executes statements and commits."""

    def run(engine: sa.Engine, _: sa.Engine) -> None:
        with engine.connect() as connection:
            for statement in statements:
                connection.execute(sa.text(statement))
            connection.commit()

    return run


def in_a_transaction(connection: sa.Connection, statement: str) -> Any:
    """Return what a statement selects now, in a transaction of its own."""
    value = connection.scalar(sa.text(statement))
    connection.rollback()
    return value


def deadlock(engine: sa.Engine, admin: sa.Engine) -> None:
    """Lock two rows the other way round; the other one is spared, as it waits for longer or has changed more."""
    server = SERVERS[engine.dialect.name]
    with admin.connect() as other, engine.connect() as connection, ThreadPoolExecutor() as pool:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.text("set local deadlock_timeout = '10ms'"))
            other.execute(sa.text("set local deadlock_timeout = '60s'"))
        other.execute(sa.text("insert into filler values " + ", ".join(["(1)"] * 500)))
        other.execute(sa.text("update items set n = 2 where id = 2"))
        connection.execute(sa.text("update items set n = 2 where id = 1"))
        waiting = pool.submit(other.execute, sa.text("update items set n = 3 where id = 1"))
        with admin.connect() as watcher:
            wait_until(lambda: in_a_transaction(watcher, server.waiting))
        try:
            connection.execute(sa.text("update items set n = 3 where id = 2"))
        finally:
            connection.rollback()
            waiting.result()
            other.rollback()


def locked_row(engine: sa.Engine, admin: sa.Engine) -> None:
    with admin.connect() as other, engine.connect() as connection:
        other.execute(sa.text("update items set n = 2 where id = 2"))
        connection.execute(sa.text("select * from items where id = 2 for update nowait"))


def changed_since(engine: sa.Engine, admin: sa.Engine) -> None:
    with admin.connect() as other, engine.connect() as connection:
        for statement in SERVERS[engine.dialect.name].snapshot:
            connection.execute(sa.text(statement))
        connection.execute(sa.text("select * from items"))
        other.execute(sa.text("update items set n = n + 1 where id = 2"))
        other.commit()
        connection.execute(sa.text("update items set n = n + 1 where id = 2"))


def interrupted(engine: sa.Engine, admin: sa.Engine, how: str) -> None:
    """Have an administrator end a statement that is under way."""
    server = SERVERS[engine.dialect.name]
    running = {
        "postgresql": "select count(*) from pg_stat_activity where pid = {} and query like 'select pg_sleep%'",
        "mysql": "select count(*) from information_schema.processlist where id = {} and info like 'select sum%'",
    }[engine.dialect.name]

    def interrupt(target: int) -> None:
        with admin.connect() as other:
            wait_until(lambda: in_a_transaction(other, running.format(target)))
            other.execute(sa.text(how.format(target)))

    with engine.connect() as connection, ThreadPoolExecutor() as pool:
        target = connection.scalar(sa.text(server.own_id))
        done = pool.submit(interrupt, target)
        try:
            connection.execute(sa.text(server.endless))
        finally:
            done.result()


def cancelled(engine: sa.Engine, admin: sa.Engine) -> None:
    interrupted(engine, admin, SERVERS[engine.dialect.name].cancel)


def killed(engine: sa.Engine, admin: sa.Engine) -> None:
    interrupted(engine, admin, SERVERS[engine.dialect.name].kill)


def two_connections(engine: sa.Engine, _: sa.Engine) -> None:
    with engine.connect(), engine.connect():
        pass


# fmt: off
NOW = execute("select 1")
DELETE = execute("delete from items")

ON_BOTH: dict[str, Failing] = {
    "unique":        (execute("insert into items values (1, 1, null)"),                    "integrity"),
    "foreign key":   (execute("insert into items values (3, 1, 99)"),                      "integrity"),
    "not null":      (execute("insert into items values (3, null, null)"),                 "integrity"),
    "check":         (execute("insert into items values (3, 5000, null)"),                 "integrity"),
    "syntax":        (execute("selec 1"),                                                  "syntax"),
    "table":         (execute("select * from missing"),                                    "syntax"),
    "column":        (execute("select missing from items"),                                "syntax"),
    "function":      (execute("select missing(1)"),                                        "syntax"),
    "exists":        (execute("create table items (id int)"),                              "syntax"),
    "range":         (execute("insert into items values (3, 10000000000, null)"),          "data"),
    "subquery":      (execute("select (select id from items)"),                            "data"),
    "deadlock":      (deadlock,                                                            "deadlock"),
    "lock":          (locked_row,                                                          "lock_timeout"),
    "changed since": (changed_since,                                                       "serialization"),
    "cancelled":     (cancelled,                                                           "cancelled"),
    "killed":        (killed,                                                              "disconnect"),
}
EXECUTING: dict[str, dict[str, Failing]] = {
    "postgresql": ON_BOTH | {
        "time limit":  (execute("set local statement_timeout = 50", "select pg_sleep(60)"), "statement_timeout"),
        "read-only":   (execute("set transaction read only", "delete from items"),          "permission"),
        "raised":      (execute("do $$ begin raise exception 'no'; end $$"),                "other"),
    },
    "mysql": ON_BOTH | {
        "time limit":  (execute("set max_statement_time = 0.05", SERVERS["mysql"].endless), "statement_timeout"),
        "no default":  (execute("insert into items (id) values (3)"),                       "integrity"),
        "read-only":   (execute("start transaction read only", "delete from items"),        "permission"),
        "raised":      (execute("signal sqlstate '45000' set message_text = 'no'"),         "other"),
        "full":        (execute("set max_heap_table_size = 16384",
                                "create temporary table full (t char(255)) engine = memory",
                                "insert into full select repeat('x', 255) from seq_1_to_5000"), "other"),
    },
}
"""What fails as it is executed, by the server, with its reason."""

CONNECTING: dict[str, dict[str, Refused]] = {
    "postgresql": {
        "role":        ({"username": "nobody"},                       NOW,    "permission"),
        "login":       ({"username": "locked"},                       NOW,    "permission"),
        "denied":      ({"username": "reader"},                       DELETE, "permission"),
        "database":    ({"database": "missing"},                      NOW,    "connect"),
        "too many":    ({"username": "limited"},                      NOW,    "connect"),
    },
    "mysql": {
        "password":    ({"username": "reader", "password": "wrong"},  NOW,    "permission"),
        "denied":      ({"username": "reader", "password": "secret"}, DELETE, "permission"),
        "database":    ({"database": "missing"},                      NOW,    "connect"),
        "too many":    ({"username": "limited", "password": "secret", "database": ""}, two_connections, "connect"),
        "refused":     ({"port": 1},                                  NOW,    "connect"),
    },
}
"""What fails as somebody else connects, or because it is somebody else, by the server."""
# fmt: on
