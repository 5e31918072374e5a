"""Whether a statement writes, however it begins."""

from __future__ import annotations

import pytest

from events.bridges.sqlalchemy.sql import describe
from events.bridges.sqlalchemy.transaction_steps import _cached_steps, transaction_steps

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
    "explain analyze create table copies as select 1",
    "explain (analyze, verbose) create materialized view copies as select 1",
    "explain analyze verbose with new as (select 1) insert into users select * from new",
    "explain analyze execute add_user(1)",
    "explain (analyze false, analyze) delete from users",
    "explain analyze format = tree delete from users",
    "explain analyze ((with gone as (delete from users returning id) select * from gone))",
    "explain plan for select * from users",
    "analyze",
    "analyze delete from users",
    "pragma user_version = 5",
    "PRAGMA main.application_id(7)",
    "pragma incremental_vacuum",
    "with a as (select 1), b as (select 2) delete from users",
    "select 1; with a(id) as (select max(id) from posts), b as (select 2) delete from users",
    "select 1 insert into users values (1)",
    "select 1 update users set name = 'x'",
    "select id from users delete from users",
    "select count(*) as delete from users; delete from users",
    "begin transaction delete from users",
    "with a as not materialized (update users set name = 'x' returning id) select * from a",
    "begin select * into copies from users; end",
    "begin merge into users using new on users.id = new.id when matched then do nothing; end",
    "begin replace into users select 1; end",
    "begin insert into users values (1); end",
    "declare @n int select id into copies from users",
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
    "explain (analyze false) insert into users values (1)",
    "EXPLAIN (ANALYZE off, COSTS) DELETE FROM users",
    "explain (analyze 0) delete from users",
    "explain (analyze 'false') delete from users",
    "explain (analyze, analyze false) delete from users",
    "explain analyze select * from users",
    "explain (costs, analyze) select * from users",
    "explain analyze format = tree select * from users",
    "explain analyze (select * from users)",
    "explain analyze ((select * from users))",
    "explain analyze",
    "explain (verbose)",
    "explain query plan delete from users",
    "explain create table copies as select 1",
    "select insert from users",
    "select id, delete from users",
    "select update from users where update > 3",
    "select count(*) as delete from users",
    "select users.id as insert, users.delete from users order by update",
    "select (delete) from users where (update) = 1",
    "with a as (select 1 as delete, 2 as update) select delete, update from a",
    "with a as (select max(id) delete from users) select * from a",
    "with recursive a(id) as (select 1) search depth first by id set place select max(id) delete, place from a",
    "select (select id from users), delete from users",
    "select * from users where delete",
    "pragma foreign_keys = on",
    "pragma main.user_version",
    "pragma table_info(users)",
    "checkpoint",
    "discard all",
    "check table users",
    "kill 3",
    "help 'x'",
    "load 'auto_explain'",
    "prepare add_user as insert into users values (1)",
    "xa start 'a'",
    "begin select id into @n from users; end",
    "begin select id from users into outfile '/tmp/users'; end",
    "begin select id from users into dumpfile '/tmp/users'; end",
    "begin select id from users for update skip locked; end",
    "begin select id from users for no key update skip locked; end",
    "begin select insert(name, 1, 2, 'x'), replace(name, 'a', 'b'), users.update from users; end",
    "begin select (delete) from users where (update) = 1; end",
    "begin select id, update; end",
    "begin select insert, delete, update, id from users; end",
    "begin select replace, merge from users; end",
    "select 1;",
    "",
    ";;",
]


@pytest.mark.parametrize("statement", WRITING)
def test_a_statement_that_writes(statement: str) -> None:
    assert "write" in transaction_steps(describe(statement)[0], statement)


@pytest.mark.parametrize("statement", READING)
def test_a_statement_that_reads(statement: str) -> None:
    assert "write" not in transaction_steps(describe(statement)[0], statement)


def test_what_a_text_does_is_kept_unless_it_is_long() -> None:
    _cached_steps.cache_clear()
    for size in (10_000, 10_001):
        for _ in range(2):
            assert transaction_steps("other", "vacuum".ljust(size)) == ("write",)
    kept = _cached_steps.cache_info()
    assert (kept.currsize, kept.hits, kept.misses) == (1, 1, 1)


@pytest.mark.parametrize("size", [10_001, 200_000])
def test_a_statement_of_any_length_is_read(size: int) -> None:
    assert "write" in transaction_steps("select", f"select '{'x' * size}'; delete from users")
    assert "write" not in transaction_steps("select", f"select '{'x' * size}; delete from users'")


STEPS = {
    "BEGIN": ["begin"],
    "/* first */ begin": ["begin"],
    "-- first\nSTART TRANSACTION READ WRITE": ["begin"],
    "begin immediate": ["begin"],
    "begin tran": ["begin"],
    "commit": ["commit"],
    "  /* done */ COMMIT WORK;": ["commit"],
    "end": ["commit"],
    "end transaction": ["commit"],
    "rollback": ["rollback"],
    "abort": ["rollback"],
    "rollback transaction": ["rollback"],
    "commit and chain": ["commit", "begin"],
    "rollback and no chain": ["rollback"],
    "rollback to savepoint a": [],
    "rollback work to a": [],
    "rollback transaction a": [],  # T-SQL: to a savepoint
    "savepoint a": [],
    "release savepoint a": [],
    "prepare transaction 'a'": [],
    "commit prepared 'a'": [],
    "rollback prepared 'a'": [],
    "begin; insert into users values (1); insert into users values (2); commit": ["begin", "write", "commit"],
    "insert into users values (1); commit": ["write", "commit"],
    "insert into users values ('; commit')": ["write"],
    "select 1; rollback": ["rollback"],
    "begin delete from users; end;": ["write"],
    "declare n int; begin delete from users; commit; end;": ["write", "commit"],
    "create procedure p() as begin delete from users; commit; end": ["write"],
    "create trigger t after insert on users begin delete from posts; end": ["write"],
    "create function f() returns int as $$ begin commit; end $$ language plpgsql; commit": ["write", "commit"],
    "select case when true then 1 end": [],
    "select 1; delete from users; end;": ["write", "commit"],
    "declare c cursor for select 1; commit": ["commit"],
    "declare @n int; commit": ["commit"],
    "begin; end; commit": ["begin", "commit"],
    "rollback tran; commit": ["rollback", "commit"],
    "rollback release": ["rollback"],
    "rollback transaction and chain": ["rollback", "begin"],
    "commit no release": ["commit"],
    "begin atomic delete from users; end": ["write"],
    ";; commit": ["commit"],
    "(commit)": ["commit"],
    "select 1 as commit": [],
}


@pytest.mark.parametrize("statement", STEPS)
def test_what_a_text_does_to_its_transaction(statement: str) -> None:
    assert [*transaction_steps(describe(statement)[0], statement)] == STEPS[statement]
