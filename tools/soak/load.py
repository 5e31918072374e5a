"""The load: clients of many kinds, each of which does the same thing again and again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.support.studio import BRIEF, ENDED, WORKFLOWS

START = "/api/v1/workflows/{}/runs"
NOTHING = "nothing"
POLL = 0.25  # seconds between two looks at a run
RUN_LIMIT = 120.0  # seconds; a run that takes longer is held to be stranded


@dataclass(frozen=True)
class Request:
    """A request that was made: when it ended, of which kind it was, and how many seconds it took."""

    ended: float
    kind: str
    seconds: float


@dataclass
class Load:
    """Clients of one studio.

    Attributes:
        url: Its base URL.
        key: A key of its API.
        random: Where all choices come from.
        requests: The requests that have succeeded.
        answers: How many answers there were, by kind and status code.
        unexpected: How many answers were other than they should be, by kind and what they were.
        runs: How many runs have ended, by status.
    """

    url: str
    key: str
    random: Random
    requests: list[Request] = field(default_factory=list)
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    unexpected: Counter[str] = field(default_factory=Counter)
    runs: Counter[str] = field(default_factory=Counter)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def stop(self) -> None:
        """Have each client end what it is doing, and do nothing more."""
        self._stopping.set()

    async def run(self) -> None:
        """Run all clients until `stop`."""
        headers = {"Authorization": f"Bearer {self.key}"}
        # A client has to leave an idle connection before the server does, after five seconds: a request on one that the
        # server is about to close is lost.
        limits = httpx.Limits(keepalive_expiry=2.0)
        async with httpx.AsyncClient(base_url=self.url, headers=headers, timeout=60.0, limits=limits) as client:
            clients: tuple[tuple[Callable[[httpx.AsyncClient], Awaitable[None]], float], ...] = (
                (self._start_and_watch, 0.2),
                (self._start_and_watch, 0.2),
                (self._start_and_watch, 0.2),
                (self._start_and_cancel, 2.0),
                (self._list, 0.2),
                (self._change_brands, 0.5),
                (self._scrape, 1.0),
                (self._check_health, 1.0),
                (self._send_nonsense, 0.5),
                (self._send_half_a_request, 2.0),
                (self._visit_pages, 2.0),
                (self._ask_for_nothing, 0.3),
            )
            async with asyncio.TaskGroup() as group:
                for work, pause in clients:
                    group.create_task(self._repeat(work, client, pause))

    async def _repeat(
        self, work: Callable[[httpx.AsyncClient], Awaitable[None]], client: httpx.AsyncClient, pause: float
    ) -> None:
        while not self._stopping.is_set():
            try:
                await work(client)
            except httpx.HTTPError as error:
                self.unexpected[f"{work.__name__.strip('_')}: {type(error).__name__}"] += 1
            try:
                async with asyncio.timeout(pause * self.random.uniform(0.5, 1.5)):
                    await self._stopping.wait()
            except TimeoutError:
                continue

    async def _ask(
        self, client: httpx.AsyncClient, kind: str, method: str, path: str, expected: int | set[int], **options: Any
    ) -> httpx.Response:
        began = monotonic()
        response = await client.request(method, path, **options)
        ended = monotonic()
        self.answers[kind, response.status_code] += 1
        if response.status_code in ({expected} if isinstance(expected, int) else expected):
            self.requests.append(Request(ended, kind, ended - began))
        else:
            self.unexpected[f"{kind}: {response.status_code}"] += 1
        return response

    async def _start(self, client: httpx.AsyncClient) -> str | None:
        workflow = self.random.choice(WORKFLOWS)
        brand = f"Brand {self.random.randint(1, 20)}"
        features = ["noise cancelling " * self.random.randint(1, 5)] * self.random.randint(0, 10)
        brief = {**BRIEF, "brand": brand, "features": [feature.strip() for feature in features]}
        headers = {"Idempotency-Key": f"soak-{self.random.getrandbits(64):x}"} if self.random.random() < 0.5 else {}
        answer = await self._ask(client, "start", "POST", START.format(workflow), 202, json=brief, headers=headers)
        if headers and answer.status_code == 202:  # a client that did not get the answer asks again
            again = await self._ask(client, "repeat", "POST", START.format(workflow), 202, json=brief, headers=headers)
            if again.json().get("run_id") != answer.json()["run_id"]:
                self.unexpected["repeat: another run"] += 1
        return answer.json()["run_id"] if answer.status_code == 202 else None

    async def _start_and_watch(self, client: httpx.AsyncClient) -> None:
        if (run_id := await self._start(client)) is not None:
            await self._watch(client, run_id)

    async def _start_and_cancel(self, client: httpx.AsyncClient) -> None:
        if (run_id := await self._start(client)) is not None:
            await asyncio.sleep(self.random.uniform(0.0, 1.0))
            await self._ask(client, "cancel", "POST", f"/api/v1/runs/{run_id}/cancel", {200, 409})
            await self._watch(client, run_id)

    async def _watch(self, client: httpx.AsyncClient, run_id: str) -> None:
        deadline = monotonic() + RUN_LIMIT
        while monotonic() < deadline:
            answer = await self._ask(client, "see", "GET", f"/api/v1/runs/{run_id}", 200)
            if answer.status_code == 200 and (status := answer.json()["status"]) in ENDED:
                self.runs[status] += 1
                return
            await asyncio.sleep(POLL)
        self.unexpected["a run did not end"] += 1

    async def _list(self, client: httpx.AsyncClient) -> None:
        offset = self.random.choice((0, 0, 0, 20, 1000))
        await self._ask(client, "list", "GET", f"/api/v1/runs?limit=20&offset={offset}", 200)
        await self._ask(client, "list", "GET", "/api/v1/brands?limit=20", 200)
        await self._ask(client, "workflows", "GET", "/api/v1/workflows", 200)

    async def _change_brands(self, client: httpx.AsyncClient) -> None:
        name = f"Passing {self.random.getrandbits(32):x}"
        made = await self._ask(client, "brand", "POST", "/api/v1/brands", 201, json={"name": name})
        if made.status_code == 201:
            path = made.headers["Location"]
            await self._ask(client, "brand", "PATCH", path, 200, json={"tone": "dry"})
            await self._ask(client, "brand", "POST", "/api/v1/brands", 409, json={"name": name})
            await self._ask(client, "brand", "DELETE", path, 204)

    async def _scrape(self, client: httpx.AsyncClient) -> None:
        accept = self.random.choice(("text/plain", "application/openmetrics-text;version=1.0.0"))
        await self._ask(client, "scrape", "GET", "/metrics", 200, headers={"Accept": accept})

    async def _check_health(self, client: httpx.AsyncClient) -> None:
        await self._ask(client, "health", "GET", self.random.choice(("/health", "/health/live")), 200)

    async def _send_nonsense(self, client: httpx.AsyncClient) -> None:
        noise = f"{self.random.getrandbits(64):x}"
        start = START.format("product_content")
        requests: tuple[tuple[str, str, int, dict[str, Any]], ...] = (
            ("GET", f"/nowhere/{noise}", 404, {}),
            ("GET", f"/api/v1/runs/{noise}", 404, {}),
            ("PUT", "/api/v1/runs", 405, {}),
            ("POST", START.format(noise), 404, {"json": BRIEF}),
            ("POST", start, 422, {"json": {noise: noise}}),
            ("POST", start, 422, {"content": b'{"brand": ', "headers": {"Content-Type": "application/json"}}),
            ("POST", start, 413, {"content": b"x" * 100_000}),
            ("POST", start, 403, {"json": BRIEF, "headers": {"Origin": f"http://{noise}.example"}}),
            ("GET", "/api/v1/runs", 421, {"headers": {"Host": f"{noise}.example"}}),
            ("GET", "/api/v1/runs", 401, {"headers": {"Authorization": f"Bearer {noise}"}}),
            ("GET", f"/api/v1/runs?limit={noise}", 422, {}),
        )
        method, path, expected, options = self.random.choice(requests)
        await self._ask(client, "nonsense", method, path, expected, **options)

    async def _send_half_a_request(self, _client: httpx.AsyncClient) -> None:
        address = urlsplit(self.url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        try:
            writer.write(self.random.choice((b"", b"GET / HT", b"POST / HTTP/1.1\r\nHost: localhost\r\n")))
            if self.random.random() < 0.5:
                await asyncio.wait_for(reader.read(), 60)  # until the studio has waited long enough
        except (ConnectionError, TimeoutError) as error:
            self.unexpected[f"half a request: {type(error).__name__}"] += 1
        finally:
            writer.transport.abort()

    async def _ask_for_nothing(self, client: httpx.AsyncClient) -> None:
        await self._ask(client, NOTHING, "GET", "/health/live", 200)

    async def _visit_pages(self, client: httpx.AsyncClient) -> None:
        for path in ("/", "/docs", "/openapi.json"):
            await self._ask(client, "page", "GET", path, 200)
        async with httpx.AsyncClient(base_url=self.url, timeout=60.0) as browser:
            await self._ask(browser, "login", "POST", "/login", 303, data={"key": self.key})
            await self._ask(browser, "login", "GET", "/api/v1/runs?limit=1", 200)
