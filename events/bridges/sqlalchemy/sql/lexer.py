"""Cuts SQL of any dialect into words, names and points, so that no comment or string is taken for code."""

from __future__ import annotations

import re
from collections.abc import Iterator

Token = tuple[str, str]
"""A keyword or point in lower case (``""`` for a quoted name), and the name that it would be (``""`` for a point)."""

END: Token = (";", "")
VALUE: Token = ("?", "")  # a string, a number, a parameter, or the star of table.*

LIMIT = 10_000
"""How many tokens are read of one text; an ORM's select of 800 columns has half of them."""

# Every alternative that opens something also matches when it is never closed, so that no text is read twice.
# Backslashes escape in E'' strings and in MySQL's, elsewhere they do not: before a quote that a letter follows they do.
_TOKEN = re.compile(
    r"""
      (?P<word>    \#{0,2}[^\W\d][\w$\#]*+(?!'|&")                          # T-SQL: # starts a temporary table's name
      )
    | (?P<point>   [(){},;=] | \.(?!\s*\*))
    | (?P<value>   [:@]{1,2}\w+ | \$\d+ | \? | %\(\w*\)s | %s | \d+\.?\d* | \.\s*\*
                 | (?<!\w)[eE]'[^'\\]*(?:(?:\\.|'')[^'\\]*)*'?
                 | (?<!\w)[nN]?[qQ]'(?:\[.*?(?:\]'|\Z) | \{.*?(?:\}'|\Z) | \(.*?(?:\)'|\Z) | <.*?(?:>'|\Z)
                                     | (?P<q>\S).*?(?:(?P=q)'|\Z))          # Oracle
                 | '[^'\\]*(?:\\(?:'(?=\w))?[^'\\]*)*'?                     # a doubled quote: two strings, no harm
                 | \$(?P<tag>(?:[^\W\d]\w*)?)\$.*?(?:\$(?P=tag)\$|\Z)       # PostgreSQL
      )
    | (?P<quoted>  (?:[uU]&)?"[^"]*(?:""[^"]*)*"?
                 | `[^`]*(?:``[^`]*)*`?
                 | (?<![\w\])"])\[[^\[\]]*(?:\]\][^\[\]]*)*\]               # T-SQL; after a word it is a subscript
      )
    | (?P<note>    \s\s+ | --[^\n]* | (?<!\S)\#(?!\w|>|-\s)[^\n]* | \A\s*\#[^\n]*   # MySQL; #> and #- are operators
      )
    | (?P<comment> /\*)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_MARK = re.compile(r"/\*|\*/")


def tokens(sql: str) -> Iterator[Token]:
    """Read the first statement of a text, at most `LIMIT` tokens of it; the last one is `END` if it was read whole."""
    place, left = 0, LIMIT
    nests, after_dot = True, False
    sql = sql.lstrip("; \t\r\n")
    while True:
        for match in _TOKEN.finditer(sql, place):
            left -= 1
            if left < 0:
                return
            kind, text = match.lastgroup, match.group()
            if kind == "word":
                name = text.lower()
                yield ("" if after_dot else name), name
            elif kind == "point":
                yield text, ""
                if text == ";":
                    return
            elif kind == "quoted":
                yield "", unquoted(text)
            elif kind == "value":
                yield VALUE
            elif kind == "comment":
                place, nests = end_of_comment(sql, match.end(), nests)
                break
            else:
                continue
            after_dot = text == "."
        else:
            yield END
            return


def end_of_comment(sql: str, place: int, nests: bool) -> tuple[int, bool]:
    """Find where a comment ends: comments nest in PostgreSQL and T-SQL, and are taken so where all are closed.

    The second answer says whether that is still worth a try: one failure is one look at the rest of the text.
    """
    if nests:
        depth = 1
        for mark in _COMMENT_MARK.finditer(sql, place):
            depth += 1 if mark.group() == "/*" else -1
            if not depth:
                return mark.end(), True
    end = sql.find("*/", place)
    return (end + 2 if end >= 0 else len(sql)), False


def unquoted(text: str) -> str:
    """Strip a name's quotes; ``a.b`` in one pair of backticks is BigQuery's way to write a path."""
    text = text.removeprefix("U&").removeprefix("u&")
    opening = text[0]
    closing = "]" if opening == "[" else opening
    name = text[1:].removesuffix(closing).replace(closing * 2, closing)
    return name.rpartition(".")[2] if opening == "`" else name
