"""Somebody opens the live page in a browser, starts runs, and sees what the studio does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from threading import Event
from typing import Literal

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.support import studio_with_faults
from tests.support.browser import (
    DESKTOP,
    PHONE,
    axe_findings,
    emulate,
    leave_page,
    open_browser,
    requested,
    take_picture,
    text_of,
    troubles,
    wait_for,
)
from tests.support.in_process_studio import matching_reply
from tests.support.openai_server import OpenAIServer
from tests.support.outages import children_of, suspended
from tests.support.studio import StudioProcess

pytestmark = [pytest.mark.slow, pytest.mark.needs("chromedriver"), pytest.mark.timeout(240)]

NONE = "\N{EN DASH}"
MODEL = b"app.llm.embedded.llama_process"

NewStudio = Callable[[Path], StudioProcess]


@pytest.fixture(scope="module")
def model() -> Iterator[OpenAIServer]:
    """Return a model that replies at once: the page shows the same of one that computes for seconds."""
    with OpenAIServer(matching_reply) as server:
        yield server


@pytest.fixture(scope="module")
def new_studio(model: OpenAIServer, free_port: Callable[[], int]) -> NewStudio:
    """Return a function that returns a studio in a folder, which asks that model."""
    return lambda directory: StudioProcess(
        directory, free_port(), health_interval=1, llm="openai:scripted", llm_base_url=model.base_url
    )


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory, new_studio: NewStudio) -> Iterator[StudioProcess]:
    with new_studio(tmp_path_factory.mktemp("studio")) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Chrome]:
    with open_browser() as chrome:
        yield chrome


@pytest.fixture(autouse=True)
def check_console(studio: StudioProcess, browser: Chrome) -> Iterator[None]:
    """Nothing goes wrong in the browser, and it asks nobody but the studio."""
    emulate(browser, DESKTOP)
    troubles(browser)
    requested(browser)
    yield
    assert troubles(browser) == []
    check_requests(browser, studio)
    leave_page(browser)  # it would go on drawing what the next test prepares


def count_of(browser: Chrome, selector: str) -> int:
    return len(browser.find_elements(By.CSS_SELECTOR, selector))


def click(browser: Chrome, selector: str) -> None:
    """Click what may be drawn anew in this moment."""

    def clicked() -> bool:
        return bool(
            browser.execute_script(
                "const it = document.querySelector(arguments[0]); it?.click(); return !!it", selector
            )
        )

    wait_for(clicked)


def open_live(studio: StudioProcess, browser: Chrome) -> None:
    browser.get(f"{studio.url}/live")
    wait_for(lambda: text_of(browser, "#feed") == "Live" and count_of(browser, ".tile") == 8)
    wait_for(lambda: NONE not in text_of(browser, "[data-tile=tokens] .amount"))


def tokens_shown(browser: Chrome) -> int:
    """Return the tokens that the tile has in all."""
    digits = text_of(browser, "[data-tile=tokens] .rest").removeprefix("total ").split()
    return int(digits[0].replace(",", "")) if digits else -1


def lane(run_id: str, inside: str = "") -> str:
    return f".lane[data-run='{run_id}'] {inside}"


def check_requests(browser: Chrome, *studios: StudioProcess) -> None:
    """Fail where the browser has asked others than these: a page's own, and that of the page before, once more."""
    own = tuple(f"{studio.url}/" for studio in studios)
    assert {url for url in requested(browser) if not url.startswith(own)} == set()


def end_all(studio: StudioProcess) -> None:
    """Cancel what is queued or runs, and wait until nothing does."""
    for run in studio.client.get("/api/v1/runs", params={"limit": 100}).json()["items"]:
        if run["status"] in {"queued", "running"}:
            studio.client.post(f"/api/v1/runs/{run['run_id']}/cancel")
    wait_for(lambda: studio.total("active_workflows") == 0)


@contextmanager
def holding(studio: StudioProcess, model: OpenAIServer, after: int = 0) -> Iterator[None]:
    """Have the model hold its replies, after so many, and cancel the runs at the end: the next test would see them."""
    requests, never = count(), Event()
    model.behaviour = lambda request: replace(
        matching_reply(request), wait_for=None if next(requests) < after else never
    )
    yield
    end_all(studio)
    model.behaviour = matching_reply


@pytest.fixture
def campaign(studio: StudioProcess, model: OpenAIServer) -> Iterator[str]:
    """A run in the middle of its steps."""
    with holding(studio, model, after=2):
        yield studio.submit("campaign")


def test_a_run_is_seen_from_its_start_to_its_end(studio: StudioProcess, browser: Chrome) -> None:
    open_live(studio, browser)
    before = studio.total("llm_tokens_total")
    wait_for(lambda: tokens_shown(browser) == before)  # those of the test before this one too
    run_id = studio.submit("product_content", brand="Acme <b>Audio</b>")
    wait_for(lambda: count_of(browser, lane(run_id, "g.step")) >= 1)
    wait_for(lambda: count_of(browser, lane(run_id, ".model")) >= 1)
    click(browser, lane(run_id, ".lane-open"))
    run = studio.wait_for_end(run_id, within=90)
    wait_for(lambda: "completed" in text_of(browser, lane(run_id, ".lane-facts")))
    assert count_of(browser, lane(run_id, "g.step")) == 3
    wait_for(lambda: run["output"]["text"] in text_of(browser, lane(run_id, ".panel")))
    panel = text_of(browser, lane(run_id, ".panel"))
    assert panel.count("success") == 6, "of three steps and their attempts"
    assert "Acme <b>Audio</b>" in panel
    assert "scripted" in panel, "the model"
    wait_for(lambda: tokens_shown(browser) - before == run["tokens"]["total"])
    take_picture(browser, "a-run")


def moments_known(studio: StudioProcess) -> int:
    """Return of how many moments the server has the number of runs: there is one every five seconds."""
    values: list[float | None]
    [values] = studio.client.get("/api/v1/live").json()["history"]["values"]["runs"].values()
    return len(values) - values.count(None)


def test_a_reload_shows_what_was_there(studio: StudioProcess, browser: Chrome) -> None:
    run_id = studio.submit("brand_identity")
    studio.wait_for_end(run_id, within=90)
    wait_for(lambda: moments_known(studio) > 1)
    open_live(studio, browser)
    wait_for(lambda: count_of(browser, lane(run_id, "g.step")) == 3)
    wait_for(lambda: count_of(browser, lane(run_id, ".model")) >= 3)
    wait_for(lambda: "workflow_finished" in text_of(browser, "#events"))
    points = browser.execute_script("return document.querySelector('[data-tile=runs] .spark').getAttribute('points')")
    assert len(points.split()) > 1, "the history is the server's"


def test_an_event_is_followed_in_the_map(studio: StudioProcess, browser: Chrome) -> None:
    studio.wait_for_end(studio.submit("content_review"), within=90)
    open_live(studio, browser)
    wait_for(lambda: count_of(browser, "[data-follow=llm_called]") >= 1)
    click(browser, "[data-follow=llm_called]")
    followed = wait_for(lambda: browser.find_elements(By.CSS_SELECTOR, ".node.signal[aria-pressed=true]"))[0]
    assert followed.get_attribute("data-key") == "llm_called"
    wait_for(lambda: count_of(browser, "#map-edges path.pinned") >= 2)
    detail = text_of(browser, "#map-detail")
    assert "sparklio_llm_requests_total" in detail
    assert "live feed" in detail
    wait_for(lambda: followed.find_element(By.CSS_SELECTOR, ".count").text not in {"", "never"})
    followed.send_keys(Keys.ARROW_RIGHT)
    family = browser.switch_to.active_element.get_attribute("data-key") or ""
    assert family.startswith("sparklio_llm_")
    assert family in text_of(browser, "#map-detail")
    take_picture(browser, "map", 8000)
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert count_of(browser, ".node[aria-pressed=true]") == 0
    assert count_of(browser, ".node.untold") > 0, "signals that nothing has emitted are grey"


def test_the_stream_is_filtered_and_paused(studio: StudioProcess, browser: Chrome) -> None:
    studio.wait_for_end(studio.submit("product_content"), within=90)
    open_live(studio, browser)
    wait_for(lambda: count_of(browser, "#events tr") > 20)
    browser.find_element(By.ID, "filter").send_keys("llm_called reviewer")
    wait_for(lambda: 0 < count_of(browser, "#events tr") < 20)
    shown = {row.get_attribute("data-signal") for row in browser.find_elements(By.CSS_SELECTOR, "#events tr")}
    assert shown == {"llm_called"}
    browser.find_element(By.ID, "filter").send_keys(Keys.CONTROL, "a", Keys.DELETE)
    wait_for(lambda: count_of(browser, "#events tr") > 20)
    click(browser, "#stream-pause")
    before = count_of(browser, "#events tr")
    studio.client.get("/api/v1/brands")
    wait_for(lambda: "new" in text_of(browser, "#stream-count"))
    assert count_of(browser, "#events tr") == before
    click(browser, "#stream-pause")
    wait_for(lambda: "/api/v1/brands" in text_of(browser, "#events"))


@pytest.fixture
def held(studio: StudioProcess, model: OpenAIServer) -> Iterator[None]:
    """Have no run end."""
    with holding(studio, model):
        yield


@pytest.mark.usefixtures("held")
def test_ten_runs_are_started_and_one_of_them_is_cancelled(studio: StudioProcess, browser: Chrome) -> None:
    before = studio.client.get("/api/v1/runs").json()["total"]
    open_live(studio, browser)
    click(browser, "#ten")
    wait_for(lambda: studio.client.get("/api/v1/runs").json()["total"] == before + 10)
    wait_for(lambda: count_of(browser, ".lane .queue") >= 1, within=90)
    queued = studio.client.get("/api/v1/runs", params={"status": "queued"}).json()["items"]
    assert queued, "they wait for one another"
    first = queued[-1]["run_id"]
    wait_for(lambda: count_of(browser, lane(first, ".lane-open")) == 1)
    take_picture(browser, "ten-runs")
    click(browser, lane(first, ".lane-open"))
    wait_for(lambda: count_of(browser, lane(first, "[data-part=cancel]")) == 1)
    click(browser, lane(first, "[data-part=cancel]"))
    wait_for(lambda: studio.run(first)["status"] == "cancelled")
    wait_for(lambda: "cancelled" in text_of(browser, lane(first, ".lane-facts")))
    click(browser, "#pause")
    assert browser.find_element(By.ID, "pause").text == "Go on"


def shorten_stream(browser: Chrome) -> None:
    """Show a few rows of the stream: one is as readable as five hundred, and axe looks at each."""
    browser.find_element(By.ID, "filter").send_keys("agent_started")
    wait_for(lambda: 0 < count_of(browser, "#events tr") < 100)


@pytest.mark.parametrize("path", ["live", ""])
@pytest.mark.parametrize(
    ("size", "scheme"), [(DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "light"), (PHONE, "dark")], ids=str
)
def test_everybody_can_read_it(
    studio: StudioProcess,
    browser: Chrome,
    campaign: str,
    *,
    size: tuple[int, int],
    scheme: Literal["light", "dark"],
    path: str,
) -> None:
    """With what axe knows of: contrast, names, roles, order; on a desk and on a phone, light and dark."""
    emulate(browser, size, scheme)
    browser.get(f"{studio.url}/{path}" + ("" if path else f"#{campaign}"))
    if path:
        wait_for(lambda: count_of(browser, lane(campaign, ".model")) >= 2, within=90)
        click(browser, lane(campaign, ".lane-open"))
        wait_for(lambda: count_of(browser, lane(campaign, ".panel table")) >= 1)
        wait_for(lambda: count_of(browser, "#charts canvas") >= 2)
        shorten_stream(browser)
    else:
        wait_for(lambda: "running" in text_of(browser, "ol.steps"), within=90)
        wait_for(lambda: count_of(browser, "#strip-numbers li") >= 4)
    assert axe_findings(browser) == []
    width, room = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert width <= room, "nobody scrolls sideways"
    take_picture(browser, f"{path or 'start'}-{scheme}-{size[0]}")


COPIES = """
const node = document.querySelector("#map .node"), list = document.createElement("div");
for (let set = 0; set < 16; set++) {
  const copy = node.cloneNode(true);
  ["lit", "untold", "failing"].forEach((state, bit) => copy.classList.toggle(state, set >> bit & 1));
  copy.setAttribute("aria-pressed", set >> 3 & 1 ? "true" : "false");
  copy.classList.toggle("pinned", set >> 3 & 1);
  copy.removeAttribute("id");
  list.append(copy);
}
node.closest("ul, div").after(list);
"""
FOLLOW = 'document.getElementById("map-body").classList.add("pinning")'


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_node_of_the_map_can_be_read_in_each_of_its_states(
    studio: StudioProcess, browser: Chrome, scheme: Literal["light", "dark"]
) -> None:
    """Lit while its signal comes, grey before the first, red, followed, all at once, and beside one that is so."""
    emulate(browser, DESKTOP, scheme)
    studio.wait_for_end(studio.submit("product_content"))
    open_live(studio, browser)
    shorten_stream(browser)
    browser.execute_script(COPIES)
    assert axe_findings(browser, "color-contrast", "link-in-text-block") == []
    browser.execute_script(FOLLOW)  # which changes the map alone
    assert count_of(browser, "#map-body.pinning .node.untold.failing") >= 4, "the copies are there"
    assert axe_findings(browser, "color-contrast", "link-in-text-block", within="#map-body") == []


def test_each_tab_draws_its_charts(studio: StudioProcess, browser: Chrome) -> None:
    open_live(studio, browser)
    tab = browser.find_element(By.ID, "tab-queue")
    tab.click()
    for name in ("models", "agents", "http", "database", "pipeline"):
        browser.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
        assert browser.switch_to.active_element.get_attribute("data-tab") == name
        wait_for(lambda: count_of(browser, "#chart-list canvas") >= 2)
        take_picture(browser, f"charts-{name}")
    browser.find_element(By.ID, "filter").send_keys("nothing like this")
    assert axe_findings(browser) == []
    assert "doctor" in text_of(browser, "#findings") or count_of(browser, "#findings b") > 0


def test_an_embedded_model_that_hangs_is_seen_to_be_down_and_to_come_back(
    tmp_path: Path, free_port: Callable[[], int], browser: Chrome, studio: StudioProcess
) -> None:
    """One that is killed is started again by the next check, before anybody sees that it was gone."""
    with StudioProcess(tmp_path, free_port(), health_interval=1) as embedded:
        open_live(embedded, browser)
        wait_for(lambda: count_of(browser, "[data-part=model].up") == 1)
        with suspended(*children_of(embedded.process.pid, MODEL)):
            wait_for(lambda: count_of(browser, "[data-part=model].down") == 1)
            assert "model down" in text_of(browser, "#parts")
            take_picture(browser, "model-down", 900)
        wait_for(lambda: count_of(browser, "[data-part=model].up") == 1)
        check_requests(browser, embedded, studio)
        leave_page(browser)
    assert troubles(browser) == []


def test_the_model_whose_server_is_killed_is_seen_to_be_down(
    tmp_path: Path, free_port: Callable[[], int], browser: Chrome, studio: StudioProcess
) -> None:
    with ExitStack() as parts:
        killed = parts.enter_context(ExitStack())
        server = killed.enter_context(OpenAIServer())
        remote = StudioProcess(tmp_path, free_port(), health_interval=1, llm="openai:any", llm_base_url=server.base_url)
        parts.enter_context(remote)
        open_live(remote, browser)
        wait_for(lambda: count_of(browser, "[data-part=model].up") == 1)
        killed.close()
        wait_for(lambda: count_of(browser, "[data-part=model].down") == 1)
        wait_for(lambda: "model down" in text_of(browser, "tr.bad[data-signal=component_checked]"))
        leave_page(browser)
    requested(browser)
    troubles(browser)  # the model is gone, which the page was told


def test_a_listener_that_fails_is_red_and_harms_nothing(
    tmp_path: Path, new_studio: NewStudio, browser: Chrome, studio: StudioProcess
) -> None:
    (tmp_path / studio_with_faults.FAILS).touch()
    failing = new_studio(tmp_path)
    failing.module = studio_with_faults.__name__
    with failing:
        open_live(failing, browser)
        wait_for(lambda: "bill customer" in text_of(browser, "#map-listeners"))
        run_id = failing.submit("product_content")
        assert failing.wait_for_end(run_id, within=90)["status"] == "completed"
        wait_for(lambda: "1 failed" in text_of(browser, ".node.listener.failing"))
        wait_for(lambda: count_of(browser, "#map-edges path.failing") >= 1)
        wait_for(lambda: "receiver_failed" in text_of(browser, "#events"))
        take_picture(browser, "failing-listener", 8000)
        check_requests(browser, failing, studio)
        leave_page(browser)
    requested(browser)
    troubles(browser)
