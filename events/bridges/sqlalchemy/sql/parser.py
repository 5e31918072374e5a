"""Finds the operation and the table of a SQL statement: a parser that reads as far as it has to, and skips the rest."""

from __future__ import annotations

from collections.abc import Callable, Container

from ....database import Operation
from . import keywords as words
from .keywords import SYSTEM, table_label
from .lexer import VALUE
from .token_reader import TokenReader

MAX_DEPTH = 30
"""How many levels of parentheses are followed."""

_PARENTHESES = frozenset({"(", ")", ";"})
_COMPARISONS = (["is", "distinct"], ["not", "distinct"])  # IS [NOT] DISTINCT FROM: no table follows


class StatementParser:
    """Parses one statement, token by token, until its table is found."""

    def __init__(self, sql: str) -> None:
        self._tokens = TokenReader(sql)
        self._tables_of: dict[str, str] = {}  # common table expressions: the first table of each
        self._depth = 0

    @property
    def was_cut(self) -> bool:
        """Whether the statement goes on past what is read of one text."""
        return self._tokens.was_cut

    def parse(self) -> tuple[Operation, str]:
        """Return the operation and the table of the statement; the table is empty if there is none."""
        while self._tokens.peek() in words.LEADING_TOKENS:
            self._tokens.take()
        verb = self._tokens.peek()[0]
        only_before = words.ONLY_BEFORE.get(verb)
        if only_before is not None and self._tokens.peek(1)[0] not in only_before:
            return "other", ""
        return self._parse_query()

    def _parse_query(self) -> tuple[Operation, str]:
        """Parse from a verb on, at the top or inside parentheses; return operation and table."""
        verb, first_table = self._tokens.take()[0], ""
        outer = self._tables_of
        if verb == "with":
            self._tables_of = dict(outer)
            first_table = self._parse_with()
            while self._tokens.peek()[0] == "(":
                self._tokens.take()
            verb = self._tokens.take()[0]
        operation = words.OPERATIONS.get(verb, "other")
        table = _TABLE_PARSERS[operation](self, verb) if operation in _TABLE_PARSERS else ""
        self._tables_of = outer
        return operation, table or first_table

    def _parse_with(self) -> str:
        """Parse what follows WITH, up to the statement's verb; return the first table in it."""
        first_table = ""
        if self._tokens.peek()[0] == "recursive":
            self._tokens.take()
        while True:
            name = self._tokens.take()[1]
            if self._tokens.peek()[0] == "(":
                self._parse_group()
            while self._tokens.peek()[0] in {"as", "not", "materialized"}:
                self._tokens.take()
            self._tables_of[name] = ""  # within the expression its name means itself: no table
            if self._tokens.peek()[0] == "(":
                self._tables_of[name] = self._parse_group()
            first_table = first_table or self._tables_of[name]
            if self._tokens.skip_to(words.NEXT_EXPRESSION) != ",":  # past SEARCH and CYCLE clauses
                return first_table
            self._tokens.take()

    def _parse_group(self, *, sources: bool = False) -> str:
        """Parse parentheses that hold a query, the ``sources`` of one, or neither; return the first table in them."""
        self._tokens.take()
        self._depth += 1
        found = ""
        if self._depth > MAX_DEPTH:
            self._skip_group()
        elif self._tokens.peek()[0] in words.SUBQUERIES:
            found = self._parse_query()[1]
        elif sources:
            found = self._parse_sources()
        while self._tokens.skip_to(_PARENTHESES) == "(":
            nested = self._parse_group()
            found = found or nested
        self._tokens.take()
        self._depth -= 1
        return found

    def _skip_group(self) -> None:
        self._tokens.was_cut, depth = True, 0
        while (word := self._tokens.skip_to(_PARENTHESES)) != ";" and (depth or word != ")"):
            depth += 1 if word == "(" else -1
            self._tokens.take()

    def _skip_past(self, *stops: str) -> tuple[bool, str]:
        """Go past the next of these words at this depth.

        Returns:
            whether there is one, and the first table in the groups that were passed.
        """
        found, wanted = "", _PARENTHESES | {*stops}
        while (word := self._tokens.skip_to(wanted)) != ";" and not (word == ")" and self._depth):
            if word == "(":
                nested = self._parse_group()
                found = found or nested
                continue
            before = self._tokens.previous_words()
            self._tokens.take()
            if word in stops and before not in _COMPARISONS:
                return True, found
        return False, found

    def _parse_sources(self, alias: str = "") -> str:
        """Parse the items after FROM up to the first that is a table, or that has this alias; return its table."""
        while True:
            found = self._parse_source()
            if self._tokens.peek()[0] == "as":
                self._tokens.take()
            if found and (not alias or self._tokens.peek()[1] == alias):
                return found
            while (word := self._tokens.skip_to(words.AFTER_SOURCE)) == "(":
                self._parse_group()
            if word not in words.NEXT_SOURCE:
                return ""
            self._tokens.take()

    def _parse_source(self) -> str:
        while self._tokens.peek()[0] in words.BEFORE_TABLE["from"]:
            self._tokens.take()
        if self._tokens.peek()[0] == "(":
            return self._parse_group(sources=True)
        path = self._parse_path()
        if self._tokens.peek()[0] == "(":
            has_hints = self._tokens.peek(1)[0] in words.HINTS
            self._parse_group()
            return self._label(path) if has_hints else ""  # without hints it is a function
        return self._label(path)

    def _parse_path(self) -> tuple[str, ...]:
        """Return the parts of ``name`` or ``schema.name`` or a longer path; none if there is no name here."""
        if not self._tokens.peek()[1]:
            return ()
        path = [self._tokens.take()[1]]
        while self._tokens.peek()[0] == ".":
            self._tokens.take()
            if self._tokens.peek()[1]:
                path.append(self._tokens.take()[1])
        return tuple(path)

    def _label(self, path: tuple[str, ...]) -> str:
        """Return the label of the table that a path means, the first table of a common table expression."""
        if not path:
            return ""
        if len(path) == 1 and path[0] in self._tables_of:
            return self._tables_of[path[0]]
        return table_label(path[-2] if len(path) > 1 else "", path[-1])

    def _skip_words(self, words_to_skip: Container[str]) -> None:
        while (word := self._tokens.peek()[0]) in words_to_skip:
            self._tokens.take()
            if word == "top" and self._tokens.peek()[0] == "(":
                self._parse_group()

    def select_table(self, verb: str) -> str:
        """Return the first table that SELECT, TABLE or a leading FROM reads."""
        if verb == "table":
            return self._label(self._parse_path())
        if verb == "from":  # DuckDB
            return self._parse_sources()
        found = ""
        while True:
            reached, nested = self._skip_past("from")
            found = found or nested
            if not reached:
                return found
            if table := self._parse_sources():
                return table

    def target_table(self, verb: str) -> str:
        """Return the table that follows a verb such as INSERT, MERGE or TRUNCATE."""
        self._skip_words(words.BEFORE_TABLE.get(verb, ()))
        return self._parse_group(sources=True) if self._tokens.peek()[0] == "(" else self._label(self._parse_path())

    def changed_table(self, verb: str) -> str:
        """Return the table of UPDATE or DELETE; in T-SQL and MySQL it may be an alias that FROM or USING explains."""
        self._skip_words(words.BEFORE_TABLE[verb])
        if self._tokens.peek()[0] == "(":
            return self._parse_group(sources=True)
        path = self._parse_path()
        if len(path) == 1 and self._tokens.peek()[0] in words.MAY_BE_ALIAS and self._skip_past("from", "using")[0]:
            return self._parse_sources(alias=path[0]) or self._label(path)
        return self._label(path)

    def called_routine(self, verb: str) -> str:
        """Return the procedure that CALL or EXECUTE calls; it takes the place of a table."""
        while self._tokens.peek() in words.LEADING_TOKENS:  # T-SQL: exec @status = procedure, exec ('text')
            self._tokens.take()
        return "" if verb == "execute" and self._tokens.peek()[0] == "immediate" else self._label(self._parse_path())

    def copied_table(self, verb: str) -> str:
        """Return the table of COPY, LOAD or BULK INSERT."""
        if verb == "load":
            self._skip_past("into")
        return self.target_table(verb)

    def set_table(self, verb: str) -> str:
        """Return the database's own label for PRAGMA; what else sets or shows has no table."""
        return SYSTEM if verb == "pragma" else ""

    def defined_table(self, verb: str) -> str:
        """Return the table that a statement defines, or to which what it defines belongs."""
        if verb in {"truncate", "lock", "rename"}:
            return self.target_table(verb)
        if verb in {"grant", "revoke"}:
            return self._table_after_on()
        self._skip_words(words.BEFORE_KIND)
        kind = self._tokens.peek()[0]
        if kind in words.ON_A_TABLE:
            return self._table_after_on()
        if kind in {"table", "view", "column"}:
            self._tokens.take()
            self._skip_words(words.AFTER_KIND)
            path = self._parse_path()
            return self._label(path[:-1] if kind == "column" else path)
        return self._label(self._parse_path()) if verb == "cluster" else ""

    def _table_after_on(self) -> str:
        reached, _ = self._skip_past("on")
        self._skip_words({"table", "only"})
        if not reached or self._tokens.peek()[0] in words.NOT_TABLES:
            return ""
        path = self._parse_path()
        return "" if self._tokens.peek() == VALUE else self._label(path)  # MySQL: on shop.*


_TABLE_PARSERS: dict[Operation, Callable[[StatementParser, str], str]] = {
    "select": StatementParser.select_table,
    "insert": StatementParser.target_table,
    "update": StatementParser.changed_table,
    "delete": StatementParser.changed_table,
    "merge": StatementParser.target_table,
    "call": StatementParser.called_routine,
    "copy": StatementParser.copied_table,
    "ddl": StatementParser.defined_table,
    "set": StatementParser.set_table,
}
