"""The doctor examines real servers: faulty deployments, sound ones, and servers without metrics."""

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
from tests.support.wait import wait_until

ROOT = Path(__file__).parents[3]
APP = "tests.support.small_application:app"
YEARS = 10 * 365 * 86400  # so long ago no file of ours was written

UNSHARED = r"unshared_workers: .*each counts for itself.*metrics\.Workers\(folder\).*subscribe\(workers="
AHEAD = r"clock: the server's is 3(599|600) s ahead.*NTP"
RELOAD = r"reload: found by the server at its start: .*begins at zero.*Leave --reload"


@dataclass(frozen=True)
class Deployment:
    """A way to start uvicorn, what the doctor finds, and whether the process warns of the same at its start."""

    options: str = ""
    program: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    clock_offset: int = 0
    found: str = ""
    warned: bool = True


# fmt: off
DEPLOYMENTS = {
    "one process": Deployment(),
    "three workers with a folder": Deployment(options="--workers 3", variables={"SMALL_DIR": "{folder}"}),
    "three workers": Deployment(options="--workers 3", found=UNSHARED),
    "three workers by a variable": Deployment(variables={"WEB_CONCURRENCY": "3"}, found=UNSHARED),
    "three workers by a program": Deployment(program="workers=3", found=UNSHARED),
    "a reload": Deployment(options="--reload --reload-dir {folder}", found=RELOAD),
    "a reload by a variable": Deployment("--reload-dir {folder}", variables={"UVICORN_RELOAD": "1"}, found=RELOAD),
    "a reload by a program": Deployment(program="reload=True, reload_dirs=['{folder}']", found=RELOAD),
    # Without another clock to compare with, and with files that are older, only the doctor can find it.
    "a clock an hour ahead": Deployment(clock_offset=3600, found=AHEAD, warned=False),
    "a clock years behind": Deployment(clock_offset=-YEARS, found=r"clock: the server's is 31\d{7} s behind.*NTP"),
}
# fmt: on


@pytest.mark.slow
@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_faulty_deployment_is_warned_of_at_the_start_and_found_by_the_doctor(
    name: str,
    free_port: Callable[[], int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A real uvicorn, however it is configured; where nothing is wrong, nothing is reported."""
    expected = DEPLOYMENTS[name]
    port, log, folder = free_port(), tmp_path / "log", tmp_path / "folder"
    folder.mkdir()
    url = f"http://127.0.0.1:{port}/metrics"
    command = ["-m", "uvicorn", APP, "--port", str(port), *expected.options.format(folder=folder).split()]
    if expected.program:
        started = tmp_path / "program.py"
        call = f"{APP!r}, port={port}, {expected.program.format(folder=folder)}"
        started.write_text(f"import uvicorn\n\nif __name__ == '__main__':\n    uvicorn.run({call})\n")
        command = [str(started)]
    variables = {key: value.format(folder=folder) for key, value in expected.variables.items()}
    path = environment_with_shifted_clock(expected.clock_offset, tmp_path)["PYTHONPATH"]
    environment = {**os.environ, **variables, "PYTHONPATH": os.pathsep.join([str(ROOT), path])}
    with running_server(url, command, ROOT, environment, log):
        if "SMALL_DIR" in variables:
            wait_until(lambda: re.search(r"^sparklio_workers 3\.0$", httpx.get(url).text, re.MULTILINE))
        monkeypatch.chdir(tmp_path)  # out of the checkout, whose words are the studio's
        code = main(["doctor", url])
    *findings, last = capsys.readouterr().out.splitlines()
    warnings = re.findall(r"the numbers will be wrong \((\w+)\): .+\.$", log.read_text(), re.MULTILINE)
    if not expected.found:
        assert (code, findings, last) == (0, [], f"ok: {url}")
        assert warnings == []
        return
    assert (code, len({line.partition(":")[0] for line in findings}), last) == (1, 1, f"FAILED: {url}")
    assert any(re.match(f"- {expected.found}", line) for line in findings)
    name = expected.found.partition(":")[0]
    assert {*warnings} == ({name} if expected.warned else set())


@contextmanager
def answering(status: int, body: bytes, headers: Mapping[str, str]) -> Iterator[str]:
    """Serve one response to every GET and yield its URL."""

    class OneResponse(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response_only(status)  # and no date
            for key, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), OneResponse) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/metrics"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "body", "message"),
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
def test_a_server_without_metrics_is_reported_in_one_line(
    status: int, body: bytes, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line says what to do, and repeats nothing of the response."""
    with answering(status, body, {}) as url:
        assert main(["doctor", url]) == 2
    captured = capsys.readouterr()
    [line] = captured.err.splitlines()
    assert captured.out == ""
    assert line.startswith(f"python -m metrics doctor: {url} answers")
    assert message in line
    assert "page" not in line


def test_a_server_that_speaks_no_http_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
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
def test_an_address_that_is_no_url_of_http_is_refused(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", url]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert url in line


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("any:hush@host/metrics", "host/metrics is no web address"),
        ("http://any:hu/sh@host/metrics", "http://host/metrics cannot be read: the address is malformed"),
        ("http://any:hu sh@[host/metrics", "http://[host/metrics cannot be read: the address is malformed"),
        ("http://[any:hush]:1/@host/metrics", "http://host/metrics cannot be read: the address is malformed"),
    ],
)
def test_an_address_that_cannot_be_read_is_refused_without_repeating_its_secret(
    url: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither by our own message nor by that of the parser that failed."""
    assert main(["doctor", url]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"python -m metrics doctor: {message}")
    assert not re.search("any|hu|sh", line)


FOUND = b'acme_setup_faults_total{fault="unshared_workers"} 1\nacme_setup_faults_total{fault="reload"} 1\n'


@pytest.mark.slow
def test_the_advice_is_in_the_words_that_the_project_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pyproject.toml").write_text(
        "[tool.sparklio.metrics]\nadvice = { unshared_workers = 'Set ACME_METRICS_DIR' }\n"
    )
    monkeypatch.chdir(tmp_path)
    with answering(200, FOUND, {}) as url:
        assert main(["doctor", url]) == 1
    captured = capsys.readouterr()
    own, general, last = captured.out.splitlines()
    assert own == "- unshared_workers: found by the server at its start: Set ACME_METRICS_DIR"
    assert re.match(f"- {RELOAD}", general)
    assert (last, captured.err) == (f"FAILED: {url}", "")


@pytest.mark.slow
def test_numbers_that_do_not_show_what_the_server_found_are_passed_with_a_remark(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with answering(200, b"up 1\n", {}) as url:
        assert main(["doctor", url]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"ok: {url}\n"
    assert "there is no NAMESPACE_setup_faults_total" in captured.err


@pytest.mark.slow
def test_a_scheme_in_capitals_is_accepted(capsys: pytest.CaptureFixture[str]) -> None:
    with answering(200, b"up 1\n", {}) as url:
        assert main(["doctor", url.replace("http", "HTTP")]) == 0
    assert capsys.readouterr().out == f"ok: {url.replace('http', 'HTTP')}\n"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_secret_is_not_sent_on_to_another_server(status: int, capsys: pytest.CaptureFixture[str]) -> None:
    """The target is reported without what may be a secret in it, and never connected to."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        target = f"127.0.0.1:{other.getsockname()[1]}/login"
        with answering(status, b"", {"Location": f"http://any:hush@{target}?key=hush"}) as url:
            assert main(["doctor", url.replace("://", "://any:hush@")]) == 2
        other.setblocking(False)
        with pytest.raises(BlockingIOError):
            other.accept()
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"python -m metrics doctor: {url} points to http://{target}, another server")
    assert "hush" not in line


def test_a_redirect_within_the_server_is_followed(capsys: pytest.CaptureFixture[str]) -> None:
    """Here in a circle, which is reported in one line of our own words."""
    with answering(302, b"", {"Location": "/metrics"}) as url:
        assert main(["doctor", url]) == 2
    assert capsys.readouterr().err == f"python -m metrics doctor: {url} answers 302 Found: see its log\n"


def test_a_port_without_a_server_is_reported(capsys: pytest.CaptureFixture[str], free_port: Callable[[], int]) -> None:
    url = f"http://127.0.0.1:{free_port()}/metrics"
    assert main(["doctor", url]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert url in line
    assert "start the server" in line


@pytest.mark.slow
@pytest.mark.parametrize("date", ["yesterday", "Sun, 99 Foo 2026 00:00:00 GMT", ""])
def test_a_date_header_that_is_no_date_is_ignored(date: str, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(200, b"up 1\n", {"Date": date}) as url:
        assert main(["doctor", url]) == 0
    assert capsys.readouterr().out == f"ok: {url}\n"


@pytest.mark.slow
def test_a_date_header_that_is_renewed_late_is_no_clock_fault(capsys: pytest.CaptureFixture[str]) -> None:
    """On a busy server the header may be seconds old during all scrapes."""

    class LateDate(UserDict[str, str]):
        reads, began = 0, time()

        def __getitem__(self, key: str) -> str:
            self.reads += 1
            return formatdate(time() if self.reads > SCRAPES + 4 else self.began - 10, usegmt=True)

    with answering(200, b"up 1\n", LateDate(Date="")) as url:
        assert main(["doctor", url]) == 0
    assert capsys.readouterr().out == f"ok: {url}\n"


@pytest.mark.parametrize("header", ["Authorization Bearer hush", "Authorization:", "X: hush\nY: hush", "X: hüsh"])
def test_a_malformed_header_option_is_refused_without_repeating_it(
    header: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["doctor", "--header", header])
    message = capsys.readouterr().err
    assert "'NAME: VALUE'" in message
    assert not re.search("h.sh", message)
