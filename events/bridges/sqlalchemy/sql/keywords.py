"""The words of SQL by which operation and table of a statement are found, and the names of tables in labels."""

from __future__ import annotations

import re

from ....database import Operation
from .lexer import VALUE

# fmt: off
SUBQUERIES = frozenset({"select", "with", "values", "table", "insert", "update", "delete", "merge"})

OPERATIONS: dict[str, Operation] = {
    "select": "select", "table": "select", "from": "select",
    "insert": "insert", "replace": "insert", "upsert": "insert",
    "update": "update", "delete": "delete", "merge": "merge",
    "call": "call", "exec": "call", "execute": "call",
    "copy": "copy", "load": "copy", "bulk": "copy",
    "create": "ddl", "alter": "ddl", "drop": "ddl", "rename": "ddl", "truncate": "ddl", "comment": "ddl", "lock": "ddl",
    "unlock": "ddl", "grant": "ddl", "revoke": "ddl", "reindex": "ddl", "refresh": "ddl", "cluster": "ddl",
    "begin": "savepoint", "start": "savepoint", "commit": "savepoint", "rollback": "savepoint", "abort": "savepoint",
    "end": "savepoint", "savepoint": "savepoint", "save": "savepoint", "release": "savepoint", "prepare": "savepoint",
    "set": "set", "reset": "set", "show": "set", "explain": "set", "pragma": "set", "use": "set", "describe": "set",
    "desc": "set",
}  # all others are "other": values, do, declare, vacuum, listen, fetch...

# Verbs that have this operation only before certain words: "begin" may open a block of PL/SQL, "prepare" name a
# statement.
ONLY_BEFORE = {
    "begin": {";", "transaction", "tran", "work", "isolation", "read", "not", "deferrable", "deferred", "immediate",
              "exclusive", "concurrent", "distributed"},
    "start": {"transaction"},
    "prepare": {"transaction"},
    "load": {"data", "xml"},
    "bulk": {"insert"},
}

# Words that may stand between a verb and its table.
BEFORE_TABLE = {
    "insert": {"low_priority", "delayed", "high_priority", "ignore", "overwrite", "or", "replace", "abort", "fail",
               "rollback", "all", "first", "top", "into", "table", "only"},
    "update": {"low_priority", "ignore", "or", "replace", "abort", "fail", "rollback", "top", "only"},
    "delete": {"low_priority", "quick", "ignore", "top", "from", "only"},
    "merge": {"top", "into", "only"},
    "copy": {"into"},
    "load": {"into", "table"},
    "bulk": {"insert"},
    "replace": {"low_priority", "delayed", "into"},
    "upsert": {"into"},
    "lock": {"table", "tables", "only"},
    "rename": {"table"},
    "truncate": {"table", "only"},
    "from": {"only", "lateral", "table"},
}
BEFORE_KIND = {"or", "replace", "alter", "global", "local", "temporary", "temp", "unlogged", "external", "foreign",
                "virtual", "materialized", "unique", "fulltext", "spatial", "clustered", "nonclustered", "bitmap",
                "columnstore", "force", "noforce", "editionable", "transient", "recursive", "ignore", "on"}
AFTER_KIND = {"if", "not", "exists", "only", "concurrently"}
ON_A_TABLE = {"index", "trigger", "policy", "constraint"}
NOT_TABLES = {"schema", "database", "function", "procedure", "routine", "sequence", "all", "type", "domain",
              "language", "tablespace", "foreign", "parameter", "large"}
FROM_END = {";", ")", "where", "group", "order", "having", "limit", "union", "except", "intersect", "minus", "window",
              "for", "fetch", "offset", "set", "qualify", "returning", "start", "connect", "option", "into", "when"}
NEXT_EXPRESSION = {",", ";", ")", "(", *OPERATIONS, "values"} - {"set"}  # "set" belongs to SEARCH and CYCLE
MAY_BE_ALIAS = {VALUE[0], "set", "from", "using", ",", "output", "with"}
LEADING_TOKENS = {("(", ""), ("{", ""), ("=", ""), VALUE}  # {? = call procedure(?)}
NEXT_SOURCE = {",", "join", "apply", "straight_join"}
AFTER_SOURCE = FROM_END | NEXT_SOURCE | {"("}
HINTS = {"nolock", "holdlock", "updlock", "rowlock", "tablock", "tablockx", "paglock", "readpast", "xlock", "nowait",
          "readuncommitted", "readcommitted", "repeatableread", "serializable", "snapshot"}
# fmt: on

NONE = "none"
SYSTEM = "system"
OTHER = "other"

MAX_NAME_LENGTH = 128
"""Characters of the longest name that a database with a limit allows (T-SQL, Oracle)."""

_SYSTEM_SCHEMAS = frozenset({"pg_catalog", "information_schema", "sys", "mysql", "performance_schema"})
# PostgreSQL reserves the prefix pg_ and SQLite sqlite_ for their own tables; DUAL is how Oracle writes "no table".
_SYSTEM_TABLE = re.compile(r"pg_|sqlite_|v\$|dual$", re.IGNORECASE)


def table_label(schema: str, table: str) -> str:
    """Return a table's value in labels."""
    if schema.lower() in _SYSTEM_SCHEMAS or _SYSTEM_TABLE.match(table):
        return SYSTEM
    return table if len(table) <= MAX_NAME_LENGTH else OTHER
