"""Operation and table of a piece of SQL, in any dialect and without a grammar of one: `describe`.

`lexer` cuts the text into tokens, `token_reader` walks over them, `parser` finds the table, by the words in `keywords`.
`literals` blanks out strings and numbers.
"""

from __future__ import annotations

from functools import lru_cache

from ....database import Operation
from .keywords import NONE, OTHER
from .parser import StatementParser

StatementInfo = tuple[Operation, str]
"""The operation and the table of a statement."""


def describe(sql_text: str) -> StatementInfo:
    """Return the operation and the table of a statement, of the first one if there are several.

    >>> describe('with recent as (select * from blog."Posts") select count(*) from recent')
    ('select', 'Posts')

    The table is the one written to, or the first one that is read; through subqueries and common table expressions,
    without schema and quotes. A name that is not quoted is returned in lower case, however it is written. ``none``
    stands for no table, ``system`` for the database's own, ``other`` for one that was not found within bounds
    (`lexer.MAX_TOKENS` tokens, `parser.MAX_DEPTH` levels of parentheses, `keywords.MAX_NAME_LENGTH` characters). Never
    raises.
    """
    parser = StatementParser(sql_text)
    operation, table = parser.parse()
    return operation, table or (OTHER if parser.was_cut else NONE)


_cached_describe = lru_cache(512)(describe)
_LONGEST_CACHED = 10_000  # characters: bounds the size of the cache


def describe_cached(sql_text: str) -> StatementInfo:
    """Return what `describe` returns, cached for the 512 texts that were last seen and are not very long."""
    return _cached_describe(sql_text) if len(sql_text) <= _LONGEST_CACHED else describe(sql_text)
