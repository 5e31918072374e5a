"""Cached lines hold the right values, and the text of an unchanged value is not formatted again."""

from __future__ import annotations

from metrics.text_format.line_cache import LinePrefixes, RenderedChildren


def test_labels_are_sorted_with_the_bucket_bound_among_them() -> None:
    prefixes = LinePrefixes(["z", "a"], [("took_bucket", 'le="1.0"'), ("took_sum", "")], "underscores")
    assert prefixes(("last", "first")) == [
        'took_bucket{a="first",le="1.0",z="last"} ',
        'took_sum{a="first",z="last"} ',
    ]


def test_without_labels_only_a_bucket_has_braces() -> None:
    prefixes = LinePrefixes([], [("took_bucket", 'le="1.0"'), ("took_sum", "")], "underscores")
    assert prefixes(()) == ['took_bucket{le="1.0"} ', "took_sum "]


def test_created_lines_follow_their_child_or_stand_apart() -> None:
    created = ["a_created 100%\n", "b_created 2\n"]
    inline = RenderedChildren([1, 2], [["a "], ["b "]], [100.0, 2.0], created, created_inline=True)
    apart = RenderedChildren([1, 2], [["a "], ["b "]], [100.0, 2.0], created, created_inline=False)
    assert inline.fill([b"1", b"2"]) == b"a 1\na_created 100%\nb 2\nb_created 2\n"
    assert inline.created_lines == b""
    assert apart.fill([b"1", b"2"]) == b"a 1\nb 2\n"
    assert apart.created_lines == b"a_created 100%\nb_created 2\n"


def test_only_values_that_are_other_objects_are_formatted_again() -> None:
    children = RenderedChildren([1, 2, 3], [["a "], ["b "], ["c "]], [], ["", "", ""], created_inline=True)
    first = [1.0, 2.0, 3.0]
    texts = children.value_texts(0, first)
    assert texts == [b"1.0", b"2.0", b"3.0"]
    assert children.value_texts(0, list(first)) is texts
    changed = children.value_texts(0, [first[0], 2.5, first[2]])
    assert changed == [b"1.0", b"2.5", b"3.0"]
    assert changed[0] is texts[0]
    assert texts == [b"1.0", b"2.0", b"3.0"]  # another thread may be rendering it
    assert children.value_texts(1, [7, 8, 9]) == [b"7.0", b"8.0", b"9.0"]
    assert children.value_texts(0, [4.0, 5.0, 6.0]) == [b"4.0", b"5.0", b"6.0"]


def test_a_text_is_the_last_one_as_long_as_its_numbers_are_the_same_objects() -> None:
    children = RenderedChildren([1], [["a "]], [], [""], created_inline=True)
    number, exemplar = 1.5, object()
    assert children.last_text([number], [exemplar]) is None
    text = children.remember([number], [exemplar], b"a 1.5\n")
    assert children.last_text([number], [exemplar]) is text
    assert children.last_text([float("1.5")], [exemplar]) is None
    assert children.last_text([number], [object()]) is None
    assert children.last_text([number], []) is None
    assert children.remember([float("1.5")], [], bytes(bytearray(b"a 1.5\n"))) is text
