"""The doctor in front of real servers: wrong set-ups, right ones, and what is no set-up of ours at all."""

from __future__ import annotations

import os
import re
import socket
from collections import UserDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from time import time

import httpx
import pytest

from metrics.__main__ import main
from metrics.diagnostics.doctor import SCRAPES
from tests.support.server_process import environment_with_shifted_clock, running_server
from tests.support.studio import until

ROOT = Path(__file__).parents[3]
APP = "tests.support.small_application:app"
YEARS = 10 * 365 * 86400  # so long ago no file of ours was written

UNSHARED = r"unshared_workers: .*each counts for itself.*SPARKLIO_WORKERS.*SPARKLIO_METRICS_DIR="
RELOAD = r"reload: told by the server at its start: .*begins at zero.*Leave --reload"


@dataclass(frozen=True)
class SetUp:
    """A way to start uvicorn, what the doctor finds of it, and whether the start warns of the same."""

    options: str = ""
    program: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    clock: int = 0
    found: str = ""
    warned: bool = True


# fmt: off
SET_UPS = {
    "one process": SetUp(),
    "three workers with a folder": SetUp(options="--workers 3", variables={"SMALL_DIR": "{folder}"}),
    "three workers": SetUp(options="--workers 3", found=UNSHARED),
    "three workers by a variable": SetUp(variables={"WEB_CONCURRENCY": "3"}, found=UNSHARED),
    "three workers by a program": SetUp(program="workers=3", found=UNSHARED),
    "a reload": SetUp(options="--reload --reload-dir {folder}", found=RELOAD),
    "a reload by a variable": SetUp(options="--reload-dir {folder}", variables={"UVICORN_RELOAD": "1"}, found=RELOAD),
    "a reload by a program": SetUp(program="reload=True, reload_dirs=['{folder}']", found=RELOAD),
    # With no other clock to look at, and files that are older, it is for the doctor alone to find.
    "a clock an hour ahead": SetUp(clock=3600, found=r"clock: the server's is 3(599|600) s ahead.*NTP", warned=False),
    "a clock years behind": SetUp(clock=-YEARS, found=r"clock: the server's is 31\d{7} s behind.*NTP"),
}
# fmt: on


@pytest.mark.slow
@pytest.mark.parametrize("name", SET_UPS)
def test_what_makes_numbers_wrong_is_warned_of_at_the_start_and_found_by_the_doctor(
    name: str,
    free_port: Callable[[], int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A real uvicorn, however it was told; where nothing is wrong, nothing is said."""
    wanted = SET_UPS[name]
    port, log, folder = free_port(), tmp_path / "log", tmp_path / "folder"
    folder.mkdir()
    url = f"http://127.0.0.1:{port}/metrics"
    command = ["-m", "uvicorn", APP, "--port", str(port), *wanted.options.format(folder=folder).split()]
    if wanted.program:
        started = tmp_path / "program.py"
        given = f"{APP!r}, port={port}, {wanted.program.format(folder=folder)}"
        started.write_text(f"import uvicorn\n\nif __name__ == '__main__':\n    uvicorn.run({given})\n")
        command = [str(started)]
    variables = {key: value.format(folder=folder) for key, value in wanted.variables.items()}
    path = environment_with_shifted_clock(wanted.clock, tmp_path)["PYTHONPATH"]
    environment = {**os.environ, **variables, "PYTHONPATH": os.pathsep.join([str(ROOT), path])}
    with running_server(url, command, ROOT, environment, log):
        if "SMALL_DIR" in variables:
            until(lambda: re.search(r"^sparklio_workers 3\.0$", httpx.get(url).text, re.MULTILINE))
        code = main(["doctor", url])
    *findings, last = capsys.readouterr().out.splitlines()
    warnings = re.findall(r"the numbers will be wrong \((\w+)\): .+\.$", log.read_text(), re.MULTILINE)
    if not wanted.found:
        assert (code, findings, last) == (0, [], f"ok: {url}")
        assert warnings == []
        return
    assert (code, len({line.partition(":")[0] for line in findings}), last) == (1, 1, f"FAILED: {url}")
    assert any(re.match(f"- {wanted.found}", line) for line in findings)
    name = wanted.found.partition(":")[0]
    assert {*warnings} == ({name} if wanted.warned else set())


@contextmanager
def answering(status: int, body: bytes, headers: Mapping[str, str]) -> Iterator[str]:
    """Serve one answer, whatever is asked."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response_only(status)  # and no date
            for key, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/metrics"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (200, b"<!doctype html><title>A page</title>", "answers, but not with metrics"),
        (200, b'{"status":"ok"}', "answers, but not with metrics"),
        (200, b"\x89PNG\xff\xfe\x00", "answers, but not with metrics"),
        (200, b"", "answers, but not with metrics"),
        (401, b"", "--header 'Authorization: Bearer TOKEN'"),
        (404, b"", "answers 404 Not Found: give the address of its metrics"),
        (500, b"", "answers 500 Internal Server Error: see its log"),
    ],
)
def test_a_server_without_metrics_is_told_from_a_healthy_one(
    status: int, body: bytes, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line that says what to do, and nothing of what the server said."""
    with answering(status, body, {}) as url:
        assert main(["doctor", url]) == 2
    said = capsys.readouterr()
    [line] = said.err.splitlines()
    assert said.out == ""
    assert line.startswith(f"python -m metrics doctor: {url} answers")
    assert says in line
    assert "page" not in line


def test_what_speaks_no_http_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"SSH-2.0-other\r\n")
                connection.recv(1 << 16)

        thread = Thread(target=greet)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/metrics"
        assert main(["doctor", url]) == 2
        thread.join()
    [line] = capsys.readouterr().err.splitlines()
    assert line == f"python -m metrics doctor: {url} cannot be read: no HTTP is spoken there"


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "127.0.0.1:8000", "http://127.0.0.1:1/a b", "http://[::1/metrics"]
)
def test_what_is_no_web_address_is_said(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", url]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert url in line


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("any:hush@host/metrics", "host/metrics is no web address"),
        ("http://any:hu/sh@host/metrics", "http://host/metrics cannot be read: the address is malformed"),
        ("http://any:hu sh@[host/metrics", "http://[host/metrics cannot be read: the address is malformed"),
        ("http://[any:hush]:1/@host/metrics", "http://host/metrics cannot be read: the address is malformed"),
    ],
)
def test_an_address_that_cannot_be_read_is_refused_without_repeating_its_secret(
    url: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither the address nor the words of whatever parser met it first."""
    assert main(["doctor", url]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"python -m metrics doctor: {says}")
    assert not re.search("any|hu|sh", line)


def test_a_scheme_in_capitals_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    with answering(200, b"up 1\n", {}) as url:
        assert main(["doctor", url.replace("http", "HTTP")]) == 0
    assert capsys.readouterr().out == f"ok: {url.replace('http', 'HTTP')}\n"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_secret_is_not_sent_on_to_another_server(status: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the redirect points is said, without what may be a secret in it, and nothing asks there."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        goal = f"127.0.0.1:{other.getsockname()[1]}/login"
        with answering(status, b"", {"Location": f"http://any:hush@{goal}?key=hush"}) as url:
            assert main(["doctor", url.replace("://", "://any:hush@")]) == 2
        other.setblocking(False)
        with pytest.raises(BlockingIOError):
            other.accept()
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"python -m metrics doctor: {url} points to http://{goal}, another server")
    assert "hush" not in line


def test_a_redirect_that_stays_is_followed(capsys: pytest.CaptureFixture[str]) -> None:
    """Here in a circle, which is told in one line of our own words."""
    with answering(302, b"", {"Location": "/metrics"}) as url:
        assert main(["doctor", url]) == 2
    assert capsys.readouterr().err == f"python -m metrics doctor: {url} answers 302 Found: see its log\n"


def test_nobody_there_is_said(capsys: pytest.CaptureFixture[str], free_port: Callable[[], int]) -> None:
    url = f"http://127.0.0.1:{free_port()}/metrics"
    assert main(["doctor", url]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert url in line
    assert "start the server" in line


@pytest.mark.parametrize("date", ["yesterday", "Sun, 99 Foo 2026 00:00:00 GMT", ""])
def test_a_header_that_is_no_date_is_no_clock(date: str, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(200, b"up 1\n", {"Date": date}) as url:
        assert main(["doctor", url]) == 0
    assert capsys.readouterr().out == f"ok: {url}\n"


def test_a_header_that_was_renewed_long_ago_is_no_clock_that_is_off(capsys: pytest.CaptureFixture[str]) -> None:
    """A busy server's is seconds old for as long as all scrapes take."""

    class Late(UserDict[str, str]):
        asked, began = 0, time()

        def __getitem__(self, key: str) -> str:
            self.asked += 1
            return formatdate(time() if self.asked > SCRAPES + 4 else self.began - 10, usegmt=True)

    with answering(200, b"up 1\n", Late(Date="")) as url:
        assert main(["doctor", url]) == 0
    assert capsys.readouterr().out == f"ok: {url}\n"


@pytest.mark.parametrize("header", ["Authorization Bearer hush", "Authorization:", "X: hush\nY: hush", "X: hüsh"])
def test_a_header_that_is_none_is_refused_without_repeating_it(header: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["doctor", "--header", header])
    said = capsys.readouterr().err
    assert "'NAME: VALUE'" in said
    assert not re.search("h.sh", said)
