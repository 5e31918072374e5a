"""Names and label values are escaped as the escaping schemes of Prometheus say."""

from __future__ import annotations

import pytest

from metrics.text_format.escaping import escape_label_name, escape_label_value, escape_metric_name
from metrics.text_format.formats import Escaping


@pytest.mark.parametrize(
    ("name", "underscores", "utf_8", "dots", "values"),
    [
        ("plain_name", "plain_name", "plain_name", "plain__name", "plain_name"),
        ("http.requests", "http_requests", '"http.requests"', "http_dot_requests", "U__http_2e_requests"),
        (
            "http.requests_é",
            "http_requests__",
            '"http.requests_é"',
            "http_dot_requests____",
            "U__http_2e_requests___e9_",
        ),
        ("0x", "_x", '"0x"', "__x", "U___30_x"),
        ("x0", "x0", "x0", "x0", "x0"),
        ("a\ud800", "a_", '"a\ud800"', "a__", "U__a_FFFD_"),
        ("a\ud7ff", "a_", '"a\ud7ff"', "a__", "U__a_d7ff_"),
        ("a\ue000", "a_", '"a\ue000"', "a__", "U__a_e000_"),
        ('a"b', "a_b", '"a\\"b"', "a__b", "U__a_22_b"),
    ],
)
def test_a_name_under_each_scheme(name: str, underscores: str, utf_8: str, dots: str, values: str) -> None:
    schemes: dict[Escaping, str] = {"underscores": underscores, "allow-utf-8": utf_8, "dots": dots, "values": values}
    for escaping, escaped in schemes.items():
        assert escape_metric_name(name, escaping) == escaped
        assert escape_label_name(name, escaping) == escaped


def test_the_last_surrogate_is_replaced_as_the_first() -> None:
    assert escape_metric_name("a\udfff", "values") == "U__a_FFFD_"


def test_a_colon_is_allowed_in_the_name_of_a_metric_and_not_of_a_label() -> None:
    assert escape_metric_name("in:flight", "underscores") == "in:flight"
    assert escape_label_name("in:flight", "underscores") == "in_flight"


def test_a_label_value_has_its_backslashes_quotes_and_line_feeds_escaped() -> None:
    assert escape_label_value('a\\b"c\nd\te') == 'a\\\\b\\"c\\nd\te'
    assert escape_label_value(7) == "7"
