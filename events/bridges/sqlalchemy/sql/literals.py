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


def without_literals(statement: str) -> str:
    """Return a statement's text with ``?`` in place of each string and number.

    >>> without_literals("select name from users where id = 7 and name <> 'ada'")
    'select name from users where id = ? and name <> ?'
    """
    return _LITERALS.sub("?", statement)
