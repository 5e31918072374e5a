"""Tokens are read as far as they are asked for, and comments, strings and quoted names are told from words."""

from __future__ import annotations

import pytest

from events.bridges.sqlalchemy.sql.lexer import END, MAX_TOKENS, VALUE, skip_comment, tokenize, unquote
from events.bridges.sqlalchemy.sql.token_reader import TokenReader


def words(sql: str, *, script: bool = False) -> list[str]:
    return [name or word for word, name in tokenize(sql, script=script)]


def test_a_reader_stands_before_the_next_token() -> None:
    reader = TokenReader("select a from b")
    assert (reader.peek()[0], reader.peek(1)[0], reader.peek(3)[0]) == ("select", "a", "b")
    assert reader.previous_words() == []
    assert reader.take() == ("select", "select")
    assert reader.previous_words() == ["select"]
    assert [reader.take()[0] for _ in range(2)] == ["a", "from"]
    assert reader.previous_words() == ["a", "from"]
    assert (reader.peek()[0], reader.peek(1), reader.peek(2)) == ("b", END, END)


def test_past_the_end_is_the_end_and_a_text_that_was_read_to_it_was_not_cut() -> None:
    reader = TokenReader("select a")
    assert [reader.take() for _ in range(4)][2:] == [END, END]
    assert reader.previous_words() == ["select", "a"]
    assert reader.peek(99) is END
    assert not reader.was_cut


@pytest.mark.parametrize(("count", "was_cut"), [(MAX_TOKENS // 2 - 1, False), (MAX_TOKENS, True)])
def test_a_text_of_more_tokens_than_are_read_was_cut(count: int, was_cut: bool) -> None:
    reader = TokenReader("a," * count)
    assert reader.skip_to({"from"}) == END[0]
    assert reader.was_cut is was_cut


def test_a_reader_goes_to_the_first_of_some_words_or_to_the_end() -> None:
    reader = TokenReader("a, b from c where d from e")
    assert reader.skip_to({"where", "from"}) == "from"
    assert reader.skip_to({"from"}) == "from"  # it stands before it still
    reader.take()
    assert (reader.skip_to({"where"}), reader.peek(1)[0]) == ("where", "d")
    assert reader.skip_to({"having"}) == END[0]
    assert reader.peek() is END


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("; \n select 1", ["select", "?", ";"]),
        ("select a; select b", ["select", "a", ";"]),
        ("a /* b */ c", ["a", "c", ";"]),
        ("a /* b /* c */ d */ e", ["a", "e", ";"]),
        ("a /* b /* c */ d", ["a", "d", ";"]),  # not closed: it does not nest
        ("a /* b", ["a", ";"]),
        ("a /* b /* c */ d /* e /* f */ g", ["a", "d", "g", ";"]),
        ("a -- b\nc", ["a", "c", ";"]),
        ("# a\nb", ["b", ";"]),
        ("'a''b' c", ["?", "?", "c", ";"]),
        ("a.*", ["a", "?", ";"]),
        ('"A b" c', ["A b", "c", ";"]),
    ],
)
def test_a_text_is_cut_into_tokens(sql: str, expected: list[str]) -> None:
    assert words(sql) == expected


def test_a_script_is_all_its_statements() -> None:
    assert words("select a; select b", script=True) == ["select", "a", ";", "select", "b", ";"]


def test_after_a_dot_every_word_is_a_name() -> None:
    assert list(tokenize("a.select.b select")) == [
        ("a", "a"), (".", ""), ("", "select"), (".", ""), ("", "b"), ("select", "select"), END,
    ]  # fmt: skip
    assert list(tokenize(". 1 from")) == [(".", ""), VALUE, ("from", "from"), END]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('"a"', "a"),
        ('"a""b"', 'a"b'),
        ('U&"a"', "a"),
        ('u&"a"', "a"),
        ("[a]]b]", "a]b"),
        ("`a.b`", "b"),
        ("`a``b`", "a`b"),
        ('"a.b"', "a.b"),
        ('"a', "a"),
    ],
)
def test_a_quoted_name_is_what_stands_between_its_quotes(text: str, name: str) -> None:
    assert unquote(text) == name


@pytest.mark.parametrize(
    ("sql", "nests", "end"),
    [
        ("/* a */ b", True, (7, True)),
        ("/* a */ b", False, (7, False)),
        ("/**/b", True, (4, True)),
        ("/**/b", False, (4, False)),
        ("/* a /* b */ c */ d", True, (17, True)),
        ("/* a /* b */ c */ d", False, (12, False)),
        ("/* a /* b */ c", True, (12, False)),  # not all are closed: none nests
        ("/* a", True, (4, False)),
        ("/* a", False, (4, False)),
    ],
)
def test_comments_nest_as_long_as_all_are_closed(sql: str, nests: bool, end: tuple[int, bool]) -> None:
    assert skip_comment(sql, 2, nests) == end
