"""A running server's numbers are shown from one scrape to the next, whatever happens to it in between."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from io import StringIO

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server
from rich.console import Console
from rich.live import Live

from metrics.__main__ import main
from metrics.commands.watch_command import LiveTable, format_number, print_json
from metrics.diagnostics.scrape_client import ScrapeResult, parse_samples
from metrics.diagnostics.scrape_rates import Line, read_lines


class Server:
    """A server with two families, which can be stopped."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self.calls = Counter("acme_calls_total", "Calls.", ["model"], registry=registry)
        self.seconds = Histogram("acme_seconds", "Time.", registry=registry)
        self._server, self._thread = start_http_server(0, "127.0.0.1", registry)
        self.url = f"http://127.0.0.1:{self._server.server_port}/metrics"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    started = Server()
    yield started
    started.stop()


def while_it_sleeps(monkeypatch: pytest.MonkeyPatch, *steps: object) -> None:
    """Call one step in each interval, instead of waiting."""
    left = iter(steps)

    def sleep(_seconds: float) -> None:
        step = next(left)
        if callable(step):
            step()

    monkeypatch.setattr("metrics.commands.watch_command.time.sleep", sleep)


def test_each_interval_is_a_line_of_json(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.calls.labels("a").inc(5)
    while_it_sleeps(monkeypatch, lambda: server.calls.labels("a").inc(2), lambda: server.seconds.observe(0.2))
    assert main(["watch", server.url, "--format", "json", "--count", "2", "--by", "model"]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    (calls,) = first["lines"]
    assert (calls["family"], calls["labels"], calls["value"]) == ("acme_calls_total", {"model": "a"}, 7)
    assert calls["rate"] > 0
    assert [line["family"] for line in second["lines"]] == ["acme_calls_total", "acme_seconds"]
    assert 0.1 < second["lines"][1]["quantiles"]["0.5"] <= 0.25


def test_lines_are_chosen_by_name_and_by_having_something_to_show(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def families(*options: str) -> list[str]:
        while_it_sleeps(monkeypatch, None)
        assert main(["watch", server.url, "--format", "json", "--count", "1", *options]) == 0
        return [line["family"] for line in json.loads(capsys.readouterr().out)["lines"]]

    server.calls.labels("a").inc()
    assert families() == ["acme_calls_total"]
    assert families("--all") == ["acme_calls_total", "acme_seconds"]
    assert families("--all", "--match", "sec.*ds$") == ["acme_seconds"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--match", "nosuch"], "no family matches 'nosuch'"),
        (["--match", "acme_cals_total"], "did you mean acme_calls_total?"),
        (["--by", "nosuch"], "no family has the label 'nosuch'; there are model"),
        (["--by", "model", "--by", "le"], "no family has the label 'le'"),
    ],
)
def test_a_choice_that_nothing_fits_is_refused(
    server: Server, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    server.calls.labels("a").inc()
    assert main(["watch", server.url, "--format", "json", "--count", "1", *options]) == 2
    assert message in capsys.readouterr().err


def test_a_server_that_goes_away_is_reported_and_watched_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = Server()
    while_it_sleeps(monkeypatch, server.stop)
    assert main(["watch", server.url, "--format", "json", "--count", "1"]) == 0
    assert "cannot be read" in json.loads(capsys.readouterr().out)["error"]
    assert main(["watch", server.url, "--format", "json", "--count", "1"]) == 2
    assert "start the server, or give the address where it listens" in capsys.readouterr().err


@pytest.mark.parametrize("bucket", ["acme_bucket", 'acme_bucket{le="x"}', 'acme_bucket{le="NaN"}'])
def test_a_bucket_without_a_bound_is_a_number_like_others(bucket: str) -> None:
    lines = list(read_lines(scrape_of(0, 0, bucket), scrape_of(2, 10, bucket)))
    assert [(line.family, line.value) for line in lines] == [("acme_bucket", 7), ("acme_le", 1), ("acme", 2)]
    assert lines[-1].quantiles[0] == 0.5


def scrape_of(observed: int, at: float, bucket: str) -> ScrapeResult:
    text = f"""acme_bucket{{le="1"}} {observed}\nacme_bucket{{le="+Inf"}} {observed}\nacme_count {observed}
{bucket} 7\nacme_le{{le="1"}} 1\n"""
    return ScrapeResult(at, at, None, parse_samples(text, "http://acme/metrics"))


def test_a_number_that_json_has_not_is_null(capsys: pytest.CaptureFixture[str]) -> None:
    nan, inf = float("nan"), float("inf")
    print_json([Line("acme", (), value=nan, rate=inf, quantiles=(-inf, 1.0), mean=nan)], "")
    (line,) = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)["lines"]
    assert (line["value"], line["rate"], line["mean"]) == (None, None, None)
    assert line["quantiles"] == {"0.5": None, "0.95": 1.0}


def test_an_interrupt_is_the_usual_end(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    while_it_sleeps(monkeypatch, interrupt)
    assert main(["watch", server.url]) == 0


def test_what_is_no_terminal_gets_one_table_below_the_other(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    server.calls.labels("a").inc(1234567)
    while_it_sleeps(monkeypatch, None, None)
    assert main(["watch", server.url, "--count", "2"]) == 0
    assert capsys.readouterr().out.count("1,234,567") == 2


def test_a_terminal_shows_as_much_as_it_has_room_for() -> None:
    out = StringIO()
    show = LiveTable("http://x/metrics", Console(file=out, force_terminal=True, width=90, height=10), Live)
    lines = [Line(f"acme_{number}", (), value=float(number)) for number in range(5)]
    show(lines, "")
    show(lines, "gone for a moment")
    show.close()
    text = out.getvalue()
    assert "acme_2" in text
    assert "acme_3" not in text
    assert "2 more lines: choose by --match" in text
    assert "gone for a moment" in text


def shown(width: int, *lines: Line) -> list[str]:
    """Return the rows of a table of this width, without its title."""
    out = StringIO()
    LiveTable("http://x/metrics", Console(file=out, width=width), Live)(lines, "")
    return out.getvalue().splitlines()[1:]


def test_a_table_has_a_column_for_each_number() -> None:
    seconds = Line("acme_seconds", (("model", "a"), ("status", "ok")), 1234567.0, 0.5, (1.375, None), mean=1.5)
    assert shown(100, seconds, Line("acme_open", (), value=7.0)) == [
        "┏━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━┳━━━━━━━━━━┳━━━━━━┳━━━━━┳━━━━━━┓",
        "┃ family       ┃ labels             ┃     value ┃ a second ┃  p50 ┃ p95 ┃ mean ┃",
        "┡━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━╇━━━━━━━━━━╇━━━━━━╇━━━━━╇━━━━━━┩",
        "│ acme_seconds │ model=a, status=ok │ 1,234,567 │      0.5 │ 1.38 │     │  1.5 │",
        "│ acme_open    │                    │         7 │          │      │     │      │",
        "└──────────────┴────────────────────┴───────────┴──────────┴──────┴─────┴──────┘",
    ]


@pytest.mark.parametrize(("length", "names"), [(40, ["n" * 40]), (41, ["n" * 40, "n"])])
def test_a_name_stays_whole_up_to_half_the_width_and_a_number_always(length: int, names: list[str]) -> None:
    rows = [row.split("│") for row in shown(80, Line("n" * length, (("label", "v" * 90),), 1234567.0)) if row[0] == "│"]
    assert [name for row in rows if (name := row[1].strip())] == names
    assert rows[0][3].strip() == "1,234,567"


def test_numbers_are_whole_where_names_have_no_room() -> None:
    rows = shown(50, Line("n" * 40, (("label", "v" * 90),), 1234567.0, mean=7654321.0))
    assert any({"1,234,567", "7,654,321"} <= {*row.replace(" ", "").split("│")} for row in rows)


def test_without_rich_the_error_says_what_to_install(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert main(["watch", server.url]) == 2
    assert "pip install 'sparklio[watch]', or take --format json" in capsys.readouterr().err


@pytest.mark.parametrize("option", [["--interval", "0"], ["--interval", "x"], ["--match", "("], ["--count", "x"]])
def test_a_wrong_option_is_refused(option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["watch", *option])
    assert refused.value.code == 2
    assert option[0] in capsys.readouterr().err


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (None, ""),
        (0.0, "0"),
        (7.0, "7"),
        (1234567.0, "1,234,567"),
        (1234.56, "1,234.6"),
        (0.01234, "0.0123"),
        (float("inf"), "inf"),
        (float("nan"), "nan"),
    ],
)
def test_numbers_are_short(number: float | None, text: str) -> None:
    assert format_number(number) == text
