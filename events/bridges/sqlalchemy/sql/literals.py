"""Blanks out the literals of a SQL text, so that it can be logged, and compared with the same statement sent before."""

from __future__ import annotations

import re

_LITERALS = re.compile(
    r"""
      [eE]'[^'\\]*(?:(?:\\.|'')[^'\\]*)*'?
    | (?:'[^'\\]*(?:\\(?:'(?=\w))?[^'\\]*)*'?)+   # a backslash before a quote and a letter escapes, as in `lexer`
    | \$(?P<tag>(?:[^\W\d]\w*)?)\$.*?(?:\$(?P=tag)\$|\Z)
    | \b0[xX][0-9a-fA-F]+\b | \b\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\b
    """,
    re.VERBOSE | re.DOTALL,
)
"""Strings and numbers; a string that is never closed reaches to the end of the text."""

_VALUE = r"(?:\?|%s|%\(\w+\)s|[:$@]\w+)"
_IN_LIST = re.compile(rf"\b(in\s*\(\s*{_VALUE})(?:\s*,\s*{_VALUE})+", re.IGNORECASE)


def without_literals(statement: str) -> str:
    """Return a statement's text with ``?`` in place of each string and number.

    >>> without_literals("select name from users where id = 7 and name <> 'ada'")
    'select name from users where id = ? and name <> ?'
    """
    return _LITERALS.sub("?", statement)


def without_variables(statement: str) -> str:
    """Return a statement's text without literals and with one value in each IN list: the same for each repeat of it.

    >>> without_variables("select name from users where id in (1, 2, 3)")
    'select name from users where id in (?)'
    """
    return _IN_LIST.sub(r"\1", without_literals(statement))
