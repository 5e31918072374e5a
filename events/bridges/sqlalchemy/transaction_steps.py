"""The steps of a text in the transaction that it is sent in: it begins one, writes, commits or rolls back."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Literal

from ...database import Operation
from .sql.keywords import LEADING_TOKENS, ONLY_BEFORE
from .sql.lexer import END, VALUE, Token, tokenize
from .write_detection import statement_writes

Step = Literal["begin", "write", "commit", "rollback"]
Steps = tuple[Step, ...]

_NOTHING: Steps = ()
_WRITE: Steps = ("write",)
_READING = frozenset({"select", "set"})
_WRITING = frozenset({"insert", "update", "delete", "merge", "call"})
# Where none of these stands, a statement that begins as a reading one is one: most are done with then.
_MAY_WRITE = re.compile(r";|\b(?:insert|update|delete|merge|replace|into|explain|pragma)\b", re.IGNORECASE)
_MAY_END = re.compile(r"\b(?:begin|start|commit|rollback|end|abort)\b", re.IGNORECASE)
_ANALYZE_OFF = re.compile(r"\banalyze\s+(?:0\b|'(?:false|off|0)')", re.IGNORECASE)
_LONGEST_CACHED = 10_000  # characters: bounds the size of the cache

_ROUTINES = frozenset({"procedure", "proc", "function", "trigger", "package", "event", "task"})
_DEFINITIONS = frozenset({"create", "alter", "replace"})
_TRANSACTION = frozenset({"transaction", "tran", "work"})


def transaction_steps(operation: Operation, statement: str) -> Steps:
    """Return what a text, of which the operation is known, does to its transaction, and () if it reads alone."""
    if operation in _READING:
        if not _MAY_WRITE.search(statement):
            return _NOTHING
    elif operation in _WRITING and (";" not in statement or not _MAY_END.search(statement)):
        return _WRITE
    return _cached_steps(statement) if len(statement) <= _LONGEST_CACHED else script_steps(statement)


def script_steps(script: str) -> Steps:
    """Return what all the statements of a text do, with one step for several of a kind on end."""
    steps: list[Step] = []
    is_block = False  # of a procedural language: what ends in it is the block
    for tokens in statements_of(_ANALYZE_OFF.sub("analyze false", script)):
        if not is_block or tokens[0][0] != "end":
            for step in statement_steps(tokens):
                if steps[-1:] != [step]:
                    steps.append(step)
        if defines_routine(tokens):
            break
        is_block = is_block or opens_block(tokens)
    return tuple(steps)


_cached_steps = lru_cache(512)(script_steps)


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


def statement_steps(tokens: Sequence[Token]) -> Steps:
    """Return what one statement does: COMMIT AND CHAIN begins anew, and ROLLBACK TO a savepoint ends nothing."""
    words = [word for word, _ in tokens]
    writes = _WRITE if statement_writes(tokens) else _NOTHING
    verb, after = words[0], words[1:2]
    if verb in {"begin", "start"}:
        begins = (after or [";"])[0] in ONLY_BEFORE[verb]
        return ("begin", *writes) if begins else writes
    if verb not in {"commit", "rollback", "end", "abort"}:
        return writes
    if after == ["prepared"]:  # one of two phases, which is open no more
        return _NOTHING
    if verb in {"rollback", "abort"} and names_savepoint(words):
        return _NOTHING
    ending: Step = "commit" if verb in {"commit", "end"} else "rollback"
    chains = "chain" in words and "no" not in words
    return (ending, "begin") if chains else (ending,)


def names_savepoint(words: Sequence[str]) -> bool:
    """Return whether ROLLBACK goes back to a savepoint: ``TO name``, or in T-SQL ``TRANSACTION name``."""
    rest = list(words[1:])
    if rest and rest[0] in _TRANSACTION:
        rest = rest[1:]
        return bool(rest) and rest[0] not in {"and", "release", "no"}
    return "to" in rest


def opens_block(tokens: Sequence[Token]) -> bool:
    """Return whether a statement begins a block of PL/SQL or T-SQL."""
    words = [word for word, _ in tokens]
    if words[0] == "declare":
        return "cursor" not in words
    return words[0] == "begin" and (words[1:2] or [";"])[0] not in ONLY_BEFORE["begin"]


def defines_routine(tokens: Sequence[Token]) -> bool:
    """Return whether what follows is the body of a procedure, which is not executed; one in quotes is no body."""
    words = [word for word, _ in tokens]
    if words[0] not in _DEFINITIONS or _ROUTINES.isdisjoint(words[1:8]):
        return False
    bodies = (index for index, word in enumerate(words[:-1]) if word in {"as", "is"})
    return "begin" in words or any(tokens[index + 1] != VALUE for index in bodies)
