"""What takes long to make is made once."""

from __future__ import annotations

from typing import Any

import pytest

from metrics.diagnostics.otel import versions
from metrics.exposition.content_encoding import compressors
from metrics.fastpath.codegen import generate_update_function
from metrics.fastpath.shape import AmountShape, UpdateShape
from metrics.multiprocess.file_layout import parse_label_values
from metrics.text_format.escaping import escape_label_name, escape_metric_name
from metrics.text_format.formats import TEXT


@pytest.mark.parametrize(
    ("make", "arguments"),
    [
        (generate_update_function, (UpdateShape(counters=1, amounts=(AmountShape("cost"),)),)),
        (parse_label_values, (b'["digest", "a", "b"]\n',)),
        (escape_metric_name, ("runs.total", TEXT.escaping)),
        (escape_label_name, ("a.b", TEXT.escaping)),
        (compressors, ()),
        (versions, ()),
    ],
)
def test_it_is_the_same_each_time(make: Any, arguments: tuple[Any, ...]) -> None:
    assert make(*arguments) is make(*arguments)
