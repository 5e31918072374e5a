"""The programs of examples/shop run as its README says, and a real Prometheus answers what was done with them."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import httpx
import pytest

from tests.support.openai_server import OpenAIServer, says
from tests.support.page_snippets import code_blocks
from tests.support.prometheus import Prometheus
from tests.support.server_process import running_server
from tests.support.wait import wait_until
from tools.monitor import programs

pytestmark = [pytest.mark.slow, pytest.mark.needs("prometheus"), pytest.mark.timeout(180)]

SHOP = Path(__file__).parents[2] / "examples" / "shop"
PORTS = {"shop": "8000", "worker": "9200", "forecast": "9300", "node": "9100", "pushgateway": "9091"}
"""The ports of the jobs in examples/shop/prometheus.yml."""

ORDERS = [
    ("lamp", "KR"),
    ("chair", "KR"),
    ("lamp", "DE"),
    ("lamp", "KR"),
    ("chair", "BR"),
    ("spoon", "KR"),
    ("lamp", "?"),
]
"""What is ordered: no carrier goes to BR, there are no spoons, and ? is no country."""


@dataclass
class Life:
    """What was done with the examples, and the Prometheus that scraped them."""

    prometheus: Prometheus
    folder: Path
    models: OpenAIServer
    requests: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    notebook: IO[str] | None = None
    exports: Counter[str] = field(default_factory=Counter)

    def orders(self) -> list[sqlite3.Row]:
        """Return what is in the database of the shop."""
        with closing(sqlite3.connect(self.folder / "shop.db")) as database:
            database.row_factory = sqlite3.Row
            return database.execute("SELECT * FROM orders").fetchall()

    def settles(self, expression: str, expected: Mapping[Any, float]) -> None:
        """Wait for the scrape after which an expression has these values by the values of its labels."""
        found: dict[tuple[str, ...], float] = {}

        def as_expected() -> bool:
            answered = self.prometheus.query(expression)
            found.clear()
            found.update({tuple(value for _, value in labels): number for labels, number in answered.items()})
            return found == expected

        try:
            wait_until(as_expected, within=30, every=0.2)
        except AssertionError:
            raise AssertionError(f"{expression} is {found}, not {expected}") from None


@contextmanager
def running_notebook(folder: Path, environment: Mapping[str, str]) -> Iterator[IO[str]]:
    """Run the notebook with a prompt, as its kernel; what is written to the yielded file is run there."""
    with (folder / "forecast.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-i", "forecast.py"],
            cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=log, stderr=log, text=True,
        )  # fmt: skip
    with process:
        assert process.stdin is not None
        yield process.stdin
        process.stdin.close()
        assert process.wait(30) == 0
    assert "Error" not in (folder / "forecast.log").read_text(), (folder / "forecast.log").read_text()


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int], sparklio_path: Path) -> Iterator[Life]:
    """Run all of them, on ports of the test's, and have orders placed and shipped."""
    folder = tmp_path_factory.mktemp("examples") / "shop"
    shutil.copytree(SHOP, folder, ignore=shutil.ignore_patterns("__pycache__"))
    ports = {job: str(free_port()) for job in PORTS}
    for program in ("worker", "forecast"):
        replace_in(folder / f"{program}.py", {f"port={PORTS[program]}": f"port={ports[program]}"})
    replace_in(folder / "prometheus.yml", {f"localhost:{PORTS[job]}": f"127.0.0.1:{ports[job]}" for job in PORTS})
    replace_in(folder / "prometheus.yml", {"scrape_interval: 15s": "scrape_interval: 1s"})
    (folder / "textfiles").mkdir()
    collectors = ["--collector.disable-defaults", "--collector.textfile", "--collector.textfile.directory=textfiles"]
    with ExitStack() as stack:
        models = stack.enter_context(OpenAIServer(says("Thanks.")))
        environment = {**os.environ, "PYTHONPATH": str(sparklio_path), "OPENAI_BASE_URL": models.base_url}
        for name, options in (("node-exporter", collectors), ("pushgateway", [])):
            if command := shutil.which(f"prometheus-{name}"):
                port = ports[name.removesuffix("-exporter")]
                stack.enter_context(running_program([command, *options], port, folder))
        url = f"http://127.0.0.1:{ports['shop']}"
        served = ["-m", "uvicorn", "shop:app", "--port", ports["shop"]]
        stack.enter_context(running_server(f"{url}/metrics", served, folder, environment, folder / "shop.log"))
        worker = f"http://127.0.0.1:{ports['worker']}/metrics"
        stack.enter_context(running_server(worker, ["worker.py"], folder, environment, folder / "worker.log"))
        notebook = stack.enter_context(running_notebook(folder, environment))
        scraper = stack.enter_context(programs.prometheus(folder, free_port()))
        lived = Life(stack.enter_context(Prometheus.at(scraper.url)), folder, models, notebook=notebook)
        with httpx.Client(base_url=url) as browser:
            for product, country in ORDERS:
                answer = browser.post("/orders", json={"product": product, "country": country})
                lived.requests["/orders", "POST", str(answer.status_code)] += 1
            wait_until(lambda: all(order["state"] != "placed" for order in lived.orders()))
            for number in (1, 2, 99):
                answer = browser.get(f"/orders/{number}")
                lived.requests["/orders/{order_id}", "GET", str(answer.status_code)] += 1
        for where in ({"TEXTFILE": "textfiles/nightly.prom"}, {"PUSHGATEWAY": f"127.0.0.1:{ports['pushgateway']}"}):
            if "TEXTFILE" in where or shutil.which("prometheus-pushgateway"):
                for _ in range(2):
                    ran = subprocess.run(
                        [sys.executable, "-W", "error", "nightly.py"],
                        cwd=folder, env=environment | where, capture_output=True, text=True, check=False,
                    )  # fmt: skip
                    assert (ran.returncode, ran.stderr) == (0, "")
                    lived.exports[next(iter(where))] += 1
        yield lived


def replace_in(file: Path, replaced: Mapping[str, str]) -> None:
    """Replace words in a file, each of which is in it once."""
    text = file.read_text()
    for old, new in replaced.items():
        assert text.count(old) == 1, (file, old)
        text = text.replace(old, new)
    file.write_text(text)


@contextmanager
def running_program(command: list[str], port: str, folder: Path) -> Iterator[None]:
    """Run an exporter of Prometheus's on a port while the block runs."""
    log = folder / f"{Path(command[0]).name}.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, f"--web.listen-address=127.0.0.1:{port}"], cwd=folder, stdout=output, stderr=output
        )
    with process:
        try:
            yield
        finally:
            assert process.poll() is None, log.read_text()
            process.terminate()


def by(orders: list[sqlite3.Row], *columns: str) -> Counter[tuple[str, ...]]:
    """Return how many orders there are, by columns."""
    return Counter(tuple(order[column] for column in columns) for order in orders)


def test_every_program_is_scraped(life: Life) -> None:
    life.settles('up{job=~"shop|worker|forecast"}', dict.fromkeys(targets(life), 1))


def test_requests_are_those_that_were_sent(life: Life) -> None:
    life.settles("sum by (endpoint, method, status_code) (shop_http_requests_total) > 0", life.requests)
    assert life.requests["/orders", "POST", "201"] == 5


def test_orders_and_revenue_are_those_in_the_database(life: Life) -> None:
    orders = life.orders()
    life.settles("sum by (country, product) (shop_orders_total)", by(orders, "country", "product"))
    revenue = {(name,): sum(each["price"] for each in orders if each["product"] == name) for name in ("lamp", "chair")}
    life.settles("sum by (product) (shop_revenue_usd_total)", revenue)
    inserted = 'sum(shop_db_queries_total{job="shop", operation="insert", table="orders"})'
    life.settles(inserted, {(): len(orders)})


def test_tokens_are_those_that_the_model_s_server_sent(life: Life) -> None:
    tally = life.models.tally
    assert tally.requests == len(life.orders())
    sent = {("prompt",): tally.prompt_tokens, ("completion",): tally.completion_tokens}
    life.settles("sum by (token_type) (shop_llm_tokens_total)", sent)


def test_the_worker_shipped_what_the_database_says(life: Life) -> None:
    shipped = Counter((order["country"], "error" if order["state"] == "lost" else "success") for order in life.orders())
    assert shipped["BR", "error"] == 1
    life.settles("sum by (country, status) (shop_shipments_total) > 0", shipped)
    life.settles("sum(shop_shipment_duration_seconds_count)", {(): len(life.orders())})
    life.settles("sum(shop_waiting_orders) + sum(shop_active_shipments)", {(): 0})
    life.settles('sum(shop_db_queries_total{job="worker", operation="update"})', {(): len(life.orders())})


@pytest.mark.needs("prometheus-node-exporter")
def test_the_exports_in_the_file_are_added_up(life: Life) -> None:
    exports_settle(life, "node", life.exports["TEXTFILE"])


@pytest.mark.needs("prometheus-pushgateway")
def test_the_exports_that_were_pushed_go_on_from_those_before(life: Life) -> None:
    exports_settle(life, "nightly", life.exports.total())


def exports_settle(life: Life, job: str, runs: int) -> None:
    rows = len((life.folder / "orders.csv").read_text().splitlines())
    assert rows == len(life.orders())
    life.settles(f'sum by (status) (shop_exports_total{{job="{job}"}}) > 0', {("success",): runs})
    life.settles(f'sum(shop_exported_orders_total{{job="{job}"}})', {(): runs * rows})
    life.settles(f'sum(time() - shop_export_last_success_timestamp_seconds{{job="{job}"}} < bool 600)', {(): 1})


def test_a_notebook_s_cells_count_again_when_they_run_again(life: Life) -> None:
    counted = "sum by (method) (shop_forecast_error_orders_count)"
    once = {("mean of a week",): 49, ("same as yesterday",): 49}
    life.settles(counted, once)
    [declare] = [cell for cell in cells() if "class ForecastMade" in cell]
    [emit] = [cell for cell in cells() if "forecast_made.emit" in cell]
    run_cells(life, emit)
    life.settles(counted, {key: 2 * number for key, number in once.items()})
    run_cells(life, declare, emit)  # a subscription of the cell's begins at 0
    life.settles(counted, once)


def run_cells(life: Life, *run: str) -> None:
    assert life.notebook is not None
    for cell in run:
        life.notebook.write(f"exec({cell!r})\n")
    life.notebook.flush()


def queries_of_the_readme() -> list[str]:
    """Return the expressions that the README of the examples has."""
    return [line for block in code_blocks("promql", SHOP.parent / "README.md") for line in block.splitlines()]


@pytest.mark.needs("prometheus-node-exporter")
@pytest.mark.parametrize("expression", queries_of_the_readme())
def test_the_queries_of_the_readme_have_an_answer(life: Life, expression: str) -> None:
    wait_until(lambda: life.prometheus.query(expression), within=30, every=0.2)


def targets(life: Life) -> list[tuple[str, str]]:
    """Return instance and job of the programs, from the configuration."""
    text = (life.folder / "prometheus.yml").read_text()
    found = re.findall(r'job_name: (\w+).*?targets: \["(.*?)"\]', text, re.DOTALL)
    return [(target, job) for job, target in found if job in ("shop", "worker", "forecast")]


def cells() -> list[str]:
    """Return the cells of the notebook that are code."""
    found = re.split(r"^# %%(.*)\n", (SHOP / "forecast.py").read_text(), flags=re.MULTILINE)
    return [code for title, code in zip(found[1::2], found[2::2], strict=True) if "markdown" not in title]
