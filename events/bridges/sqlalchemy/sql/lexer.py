"""Cuts SQL of any dialect into tokens, so that no comment and no string is taken for code."""

from __future__ import annotations

import re
from collections.abc import Iterator

Token = tuple[str, str]
"""A keyword in lower case or a mark (``""`` for a quoted name), and the name that it would be (``""`` for a mark)."""

END: Token = (";", "")
VALUE: Token = ("?", "")  # a string, a number, a parameter, or the star of table.*

MAX_TOKENS = 10_000
"""How many tokens are read of one text; an ORM's select of 800 columns has half of them."""

# Every alternative that opens something also matches if it is never closed, so that no text is read twice.
# Backslashes escape in E'' strings and in MySQL's strings only. As the dialect is not known, a backslash before a quote
# escapes it if a letter follows.
_TOKEN = re.compile(
    r"""
      (?P<word>    \#{0,2}[^\W\d][\w$\#]*+(?!'|&")                          # T-SQL: # starts a temporary table's name
      )
    | (?P<mark>    [(){},;=] | \.(?!\s*\*))
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
    | (?P<space>   \s\s+ | --[^\n]* | (?<!\S)\#(?!\w|>|-\s)[^\n]* | \A\s*\#[^\n]*   # MySQL; #> and #- are operators
      )
    | (?P<comment> /\*)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_END = re.compile(r"\*/")
_COMMENT_MARK = re.compile(r"/\*|\*/")


def tokenize(sql: str, *, script: bool = False) -> Iterator[Token]:
    """Yield the tokens of the first statement of a text, `MAX_TOKENS` at most; the last one is `END` if that is all.

    With ``script``, those of all its statements.
    """
    position, remaining = 0, MAX_TOKENS
    comments_nest, after_dot = True, False
    sql = sql.lstrip("; \t\r\n")
    while True:
        for match in _TOKEN.finditer(sql, position):
            remaining -= 1
            if remaining < 0:
                return
            kind, text = match.lastgroup, match.group()
            if kind == "word":
                name = text.lower()
                yield ("" if after_dot else name), name
            elif kind == "mark":
                yield text, ""
                if text == ";" and not script:
                    return
            elif kind == "quoted":
                yield "", unquote(text)
            elif kind == "value":
                yield VALUE
            elif kind == "comment":
                position, comments_nest = skip_comment(sql, match.end(), comments_nest)
                break
            else:
                continue
            after_dot = text == "."
        else:
            yield END
            return


def skip_comment(sql: str, position: int, comments_nest: bool) -> tuple[int, bool]:
    """Return where a comment ends, and whether later ones may nest.

    Comments nest in PostgreSQL and T-SQL. They are read so as long as all are closed then: one that is not has cost a
    look at the rest of the text, which is not taken a second time.
    """
    if comments_nest:
        depth = 1
        for mark in _COMMENT_MARK.finditer(sql, position):
            depth += 1 if mark.group() == "/*" else -1
            if not depth:
                return mark.end(), True
    closing = _COMMENT_END.search(sql, position)
    return (len(sql) if closing is None else closing.end()), False


def unquote(text: str) -> str:
    """Return a name without its quotes; of BigQuery's paths, ``a.b`` in one pair of backticks, the last part."""
    text = text.removeprefix("U&").removeprefix("u&")
    opening = text[0]
    closing = "]" if opening == "[" else opening
    name = text[1:].removesuffix(closing).replace(closing * 2, closing)
    return name.rpartition(".")[2] if opening == "`" else name
