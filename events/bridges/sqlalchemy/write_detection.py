"""Whether a statement writes, however it begins: in a common table expression, in a procedure, explained."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .sql.keywords import ONLY_BEFORE, OPERATIONS
from .sql.lexer import END, VALUE, Token

# fmt: off
_READING_VERBS = frozenset({
    "values", "fetch", "move", "open", "close", "deallocate", "listen", "unlisten", "handler", "summarize",
    "lock", "unlock", "xa",
    # No work of the program's: a rollback undoes none of it.
    "checkpoint", "discard", "check", "checksum", "flush", "kill", "help", "load", "install", "attach", "detach",
    "print", "waitfor", "prepare",
})
_CHANGES = frozenset({"insert", "update", "delete", "merge", "replace"})
_MAIN_VERBS = _CHANGES | {"select", "values", "table"}
_NOT_A_STATEMENT = frozenset({"(", ",", ")", ".", ";"})  # after the word of one: it is a name, or a function
_IN_A_LIST = frozenset({"select", "distinct", "all", ",", ".", "as", "(", "from", "where", "and", "or", "not", "on"})
_LOCKS = frozenset({"for", "key"})  # FOR UPDATE, FOR NO KEY UPDATE: rows are locked, nothing is written
_NO_TABLES = (["outfile"], ["dumpfile"])  # MySQL: SELECT ... INTO OUTFILE
# SQLite: what a pragma stores in the database itself, with a value and always. The others are the connection's.
_STORED_PRAGMAS = frozenset({"user_version", "application_id", "schema_version", "default_cache_size"})
_WRITING_PRAGMAS = frozenset({"incremental_vacuum", "optimize"})
_ANALYZED = frozenset({"select", "with", "insert", "update", "delete", "replace"})  # MariaDB, which executes them
_FALSE = frozenset({"false", "off"})
_EXPLAIN_WORDS = frozenset({"verbose", "extended", "partitions"})
# fmt: on


def statement_writes(tokens: Sequence[Token]) -> bool:
    """Return whether a statement, of which these are the tokens from its verb on, may have written.

    What it calls is not known: of a procedure it is assumed, of a function in a SELECT it is not.
    """
    words = [word for word, _ in tokens]
    verb = words[0]
    operation = OPERATIONS.get(verb, "other")
    if verb in ONLY_BEFORE and (words[1] if len(words) > 1 else ";") not in ONLY_BEFORE[verb]:
        return verb in {"begin", "bulk"} and block_writes(tokens)  # of a procedural language
    if verb in _CHECKS:
        return _CHECKS[verb](tokens)
    if operation in {"set", "savepoint"}:
        return False
    return query_writes(tokens) if operation == "select" or verb in _READING_VERBS else True


def query_writes(tokens: Sequence[Token]) -> bool:
    """Return whether a query writes: in a common table expression, after those, into a table, or in a second query.

    T-SQL needs no semicolon before the second one. Columns may have the names of statements in any dialect.
    """
    words = [word for word, _ in tokens]
    if words[0] == "with" and main_verb(words) in _CHANGES:
        return True
    has_sources = False
    for index, word in enumerate(words):
        if word == "into":
            return tokens[index + 1 : index + 2] != [VALUE] and words[index + 1 : index + 2] not in _NO_TABLES
        if word in {"select", "from"}:
            has_sources = word == "from"
        elif word in _CHANGES and changes_something(words, index, has_sources=has_sources):
            return True
    return False


def main_verb(words: Sequence[str]) -> str:
    """Return the verb of the statement that follows common table expressions."""
    depth = 0
    for index, word in enumerate(words):
        depth += (word == "(") - (word == ")")
        if not depth and word in _MAIN_VERBS and words[index - 1] == ")" and words[index + 1 : index + 2] != [","]:
            return word
    return ""


def changes_something(words: Sequence[str], index: int, *, has_sources: bool) -> bool:
    """Return whether a word of a query is the verb of a statement that writes, and not the name of a column."""
    word, before, after = words[index], words[index - 1], (*words[index + 1 : index + 2], ";")[0]
    if after in _NOT_A_STATEMENT:
        return False
    if before == "(" and words[index - 2] in {"as", "materialized"}:
        return True
    if word == "delete":
        return after == "from" and has_sources and before not in _IN_A_LIST
    return word == "update" and before not in _LOCKS and "set" in words[index + 2 : index + 8]


def block_writes(tokens: Sequence[Token]) -> bool:
    """Return whether a block of a procedural language holds the words of a statement that writes."""
    before = ""
    for (word, _), following in zip(tokens, [*tokens[1:], END], strict=True):
        opens = following[0] in {"(", ",", ")", "."}
        if word in {"insert", "delete"} and not opens:
            return True
        if word == "update" and not opens and before not in _LOCKS and following != END:
            return True
        if word in {"merge", "replace"} and following[0] == "into":
            return True
        if word == "into" and following != VALUE and [following[0]] not in _NO_TABLES:
            return True
        before = word
    return False


def explained_writes(tokens: Sequence[Token]) -> bool:
    """Return whether EXPLAIN executes a statement that writes, or stores a plan, as Oracle's EXPLAIN PLAN does."""
    words = [word for word, _ in tokens]
    executes, index = False, 1
    if words[1:2] == ["plan"]:
        return True
    if words[1:2] == ["("]:
        executes, index = analyze_option(words)
    while index < len(words) and (words[index] in _EXPLAIN_WORDS or words[index] == "analyze"):
        executes = executes or words[index] == "analyze"
        index += 1
    if words[index : index + 2] == ["format", "="]:  # MySQL
        index += 3
    while words[index : index + 1] == ["("]:
        index += 1
    return executes and index < len(words) and statement_writes(tokens[index:])


def analyze_option(words: Sequence[str]) -> tuple[bool, int]:
    """Return whether ANALYZE is set in the parentheses after EXPLAIN, and where the statement begins.

    The last one counts. What is quoted or a number is not among the tokens: `transaction_steps` spells it out.
    """
    executes, index = False, 2
    while index < len(words) and words[index] != ")":
        if words[index] == "analyze":
            executes = words[index + 1] not in _FALSE
        index += 1
    return executes, index + 1


def pragma_writes(tokens: Sequence[Token]) -> bool:
    """Return whether SQLite's PRAGMA stores something in the database."""
    names = [name for _, name in tokens[1:4:2]] if tokens[2:3] == [(".", "")] else [name for _, name in tokens[1:2]]
    name = names[-1] if names else ""
    has_value = any(word in {"=", "("} for word, _ in tokens)
    return name in _WRITING_PRAGMAS or (has_value and name in _STORED_PRAGMAS)


def copy_writes(tokens: Sequence[Token]) -> bool:
    """Return whether COPY writes into a table, or runs a query that writes, and not only to a file or the client."""
    depth = 0
    for word, _ in tokens:
        depth += (word == "(") - (word == ")")
        if not depth and word in {"to", "from"}:
            return word == "from" or (tokens[1][0] == "(" and (tokens[2][0] in _CHANGES or query_writes(tokens[2:])))
    return True


def declaration_writes(tokens: Sequence[Token]) -> bool:
    """Return whether what follows T-SQL's DECLARE writes, for which it needs no semicolon; a cursor reads."""
    return query_writes(tokens) if ("cursor", "cursor") in tokens else block_writes(tokens)


def analyze_writes(tokens: Sequence[Token]) -> bool:
    """Return whether ANALYZE writes: statistics, or what MariaDB executes to analyze it."""
    return statement_writes(tokens[1:]) if len(tokens) > 1 and tokens[1][0] in _ANALYZED else True


_CHECKS: dict[str, Callable[[Sequence[Token]], bool]] = {
    "with": query_writes,
    "begin": block_writes,
    "declare": declaration_writes,
    "explain": explained_writes,
    "analyze": analyze_writes,
    "pragma": pragma_writes,
    "copy": copy_writes,
}
"""The statements of which more than the verb has to be read, by their verbs."""
