"""Says what a piece of SQL does and to which table: `describe`, for any dialect, without a grammar of one."""

from __future__ import annotations

from functools import lru_cache

from ....database import Operation
from .keywords import NONE, OTHER
from .parser import Statement

Description = tuple[Operation, str]


def describe(sql_text: str) -> Description:
    """Name the operation and the table of a statement, the first one if there are several.

    >>> describe('with recent as (select * from blog."Posts") select count(*) from recent')
    ('select', 'Posts')

    The table is the one written to, or the first one that is read; through subqueries and common table expressions,
    without schema and quotes. A name that is not quoted is told in lower case, however it is written. ``none`` stands
    for no table, ``system`` for the database's own, ``other`` for one that was not found within bounds (`LIMIT` tokens,
    `DEPTH` levels of parentheses, `LONGEST` characters). Never raises.
    """
    statement = Statement(sql_text)
    operation, table = statement.read()
    return operation, table or (OTHER if statement.cut else NONE)


_KEPT = lru_cache(512)(describe)
_LONGEST_KEPT = 10_000  # characters: bounds what the texts kept can weigh


def remembered(sql_text: str) -> Description:
    """Describe a statement, or repeat what was said of it: the 512 texts last seen are kept, very long ones are not."""
    return _KEPT(sql_text) if len(sql_text) <= _LONGEST_KEPT else describe(sql_text)
