"""`instrument` sets up an application by one call, and its handle undoes all of it."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2 as httpx
import openai
import pytest
from anthropic import AsyncAnthropic
from blinker import Namespace, default_namespace
from fastapi import APIRouter, FastAPI, HTTPException
from openai import AsyncOpenAI, OpenAI
from prometheus_client import CollectorRegistry, Counter, ProcessCollector
from prometheus_client.parser import text_string_to_metric_families
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from events import Label, Signal, http_request_finished, llm_called, query_executed
from events.bridges import openai as openai_bridge
from events.bridges import sqlalchemy as sqlalchemy_bridge
from events.bridges.asgi import HEALTH_CHECKS
from metrics import CATALOGUE, PIPELINE, TOOLS, Endpoint, InstrumentedApplication, counter, instrument, render
from metrics.text_format.formats import PROTOBUF
from tests.support.asgi_server import running_server
from tests.support.openai_server import OpenAIServer, says
from tests.support.protobuf_scrapes import read_scrape
from tests.support.provider_servers import AnthropicServer
from tests.support.wait import until


@dataclass(frozen=True, slots=True, kw_only=True)
class ParcelSent:
    """A parcel was sent."""

    country: Label


@pytest.fixture
def parcel_sent() -> Signal[..., ParcelSent]:
    return Signal(ParcelSent, Namespace())


@pytest.fixture
def engine(tmp_path: Path) -> AsyncEngine:
    return create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'shop.db'}")


@pytest.fixture
def openai_server() -> Iterator[OpenAIServer]:
    with OpenAIServer(says("Fine.")) as server:
        yield server


@pytest.fixture
def client(openai_server: OpenAIServer) -> AsyncOpenAI:
    return AsyncOpenAI(api_key="none", base_url=openai_server.base_url)


def shop() -> FastAPI:
    app = FastAPI(version="1.2.3")

    @app.get("/orders/{order}")
    async def order(order: int) -> int:
        return order

    return app


@asynccontextmanager
async def served(app: Any, **config: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        running_server(app, lifespan="on", **config) as url,
        httpx.AsyncClient(base_url=url, timeout=30) as browser,
    ):
        yield browser


async def scraped(browser: httpx.AsyncClient, path: str = "/metrics", **options: Any) -> dict[str, float]:
    """Return the samples by their names and labels, as Prometheus writes them."""
    response = await browser.get(path, **options)
    assert response.status_code == 200, response.text
    lines = (line for line in response.text.splitlines() if line and not line.startswith("#"))
    assert [*text_string_to_metric_families(response.text)]
    return {key: float(value) for key, value in (line.rsplit(" ", 1) for line in lines)}


ASKED = 'acme_http_requests_total{endpoint="/orders/{order}",method="GET",status_code="200"}'


async def test_http_database_models_and_own_events_are_counted(
    engine: AsyncEngine, client: AsyncOpenAI, parcel_sent: Signal[..., ParcelSent]
) -> None:
    app = shop()

    @app.post("/parcels/{country}")
    async def send_parcel(country: str) -> str | None:
        async with engine.begin() as connection:
            await connection.execute(text("select 1"))
        stream = await client.chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": "a label"}], stream=True,
            stream_options={"include_usage": True},
        )  # fmt: skip
        words = [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]
        parcel_sent.emit(country=country)
        return "".join(words)

    rows = (counter("parcels_total", "Parcels.", parcel_sent, labels=("country",)),)
    with instrument(
        app, namespace="acme", engine=engine, clients=[client], rows=rows, label_limits={"country": 10}, revision="abc"
    ):
        async with served(app) as browser:
            assert (await browser.post("/parcels/KR")).json() == "Fine."
            found = await scraped(browser)
    await engine.dispose()
    assert found['acme_http_requests_total{endpoint="/parcels/{country}",method="POST",status_code="200"}'] == 1
    assert found['acme_db_queries_total{operation="select",table="none"}'] == 1
    assert found['acme_llm_tokens_total{model="gpt-4o-mini",token_type="prompt"}'] > 0
    assert found['acme_parcels_total{country="KR"}'] == 1
    assert found['acme_build_info{revision="abc",version="1.2.3"}'] == 1
    assert found["acme_workers"] == 1
    assert found['acme_events_total{signal="http_request_finished"}'] == 1
    assert found["acme_event_loop_lag_seconds_count"] >= 0
    assert any(name.startswith("process_resident_memory_bytes") for name in found)
    assert any(name.startswith("python_info") for name in found)
    assert not any("/metrics" in name for name in found)  # scrapes are not counted


async def test_a_plain_starlette_application_is_counted() -> None:
    async def order(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.path_params["order"])

    app = Starlette(routes=[Route("/orders/{order}", order)])
    with instrument(app, namespace="acme"):
        async with served(app) as browser:
            await browser.get("/orders/7")
            found = await scraped(browser)
    assert found[ASKED] == 1
    assert found['acme_build_info{revision="unknown",version="unknown"}'] == 1
    assert not any(name.startswith(("acme_db_", "acme_llm_", "acme_agent")) for name in found)


async def test_everything_is_undone_by_its_handle(engine: AsyncEngine, client: AsyncOpenAI) -> None:
    app = shop()
    before = [*app.router.routes], [*app.user_middleware]
    classes = type(client), engine.dialect.execution_ctx_cls
    handle = instrument(app, namespace="acme", engine=engine, clients=[client])
    assert sqlalchemy_bridge.is_instrumented(engine)
    assert openai_bridge.is_instrumented(client)
    handle.close()
    handle.close()
    assert ([*app.router.routes], [*app.user_middleware]) == before
    assert (type(client), engine.dialect.execution_ctx_cls) == classes
    assert not sqlalchemy_bridge.is_instrumented(engine)
    assert [*handle.registry.collect()] == []
    assert not any(signal.receivers for signal in (http_request_finished, llm_called, query_executed))


async def test_a_running_application_goes_on_after_it_is_closed() -> None:
    app = shop()
    handle = instrument(app, namespace="acme")
    async with served(app) as browser:
        await browser.get("/orders/1")
        assert (await scraped(browser))[ASKED] == 1
        handle.close()
        with http_request_finished.captured() as requests:
            assert (await browser.get("/orders/2")).json() == 2
            assert (await browser.get("/metrics")).status_code == 404
        assert requests == []


async def test_it_can_be_instrumented_again_once_it_is_closed() -> None:
    app = shop()
    instrument(app, namespace="first").close()
    with instrument(app, namespace="acme"):
        async with served(app) as browser:
            await browser.get("/orders/1")
            found = await scraped(browser)
    assert found[ASKED] == 1
    assert not any(name.startswith("first") for name in found)


async def test_the_application_holds_the_handle(engine: AsyncEngine) -> None:
    app = shop()
    instrument(app, namespace="acme", engine=engine)
    gc.collect()
    async with served(app) as browser:
        await browser.get("/orders/1")
        assert (await scraped(browser))[ASKED] == 1
    del app
    await until(lambda: gc.collect() or not http_request_finished.receivers)


async def test_an_application_that_starts_again_counts_on() -> None:
    app = shop()
    with instrument(app, namespace="acme"):
        for lives in (1, 2):
            async with served(app) as browser:
                await browser.get("/orders/1")
                found = await scraped(browser)
            assert (found[ASKED], found["acme_workers_started_total"], found["acme_workers"]) == (lives, lives, 1)


async def test_the_path_and_the_token_can_be_set() -> None:
    app = shop()
    with instrument(app, namespace="acme", path="/internal/numbers", token="s3cret", exclude=HEALTH_CHECKS):
        async with served(app) as browser:
            assert (await browser.get("/metrics")).status_code == 404
            assert (await browser.get("/internal/numbers")).status_code == 401
            await browser.get("/health")
            for path in ("/internal/numbers", "/internal/numbers/"):
                found = await scraped(browser, path, headers={"Authorization": "Bearer s3cret"})
    assert not any("s3cret" in name for name in found)
    requested = {name for name in found if name.startswith("acme_http_requests_total") and found[name]}
    assert requested == {'acme_http_requests_total{endpoint="unmatched",method="GET",status_code="404"}'}


@pytest.mark.parametrize(("options", "is_native"), [({}, False), ({"native_histograms": True}, True)])
async def test_histograms_are_native_where_that_is_asked_for(options: Any, is_native: bool) -> None:
    app = shop()
    with instrument(app, namespace="acme", **options) as handle:
        async with served(app) as browser:
            await browser.get("/orders/7")
        scrape = read_scrape(render(handle.registry, PROTOBUF))
    [family] = [each for each in scrape.families if each.name == "acme_http_request_duration_seconds"]
    assert bool(family.metric[0].histogram.positive_span) is is_native


async def test_without_a_path_the_endpoint_is_served_elsewhere() -> None:
    app = shop()
    with instrument(app, namespace="acme", path=None) as handle:
        async with served(app) as browser, served(handle.endpoint) as scraper:
            assert (await browser.get("/metrics")).status_code == 404
            await browser.get("/orders/1")
            assert (await scraped(scraper))[ASKED] == 1


async def test_it_stands_beside_what_was_there_before() -> None:
    """As while somebody migrates: the old route serves the one registry with the metrics of both."""
    registry = CollectorRegistry()
    Counter("legacy", "Of before.", registry=registry).inc()
    app = shop()
    app.mount("/metrics", Endpoint(registry))
    with instrument(app, namespace="acme", registry=registry, path=None):
        async with served(app) as browser:
            await browser.get("/orders/1")
            await scraped(browser)
            found = await scraped(browser)
    assert (found["legacy_total"], found[ASKED]) == (1, 1)
    assert not any('endpoint="/metrics"' in name and value for name, value in found.items())


async def test_a_route_for_any_path_does_not_hide_the_metrics() -> None:
    async def page(request: Request) -> PlainTextResponse:
        return PlainTextResponse("a page")

    app = Starlette(routes=[Mount("/", routes=[Route("/{rest:path}", page)])])
    with instrument(app, namespace="acme"):
        async with served(app) as browser:
            assert (await browser.get("/anything")).text == "a page"
            assert "acme_workers" in await scraped(browser)


async def test_routes_and_routers_may_come_later() -> None:
    app, router = FastAPI(), APIRouter(prefix="/v1")
    with instrument(app, namespace="acme"):

        @router.get("/orders")
        async def orders() -> None:
            raise HTTPException(503)

        app.include_router(router)
        async with served(app) as browser:
            found = await scraped(browser)
            failed = 'acme_http_requests_total{endpoint="/v1/orders",method="GET",status_code="500"}'
            assert found[failed] == 0  # known before it fails
            await browser.get("/v1/orders")
            found = await scraped(browser)
    assert found[failed.replace("500", "503")] == 1


async def test_every_kind_of_client_is_instrumented_in_place(openai_server: OpenAIServer) -> None:
    model = OpenAIChatModel("gpt-4o-mini", provider=OpenAIProvider(base_url=openai_server.base_url, api_key="none"))
    agent: Any = Agent(model)
    other = Agent(OpenAIChatModel("gpt-4o", provider=OpenAIProvider(base_url=openai_server.base_url, api_key="none")))
    with AnthropicServer(says("Fine.")) as server:
        anthropic = AsyncAnthropic(api_key="none", base_url=server.address)
        sync = OpenAI(api_key="none", base_url=openai_server.base_url)
        app = shop()
        with instrument(app, namespace="acme", clients=[model, other, anthropic, sync]) as handle:
            await agent.run("a label")
            await other.run("a label")
            await anthropic.messages.create(
                model="claude-haiku-4-5", max_tokens=10, messages=[{"role": "user", "content": "a label"}]
            )
            await asyncio.to_thread(
                lambda: sync.chat.completions.create(
                    model="gpt-5-mini", messages=[{"role": "user", "content": "a label"}]
                )
            )
            count = {
                sample.labels["model"]: sample.value
                for family in handle.registry.collect()
                for sample in family.samples
                if sample.name == "acme_llm_request_duration_seconds_count"
            }
        with llm_called.captured() as calls:
            await agent.run("a label")
            await other.run("a label")
        assert type(model) is OpenAIChatModel
        assert calls == []
    assert count == {"gpt-4o-mini": 1, "gpt-4o": 1, "claude-haiku-4-5": 1, "gpt-5-mini": 1}


async def test_several_engines_have_names(tmp_path: Path, engine: AsyncEngine) -> None:
    reports = create_engine(f"sqlite:///{tmp_path / 'reports.db'}")
    app = shop()
    with instrument(app, namespace="acme", engine={"main": engine, "reports": reports}) as handle:
        with reports.connect() as connection:
            connection.execute(text("select 1"))
        async with engine.connect() as connected:
            await connected.execute(text("select 1"))
        capacities = {
            sample.labels["pool"]
            for family in handle.registry.collect()
            for sample in family.samples
            if sample.name == "acme_db_pool_connections"
        }
    assert {"main", "reports"} <= capacities
    reports.dispose()
    await engine.dispose()


async def test_what_was_instrumented_by_hand_stays_so(engine: AsyncEngine, client: AsyncOpenAI) -> None:
    with (
        sqlalchemy_bridge.instrument(engine, "by hand"),
        openai_bridge.instrument(client, price=None, provider="own"),
    ):
        instrument(shop(), namespace="acme", engine=engine, clients=[client]).close()
        assert sqlalchemy_bridge.is_instrumented(engine)
        with llm_called.captured() as calls, query_executed.captured() as queries:
            await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "a label"}])
            async with engine.connect() as connection:
                await connection.execute(text("select 1"))
        assert [(call.provider, call.model) for call in calls] == [("own", "m")]
        assert [query.engine for query in queries] == ["by hand"]
    await engine.dispose()


async def test_applications_with_one_engine_end_apart(engine: AsyncEngine) -> None:
    shop_handle = instrument(shop(), namespace="acme", engine=engine, application="shop")
    with instrument(shop(), namespace="acme", engine=engine, application="admin"):
        shop_handle.close()
        assert sqlalchemy_bridge.is_instrumented(engine)
    assert not sqlalchemy_bridge.is_instrumented(engine)


async def test_applications_of_one_process_count_their_own_requests() -> None:
    apps = {name: shop() for name in ("shop", "admin")}
    handles = [instrument(app, namespace="acme", application=name) for name, app in apps.items()]
    async with served(apps["shop"]) as browser, served(apps["admin"]) as operator:
        await browser.get("/orders/1")
        for expected, scraper in ((1, browser), (None, operator)):
            assert (await scraped(scraper)).get(ASKED) == expected
    for handle in handles:
        handle.close()


async def test_metrics_of_the_program_s_own_registry_are_served_too() -> None:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    Counter("legacy", "Of before.", registry=registry).inc()
    app = shop()
    with instrument(app, namespace="acme", registry=registry):
        async with served(app) as browser:
            found = await scraped(browser)
    assert found["legacy_total"] == 1
    assert found["process_start_time_seconds"]
    assert {family.name for family in registry.collect()} >= {"legacy", "process_start_time_seconds"}
    assert not any(family.name.startswith(("acme", "python_gc")) for family in registry.collect())


async def test_further_groups_are_named_with_the_rows() -> None:
    with instrument(shop(), namespace="acme", rows=("tools", "http")) as handle:
        assert all(row in handle.subscription.rows for row in TOOLS + PIPELINE)


async def test_the_whole_catalogue_may_be_asked_for() -> None:
    with instrument(shop(), namespace="acme", rows=CATALOGUE) as handle:
        assert len(handle.subscription.rows) == len(CATALOGUE)


def test_limits_may_name_labels_of_other_subscriptions(parcel_sent: Signal[..., ParcelSent]) -> None:
    """`warehouse` is like no label that there is; `models` is a field of another event, though like `model`."""

    @dataclass(frozen=True, slots=True, kw_only=True)
    class ModelsCompared:
        models: Label

    rows = (counter("parcels_total", "Parcels.", parcel_sent, labels=("country",)),)
    signal = Signal(ModelsCompared)
    try:
        limits = {"country": 10, "models": 4, "warehouse": 3, "model": 5}
        with instrument(shop(), namespace="acme", rows=rows, label_limits=limits) as handle:
            assert handle.subscription.label_limits["country"] == 10
    finally:
        default_namespace.pop(signal.name)


def test_a_mistyped_label_is_refused_with_the_one_that_is_meant(
    parcel_sent: Signal[..., ParcelSent], tmp_path: Path
) -> None:
    rows = (counter("parcels_total", "Parcels.", parcel_sent, labels=("country",)),)
    folder = tmp_path / "workers"
    for mistyped, meant in (("contry", "'country'"), ("countryy", "'country'"), ("enpoint", "'endpoint'")):
        limits = {"country": 5, mistyped: 4}
        match = rf"label_limits: '{mistyped}' is no label .*: did you mean {meant}\?"
        refused(ValueError, match, rows=rows, label_limits=limits, folder=folder)
    assert not folder.exists()
    refused(
        ValueError,
        "there is no open label 'contry'",
        rows=rows,
        label_limits={"country": 5},
        label_values={"contry": ["KR"]},
    )


def refused(kind: type[Exception], match: str, app: Any = None, **options: Any) -> None:
    """Hold that it is refused, and that nothing was changed."""
    app = shop() if app is None else app
    before = [*app.router.routes], [*app.user_middleware]
    with pytest.raises(kind, match=match):
        instrument(app, **{"namespace": "acme", **options})
    assert ([*app.router.routes], [*app.user_middleware]) == before
    assert not http_request_finished.receivers


def test_a_second_call_for_one_application_is_refused() -> None:
    app = shop()
    with instrument(app, namespace="acme"), pytest.raises(RuntimeError, match=r"is instrumented already: close\(\)"):
        instrument(app, namespace="acme")


async def test_an_application_that_has_started_is_refused() -> None:
    app = shop()
    async with served(app):
        refused(RuntimeError, r"has started, so no middleware can be added any more: call instrument\(\) where", app)


def test_a_path_that_is_taken_is_refused() -> None:
    app, router = shop(), APIRouter(prefix="/metrics")
    router.add_api_route("/", lambda: None)
    app.include_router(router)
    refused(ValueError, "has a route at '/metrics/' already: choose another path", app)
    refused(ValueError, "has a route at '/files' already", Starlette(routes=[Mount("/files", shop())]), path="/files")
    refused(ValueError, "path='metrics': it begins with a slash", path="metrics")
    refused(ValueError, "path='/': it begins with a slash", path="/")
    refused(TypeError, "path=5: it is a text, such as '/metrics', or None for no route", path=5)
    refused(ValueError, "path='/{x}': the metrics have one path", path="/{x}")


def test_an_argument_of_the_wrong_form_is_refused_with_what_to_write(parcel_sent: Signal[..., ParcelSent]) -> None:
    row = counter("parcels_total", "Parcels.", parcel_sent, labels=("country",))
    limits = {"country": 5}
    refused(TypeError, r"rows takes several rows: write \(parcels_total,\) for one", rows=row, label_limits=limits)
    refused(TypeError, r"rows takes several rows, .* and \(\) for none, not None", rows=None)
    refused(
        TypeError, r"write rows=tuple\(rows.values\(\)\), got a mapping", rows={"parcels": row}, label_limits=limits
    )
    refused(TypeError, r"registry is a CollectorRegistry of prometheus_client, .*, not \{\}", registry={})
    refused(TypeError, r"exclude takes several paths, .* or \(\) for none, not None", exclude=None)
    refused(TypeError, "exclude takes paths, such as '/health', not 5", exclude=(5,))
    refused(ValueError, "'health' is no path of a request, which .* write '/health'", exclude=("health",))
    for pattern in ("/orders/{order}", "/health.*", "^/health"):
        refused(ValueError, "is no path of a request", exclude=(pattern,))
    refused(ValueError, "an application's name takes no slash, got 'a/b'", application="a/b")
    refused(TypeError, "application is a name, such as 'shop', or '' for none, not 3", application=3)
    refused(ValueError, "token is empty, which would leave the metrics open", token="")
    refused(TypeError, "folder is a path, .* not 5", folder=5)
    refused(
        TypeError, r"write \{'country': \['KR'\]\}", rows=(row,), label_limits=limits, label_values={"country": "KR"}
    )
    unlimited = r"has no limit; .*label_limits=\{'country': 10\}.* instrument\(\), .* label_values alone sets no limit"
    refused(ValueError, unlimited, rows=(row,), label_values={"country": ["KR", "DE"]})
    ours = counter("http_requests_total", "Ours.", parcel_sent)
    refused(ValueError, "differ in help: one is the catalogue's, '.*'; give yours another name", rows=(ours,))


async def test_the_root_may_be_excluded() -> None:
    app = shop()
    app.get("/")(lambda: "shop")
    with instrument(app, namespace="acme", exclude=("/",)):
        async with served(app) as browser:
            assert (await browser.get("/")).status_code == 200
            await browser.get("/orders/1")
            samples = await scraped(browser)
    assert samples[ASKED] == 1
    assert not any('endpoint="/"' in sample and value for sample, value in samples.items())


def test_an_empty_folder_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with instrument(shop(), namespace="acme", folder=""):
        assert not [*tmp_path.iterdir()]


def test_a_row_whose_name_begins_with_the_namespace_is_warned_of(
    parcel_sent: Signal[..., ParcelSent], caplog: pytest.LogCaptureFixture
) -> None:
    row = counter("acme_parcels_total", "Parcels.", parcel_sent)
    with instrument(shop(), namespace="acme", rows=(row,)):
        pass
    assert "acme_parcels_total is served as acme_acme_parcels_total: leave the namespace out" in caplog.text
    caplog.clear()
    with instrument(shop(), namespace="http"):
        pass
    assert "is served as" not in caplog.text


def test_what_nothing_is_known_of_is_refused(client: AsyncOpenAI, engine: AsyncEngine) -> None:
    refused(
        TypeError, r"nothing is known of <object.* There may be clients of openai and anthropic", clients=[object()]
    )
    refused(TypeError, r"clients: nothing is known of <class 'openai.OpenAI'>", clients=[OpenAI])
    refused(TypeError, "clients: nothing is known of <module 'openai'", clients=[openai])
    refused(TypeError, r"clients takes several: write clients=\[", clients=client)
    refused(TypeError, r"not its name: instrument\(infer_model\('gpt'", clients=[Agent("gpt", defer_model_check=True)])
    refused(TypeError, "engine: 'main' is no engine of SQLAlchemy: 'sqlite://'", engine="sqlite://")
    refused(TypeError, r"exclude takes several paths: write exclude=\('/health',\)", exclude="/health")


def test_a_client_of_a_library_that_needs_none_is_sent_to_its_bridge() -> None:
    class ChatModel:
        """Stands for one of LangChain's, which needs an environment of its own."""

    ChatModel.__module__ = "langchain_core.language_models"
    refused(TypeError, r"call instrument\(\) of events\.bridges\.langchain, which is for all", clients=[ChatModel()])


def test_embeddings_of_langchain_are_sent_to_the_client_that_they_ask_by() -> None:
    class Embeddings:
        """Stands for LangChain's, which need an environment of their own."""

        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [[0.5] for _ in texts]

    Embeddings.__module__ = "langchain_core.embeddings"
    refused(TypeError, r"no callbacks that tell of embeddings: give the clients of the SDK", clients=[Embeddings()])


def test_no_namespace_is_refused() -> None:
    refused(ValueError, "namespace '' can't begin a metric's name", namespace="")
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'namespace'"):
        instrument(shop())  # type: ignore[call-arg]


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError


@pytest.mark.parametrize("app", [nothing, FastAPI, APIRouter(), None, "shop:app"])
def test_something_else_than_an_application_is_refused(app: ASGIApp | str) -> None:
    with pytest.raises(TypeError, match=r"takes an application of Starlette or FastAPI, not"):
        instrument(app, namespace="acme")


def test_what_was_done_is_undone_where_the_rest_fails(engine: AsyncEngine, client: AsyncOpenAI) -> None:
    sqlalchemy_bridge.instrument(engine, "main").close()
    refused(TypeError, "metadata of instrument", engine=engine, clients=[client], metadata="tables")
    assert not sqlalchemy_bridge.is_instrumented(engine)
    assert not openai_bridge.is_instrumented(client)


def test_a_middleware_of_the_application_s_own_stays_where_it_is() -> None:
    app = Starlette(middleware=[Middleware(Passing)])
    [own] = app.user_middleware
    with instrument(app, namespace="acme"):
        assert app.user_middleware[-1] is own
    assert app.user_middleware == [own]


class Passing:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


IMPORTS = """
import sys
import metrics
from metrics import instrument
foreign = {"starlette", "fastapi", "sqlalchemy", "openai", "anthropic", "pydantic_ai"} & {*sys.modules}
assert not foreign, foreign
"""


def test_it_imports_nothing_that_the_program_has_not() -> None:
    subprocess.run([sys.executable, "-c", IMPORTS], check=True, env={**os.environ})


def test_its_handle_is_of_its_class() -> None:
    with instrument(shop(), namespace="acme") as handle:
        assert isinstance(handle, InstrumentedApplication)
