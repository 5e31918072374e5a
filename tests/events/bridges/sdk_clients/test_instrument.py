"""What can be instrumented, what a client is afterwards, and how it is undone."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from events import llm_called
from events.bridges import anthropic, openai
from events.bridges.sdk_clients.sdk_parts import OLDEST, release_of


class Stream:
    """Like that of an SDK."""

    def __stream__(self) -> Any: ...


class Package:
    """Like the SDK."""

    __version__ = "9.0"
    Stream = Stream


@pytest.fixture(autouse=True)
def package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", Package)


class HTTPClient:
    def send(self, request: Any) -> Any: ...


class Client:
    """Like one of the openai SDK, as far as it is looked at."""

    __module__ = "openai._client"
    base_url = "https://api.openai.com/v1/"

    def __init__(self) -> None:
        self._client = HTTPClient()
        self.sent: list[Any] = []

    def request(self, cast_to: Any, options: Any, *, stream: bool = False) -> Any:
        self.sent.append((cast_to, options, stream))
        return "an answer"


class Options:
    """Like those of a request to an API of the openai SDK."""

    method = "post"
    url = "/chat/completions"
    json_data: Any = {"model": "m-1"}  # noqa: RUF012  # it is not changed
    extra_json = None


class SlotsAlone:
    __module__ = "openai._client"
    __slots__ = ("_client",)

    def __init__(self) -> None:
        self._client = HTTPClient()

    def request(self) -> None: ...


class WithoutParts(Client):
    def __init__(self) -> None:
        self._client = None  # type: ignore[assignment]


class Unrelated:
    def request(self) -> None: ...


@pytest.mark.parametrize(
    ("client", "message"),
    [
        (Client, "pass an instance, such as `OpenAI"),
        (object(), "is no client of the openai SDK: pass an instance"),
        (pytest, "not a class, resource or module"),
        (Unrelated(), "is no client of the openai SDK$"),
        (SlotsAlone(), "has __slots__ alone"),
        (WithoutParts(), "has no _client.send: this release cannot be instrumented"),
    ],
)
def test_what_is_no_client_says_so(client: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        openai.instrument(client)


def test_a_client_of_the_other_sdk_says_which_bridge_is_for_it() -> None:
    with pytest.raises(TypeError, match=r"events\.bridges\.openai is for it"):
        anthropic.instrument(Client())


@pytest.mark.parametrize("version", ["0.28.1", "1.65.9"])
def test_a_release_that_is_too_old_says_so(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Package, "__version__", version)
    with pytest.raises(TypeError, match=rf"openai {version} is too old to be instrumented: 1\.66 is the oldest"):
        openai.instrument(Client())


@pytest.mark.parametrize("version", ["1.66", "1.66.0", "2.0.0", ""])
def test_the_oldest_release_and_one_that_does_not_say_can_be_instrumented(
    version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Package, "__version__", version)
    openai.instrument(Client()).undo()


def test_the_oldest_releases_are_those_of_the_extras_and_of_the_tests() -> None:
    root = Path(__file__).parents[4]
    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    pins = (root / "requirements-sdks-oldest.txt").read_text()
    for sdk, oldest in OLDEST.items():
        release = ".".join(map(str, oldest))
        assert extras[sdk] == [f"{sdk}>={release}"]
        assert f"{sdk}=={release}.0 " in pins


def test_a_release_that_is_made_otherwise_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Package, "Stream", None)
    with pytest.raises(TypeError, match=r"openai 9\.0 has no Stream\.__stream__: this release cannot be instrumented"):
        openai.instrument(Client())


def test_a_release_is_compared_by_its_numbers() -> None:
    assert release_of("1.9.0") < release_of("1.40") < release_of("1.40.0b2") < release_of("2.0.0.dev1")


def test_a_client_stays_what_it_is_and_is_restored() -> None:
    client = Client()
    handle = openai.instrument(client)
    assert handle.client is client
    assert isinstance(client, Client)
    assert type(client).__name__ == "Client"
    assert openai.instrument(client) is handle
    with llm_called.captured() as called:
        client.request(str, Options())
        handle.undo()
        handle.undo()
        client.request(str, Options())
    assert type(client) is Client
    assert [call.model for call in called] == ["m-1"]
    assert len(client.sent) == 2


def test_a_block_ends_it() -> None:
    client = Client()
    with openai.instrument(client) as handle:
        assert type(client) is not Client
    assert type(client) is Client
    assert openai.instrument(client) is not handle


def test_a_copy_is_told_until_the_client_is_undone() -> None:
    client = Client()
    handle = openai.instrument(client)
    copy = type(client)()
    with llm_called.captured() as called:
        copy.request(str, Options())
        assert openai.instrument(copy) is handle
        handle.undo()
        copy.request(str, Options())
        again = openai.instrument(copy)
        copy.request(str, Options())
        again.undo()
    assert len(called) == 2
    assert type(copy) is Client


def test_a_handle_that_nobody_holds_can_be_had_again() -> None:
    client = Client()
    openai.instrument(client)
    openai.instrument(client).undo()
    assert type(client) is Client


@pytest.mark.lenient
def test_nothing_is_read_where_nobody_listens() -> None:
    client = Client()
    openai.instrument(client)
    assert client.request(str, None) == "an answer"


@pytest.mark.parametrize(
    ("options", "calls"),
    [
        ({}, 1),
        ({"method": "get"}, 0),
        ({"url": "/files"}, 0),
        ({"url": "/chat/completions?api-version=1"}, 1),
        ({"json_data": None}, 1),
        ({"json_data": b"bytes", "extra_json": {"model": "m-1"}}, 1),
    ],
)
def test_what_is_posted_to_a_model_is_a_call(options: dict[str, Any], calls: int) -> None:
    client = Client()
    openai.instrument(client, provider="mine")
    posted = Options()
    vars(posted).update(options)
    with llm_called.captured() as called:
        assert client.request(cast_to=str, options=posted) == "an answer"
    assert len(called) == calls
    assert {call.provider for call in called} <= {"mine"}


@pytest.mark.lenient
def test_what_cannot_be_read_is_sent_all_the_same() -> None:
    client = Client()
    openai.instrument(client)
    with llm_called.captured() as called:
        assert client.request(str, object()) == "an answer"
    assert called == []
