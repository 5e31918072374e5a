"""Whether a statement writes, however it begins: in a common table expression, after others, in a procedure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from ...database import Operation
from .sql.keywords import LEADING_TOKENS, ONLY_BEFORE, OPERATIONS
from .sql.lexer import END, VALUE, Token, tokenize

_READING_VERBS = frozenset(
    {"values", "fetch", "move", "close", "declare", "listen", "unlisten", "deallocate", "lock", "unlock"}
)
_READING = frozenset({"select", "set", "savepoint"})
_WRITING = frozenset({"insert", "update", "delete", "merge", "call"})
# Where none of these stands, a statement that begins as a reading one is one: most are done with then.
_MAY_WRITE = re.compile(r";|\b(?:insert|update|delete|merge|replace|into|begin|prepare)\b", re.IGNORECASE)
_LOCKS = frozenset({"for", "key"})  # FOR UPDATE, FOR NO KEY UPDATE: rows are locked, nothing is written
_NO_TABLES = frozenset({"outfile", "dumpfile"})  # MySQL: SELECT ... INTO OUTFILE
_LONGEST_CACHED = 10_000  # characters: bounds the size of the cache


def writes(operation: Operation, statement: str) -> bool:
    """Return whether a statement, of which the operation is known, may have written.

    What it calls is not known: of a procedure it is assumed, of a function in a SELECT it is not.
    """
    if operation in _WRITING:
        return True
    if operation in _READING and not _MAY_WRITE.search(statement):
        return False
    return _cached_writes(statement) if len(statement) <= _LONGEST_CACHED else script_writes(statement)


def script_writes(script: str) -> bool:
    """Return whether one of the statements of a text may have written."""
    return any(statement_writes(tokens) for tokens in statements_of(script))


_cached_writes = lru_cache(512)(script_writes)


def statements_of(script: str) -> Iterator[Sequence[Token]]:
    """Yield the tokens of each statement of a text, without what leads to its verb."""
    tokens: list[Token] = []
    for token in tokenize(script, script=True):
        if token == END:
            if tokens:
                yield tokens
            tokens = []
        elif tokens or token not in LEADING_TOKENS:
            tokens.append(token)
    if tokens:
        yield tokens


def statement_writes(tokens: Sequence[Token]) -> bool:
    """Return whether a statement may have written."""
    words = [word for word, _ in tokens]
    verb = words[0]
    operation = OPERATIONS.get(verb, "other")
    if verb in ONLY_BEFORE and (words[1] if len(words) > 1 else ";") not in ONLY_BEFORE[verb]:
        return verb == "load" or holds_write(tokens)  # BEGIN of a block; PREPARE executes nothing, but may hold one
    if operation == "copy":
        return not copies_out(words)
    if operation in _READING and verb != "explain":
        return operation == "select" and holds_write(tokens)
    if verb == "explain":
        return "analyze" in words and holds_write(tokens)
    if verb in _READING_VERBS or verb == "with":
        return holds_write(tokens)
    return True


def holds_write(tokens: Sequence[Token]) -> bool:
    """Return whether a statement holds the words of one that writes: in a common table expression, or SELECT INTO."""
    before = ""
    for (word, _), following in zip(tokens, [*tokens[1:], END], strict=True):
        opens = following[0] in {"(", ",", ")", "."}  # a function, or a name
        if word in {"insert", "delete"} and not opens:
            return True
        if word == "update" and not opens and before not in _LOCKS and following != END:
            return True
        if word in {"merge", "replace"} and following[0] == "into":
            return True
        if word == "into" and following != VALUE and following[0] not in _NO_TABLES:
            return True
        before = word
    return False


def copies_out(words: Sequence[str]) -> bool:
    """Return whether COPY writes a table or the rows of a query to a file or the client."""
    depth = 0
    for word in words:
        depth += (word == "(") - (word == ")")
        if not depth and word in {"to", "from"}:
            return word == "to"
    return False


def begins_transaction(statement: str) -> bool:
    """Return whether a statement is a BEGIN or START TRANSACTION that a program sends itself."""
    return statement.lstrip()[:5].lower() in {"begin", "start"}
