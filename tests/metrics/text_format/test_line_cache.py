"""Cached lines hold the right values, and the text of an unchanged value is not formatted again."""

from __future__ import annotations

from collections.abc import Sequence

from metrics.text_format.line_cache import ChildLines, LinePrefixes, RenderedChildren


def test_labels_are_sorted_with_the_bucket_bound_among_them() -> None:
    prefixes = LinePrefixes(["z", "b", "a"], [("took_bucket", 'le="1.0"'), ("took_sum", "")], "underscores")
    assert prefixes(("last", "second", "first")) == [
        'took_bucket{a="first",b="second",le="1.0",z="last"} ',
        'took_sum{a="first",b="second",z="last"} ',
    ]


def test_without_labels_only_a_bucket_has_braces() -> None:
    prefixes = LinePrefixes([], [("took_bucket", 'le="1.0"'), ("took_sum", "")], "underscores")
    assert prefixes(()) == ['took_bucket{le="1.0"} ', "took_sum "]


def lines_of(*names: str, created: Sequence[float | None] = ()) -> ChildLines:
    """Return lines of children that have one each, which is called as the child's only label value is."""
    return ChildLines(
        lambda values: [f"{values[0]} "], [(name,) for name in names], lambda values: [f"{values[0]}_created "], created
    )


def test_created_lines_follow_their_child_or_stand_apart() -> None:
    lines = lines_of("a", "b%", created=[100.0, 2.0])
    inline = RenderedChildren([1, 2], lines, created_inline=True)
    apart = RenderedChildren([1, 2], lines, created_inline=False)
    assert inline.fill([b"1", b"2"]) == b"a 1\na_created 100.0\nb% 2\nb%_created 2.0\n"
    assert inline.created_lines == b""
    assert apart.fill([b"1", b"2"]) == b"a 1\nb% 2\n"
    assert apart.created_lines == b"a_created 100.0\nb%_created 2.0\n"


def test_only_values_that_are_other_objects_are_formatted_again() -> None:
    children = RenderedChildren([1, 2, 3], lines_of("a", "b", "c"))
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
    children = RenderedChildren([1], lines_of("a"))
    number, exemplar = 1.5, object()
    assert children.last_text([number], [exemplar]) is None
    text = children.remember([number], [exemplar], b"a 1.5\n")
    assert children.last_text([number], [exemplar]) is text
    assert children.last_text([float("1.5")], [exemplar]) is None
    assert children.last_text([number], [object()]) is None
    assert children.last_text([number], []) is None
    assert children.remember([float("1.5")], [], bytes(bytearray(b"a 1.5\n"))) is text


def test_of_a_part_of_a_family_the_text_is_held_or_what_it_is_written_from() -> None:
    part = RenderedChildren([1], lines_of("a"), is_part=True)
    moving, steady = [1.5], [2.5]

    def written(numbers: list[float]) -> bytes:
        return part.last_text(numbers, []) or part.remember(numbers, [], part.fill(part.value_texts(0, numbers)))

    def template() -> bytes | None:
        return part._template

    assert written(moving) == b"a 1.5\n"
    assert part.last_text(moving, []) is None
    assert template() == b"a %s\n"
    assert [*part._columns] == [0]
    text = written(steady), written(steady)
    assert text == (b"a 2.5\n", b"a 2.5\n")
    assert written(steady) is part.last_text(steady, []) is text[1]
    assert template() is None
    assert part._columns == {}
    assert written([float("2.5")]) is text[1]
    assert template() is None
    assert written(moving) == b"a 1.5\n"
    assert part._last is None
    assert template() == b"a %s\n"
