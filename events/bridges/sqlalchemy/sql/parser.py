"""Reads one SQL statement as far as it takes to know its operation and its table."""

from __future__ import annotations

from collections.abc import Callable, Container
from itertools import islice

from ....database import Operation
from . import keywords as words
from .keywords import SYSTEM, label_of
from .lexer import END, VALUE, Token, tokens

DEPTH = 30
"""How deep parentheses are followed."""

_PARENTHESES = frozenset({"(", ")", ";"})
_COMPARING = (["is", "distinct"], ["not", "distinct"])  # IS [NOT] DISTINCT FROM begins no list of tables


class Statement:
    """Reads one statement, token by token, and no further than its table is known."""

    def __init__(self, sql: str) -> None:
        self._unread = tokens(sql)
        self._read: list[Token] = []
        self._at = 0
        self._tables_of: dict[str, str] = {}  # common table expressions: their first table
        self._depth = 0
        self.cut = False

    def _peek(self, further: int = 0) -> Token:
        at = self._at + further
        while at >= len(self._read):
            more = list(islice(self._unread, 64))
            if not more:
                self.cut = self.cut or self._read[-1:] != [END]
                return END
            self._read += more
        return self._read[at]

    def _take(self) -> Token:
        token = self._peek()
        self._at += token is not END
        return token

    def _seek(self, stops: Container[str]) -> str:
        """Go to the next of these words, or to the end."""
        while True:
            for at in range(self._at, len(self._read)):
                if self._read[at][0] in stops:
                    self._at = at
                    return self._read[at][0]
            self._at = len(self._read)
            if self._peek() is END:
                return END[0]

    def read(self) -> tuple[Operation, str]:
        """Describe the whole statement; the table is empty where there is none."""
        while self._peek() in words.OPENINGS:
            self._take()
        verb = self._peek()[0]
        only_before = words.ONLY_BEFORE.get(verb)
        if only_before is not None and self._peek(1)[0] not in only_before:
            return "other", ""
        return self._query()

    def _query(self) -> tuple[Operation, str]:
        """Read from a verb on, at the top or inside parentheses."""
        verb, first = self._take()[0], ""
        known = self._tables_of
        if verb == "with":
            self._tables_of = dict(known)
            first = self._expressions()
            while self._peek()[0] == "(":
                self._take()
            verb = self._take()[0]
        operation = words.OPERATIONS.get(verb, "other")
        table = _READERS[operation](self, verb) if operation in _READERS else ""
        self._tables_of = known
        return operation, table or first

    def _expressions(self) -> str:
        """Read what follows WITH up to the statement's verb; tell the first table in it."""
        first = ""
        if self._peek()[0] == "recursive":
            self._take()
        while True:
            name = self._take()[1]
            if self._peek()[0] == "(":
                self._group()
            while self._peek()[0] in {"as", "not", "materialized"}:
                self._take()
            self._tables_of[name] = ""  # inside, the name means the expression itself: no table
            if self._peek()[0] == "(":
                self._tables_of[name] = self._group()
            first = first or self._tables_of[name]
            if self._seek(words.NEXT_EXPRESSION) != ",":  # past SEARCH and CYCLE clauses
                return first
            self._take()

    def _group(self, *, sources: bool = False) -> str:
        """Read a pair of parentheses; tell the first table in it. They hold a query, ``sources`` or neither."""
        self._take()
        self._depth += 1
        found = ""
        if self._depth > DEPTH:
            self._skip_group()
        elif self._peek()[0] in words.SUBQUERIES:
            found = self._query()[1]
        elif sources:
            found = self._sources()
        while self._seek(_PARENTHESES) == "(":
            nested = self._group()
            found = found or nested
        self._take()
        self._depth -= 1
        return found

    def _skip_group(self) -> None:
        self.cut, depth = True, 0
        while (word := self._seek(_PARENTHESES)) != ";" and (depth or word != ")"):
            depth += 1 if word == "(" else -1
            self._take()

    def _to(self, *stops: str) -> tuple[bool, str]:
        """Go past the next of these words at this depth, if there is one; tell the first table in a group passed."""
        found, wanted = "", _PARENTHESES | {*stops}
        while (word := self._seek(wanted)) != ";" and not (word == ")" and self._depth):
            if word == "(":
                nested = self._group()
                found = found or nested
                continue
            before = [token[0] for token in self._read[max(0, self._at - 2) : self._at]]
            self._take()
            if word in stops and before not in _COMPARING:
                return True, found
        return False, found

    def _sources(self, alias: str = "") -> str:
        """Read the items after FROM up to the first that is a table, or that has this alias; tell its table."""
        while True:
            found = self._source()
            if self._peek()[0] == "as":
                self._take()
            if found and (not alias or self._peek()[1] == alias):
                return found
            while (word := self._seek(words.AFTER_SOURCE)) == "(":
                self._group()
            if word not in words.NEXT_SOURCE:
                return ""
            self._take()

    def _source(self) -> str:
        while self._peek()[0] in words.BEFORE_TABLE["from"]:
            self._take()
        if self._peek()[0] == "(":
            return self._group(sources=True)
        path = self._path()
        if self._peek()[0] == "(":
            hint = self._peek(1)[0] in words.HINTS
            self._group()
            return self._table(path) if hint else ""  # without a hint it is a function
        return self._table(path)

    def _path(self) -> tuple[str, ...]:
        """Read ``name`` or ``schema.name`` or more."""
        if not self._peek()[1]:
            return ()
        path = [self._take()[1]]
        while self._peek()[0] == ".":
            self._take()
            if self._peek()[1]:
                path.append(self._take()[1])
        return tuple(path)

    def _table(self, path: tuple[str, ...]) -> str:
        if not path:
            return ""
        if len(path) == 1 and path[0] in self._tables_of:
            return self._tables_of[path[0]]
        return label_of(path[-2] if len(path) > 1 else "", path[-1])

    def _skip(self, skipped: Container[str]) -> None:
        while (word := self._peek()[0]) in skipped:
            self._take()
            if word == "top" and self._peek()[0] == "(":
                self._group()

    def read_select(self, verb: str) -> str:
        if verb == "table":
            return self._table(self._path())
        if verb == "from":  # DuckDB
            return self._sources()
        found = ""
        while True:
            reached, nested = self._to("from")
            found = found or nested
            if not reached:
                return found
            if table := self._sources():
                return table

    def read_target(self, verb: str) -> str:
        self._skip(words.BEFORE_TABLE.get(verb, ()))
        return self._group(sources=True) if self._peek()[0] == "(" else self._table(self._path())

    def read_change(self, verb: str) -> str:
        """Read UPDATE or DELETE: in T-SQL and MySQL the target may be an alias that FROM or USING explains later."""
        self._skip(words.BEFORE_TABLE[verb])
        if self._peek()[0] == "(":
            return self._group(sources=True)
        path = self._path()
        if len(path) == 1 and self._peek()[0] in words.MAY_BE_ALIAS and self._to("from", "using")[0]:
            return self._sources(alias=path[0]) or self._table(path)
        return self._table(path)

    def read_call(self, verb: str) -> str:
        while self._peek() in words.OPENINGS:  # T-SQL: exec @status = procedure, exec ('text')
            self._take()
        return "" if verb == "execute" and self._peek()[0] == "immediate" else self._table(self._path())

    def read_copy(self, verb: str) -> str:
        if verb == "load":
            self._to("into")
        return self.read_target(verb)

    def read_set(self, verb: str) -> str:
        return SYSTEM if verb == "pragma" else ""

    def read_ddl(self, verb: str) -> str:
        if verb in {"truncate", "lock", "rename"}:
            return self.read_target(verb)
        if verb in {"grant", "revoke"}:
            return self._on_table()
        self._skip(words.BEFORE_KIND)
        kind = self._peek()[0]
        if kind in words.ON_A_TABLE:
            return self._on_table()
        if kind in {"table", "view", "column"}:
            self._take()
            self._skip(words.AFTER_KIND)
            path = self._path()
            return self._table(path[:-1] if kind == "column" else path)
        return self._table(self._path()) if verb == "cluster" else ""

    def _on_table(self) -> str:
        reached, _ = self._to("on")
        self._skip({"table", "only"})
        if not reached or self._peek()[0] in words.NOT_TABLES:
            return ""
        path = self._path()
        return "" if self._peek() == VALUE else self._table(path)  # MySQL: on shop.*


_READERS: dict[Operation, Callable[[Statement, str], str]] = {
    "select": Statement.read_select,
    "insert": Statement.read_target,
    "update": Statement.read_change,
    "delete": Statement.read_change,
    "merge": Statement.read_target,
    "call": Statement.read_call,
    "copy": Statement.read_copy,
    "ddl": Statement.read_ddl,
    "set": Statement.read_set,
}
