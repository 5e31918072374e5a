"""Whether a statement writes, however it begins."""

from __future__ import annotations

import pytest

from events.bridges.sqlalchemy.sql import describe
from events.bridges.sqlalchemy.write_detection import writes

WRITING = [
    "insert into users values (1)",
    "-- a comment\n/* and another */ INSERT INTO users VALUES (1)",
    "with new as (select 1) insert into users select * from new",
    "with gone as (delete from users returning *) select count(*) from gone",
    "WITH changed AS (UPDATE users SET name = 'x' RETURNING id), more AS (SELECT 1) SELECT * FROM changed",
    'with gone as (delete from "users" returning *) select * from gone',
    "merge into users using new on users.id = new.id when matched then delete",
    "with new as (select 1) merge into users using new on true when not matched then insert default values",
    "replace into users values (1)",
    "with new(id) as (select 1) replace into users select id from new",
    "call archive()",
    "exec dbo.archive",
    "copy users from stdin",
    "copy users (id, name) from '/tmp/users'",
    "truncate users",
    "create table copies as select * from users",
    "select * into copies from users",
    "explain analyze delete from users",
    "explain (analyze, buffers) insert into users values (1)",
    "select 1; insert into users values (1)",
    "set local statement_timeout = 10; update users set name = 'x'",
    "do $$ begin delete from users; end $$",
    "begin update users set name = 'x'; end;",
    "declare @n int; set @n = 1; insert into users values (@n)",
    "notify changes",
]
READING = [
    "select * from users",
    "(select 1) union (select 2)",
    "with found as (select 1) select * from found",
    "select * from users for update",
    "select * from users for no key update of users skip locked",
    "select 'delete from users; insert into users'",
    "select 1 -- ; delete from users",
    "select /* insert into users */ 1",
    'select "update" from users',
    "select users.delete, replace(name, 'a', 'b'), insert(name, 1, 2, 'x') from users",
    "select $$ delete from users $$",
    "select id from users into outfile '/tmp/users'",
    "explain delete from users",
    "copy users to stdout",
    "copy (select * from users where from_where = 1) to stdout",
    "values (1), (2)",
    "pragma user_version",
    "set search_path to a",
    "begin",
    "savepoint a",
    "fetch 10 from users_cursor",
    "declare users_cursor cursor for select * from users",
    "listen changes",
    "lock table users",
    "select 1;",
    "",
    ";;",
]


@pytest.mark.parametrize("statement", WRITING)
def test_a_statement_that_writes(statement: str) -> None:
    assert writes(describe(statement)[0], statement)


@pytest.mark.parametrize("statement", READING)
def test_a_statement_that_reads(statement: str) -> None:
    assert not writes(describe(statement)[0], statement)


@pytest.mark.parametrize("size", [10_001, 200_000])
def test_a_statement_of_any_length_is_read(size: int) -> None:
    assert writes("select", f"select '{'x' * size}'; delete from users")
    assert not writes("select", f"select '{'x' * size}; delete from users'")
