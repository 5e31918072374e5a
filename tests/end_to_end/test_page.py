"""Somebody opens the start page in a browser, runs a workflow and sees what came of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from tests.support.browser import leave_page, open_browser, requested, text_of, troubles, wait_for
from tests.support.scripted_studio import scripted_studios
from tests.support.studio import StudioProcess

pytestmark = [pytest.mark.slow, pytest.mark.needs("chromedriver"), pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[StudioProcess]:
    with StudioProcess(tmp_path_factory.mktemp("studio"), free_port()) as running:
        yield running


@pytest.fixture
def new_studio(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Callable[..., StudioProcess]]:
    with scripted_studios(tmp_path, free_port) as make:
        yield make


@pytest.fixture(scope="module")
def browser() -> Iterator[Chrome]:
    with open_browser() as chrome:
        yield chrome


def fill(browser: Chrome, field: str, text: str) -> None:
    box = browser.find_element(By.ID, field)
    box.clear()
    box.send_keys(text)


def row(browser: Chrome, run_id: str) -> str:
    """Return the text of a run's row among the recent ones."""
    return text_of(browser, f"tr[data-run='{run_id}']")


def test_a_workflow_is_started_and_its_copy_shows(studio: StudioProcess, browser: Chrome) -> None:
    troubles(browser)  # what came before is not this page's
    browser.get(studio.url)
    wait_for(lambda: browser.find_elements(By.CSS_SELECTOR, "#workflow option"))
    Select(browser.find_element(By.ID, "workflow")).select_by_value("product_content")
    fill(browser, "brand", "Acme <b>Audio</b>")
    browser.find_element(By.ID, "submit").click()
    wait_for(lambda: "completed" in browser.find_element(By.ID, "run-state").text, within=60)

    run = studio.call("GET", "/api/v1/runs").json()["items"][0]  # the latest
    whole = studio.run(run["run_id"])
    shown = browser.find_element(By.ID, "run").text
    assert whole["steps"][0]["output"]["text"] in shown
    assert "Acme <b>Audio</b>" in browser.find_element(By.ID, "runs").text
    assert troubles(browser) == []


def test_a_problem_is_told_in_words(studio: StudioProcess, browser: Chrome) -> None:
    browser.get(studio.url)
    wait_for(lambda: browser.find_elements(By.CSS_SELECTOR, "#workflow option"))
    fill(browser, "features", "\n".join(f"feature {number}" for number in range(11)))
    browser.find_element(By.ID, "submit").click()
    problem = browser.find_element(By.ID, "start-problem")
    wait_for(lambda: "features" in problem.text)


def test_the_links_lead_somewhere(studio: StudioProcess, browser: Chrome) -> None:
    browser.get(studio.url)
    links = {link.get_attribute("href") for link in browser.find_elements(By.TAG_NAME, "a")}
    for page in ("/live", "/docs", "/metrics", "/health"):
        assert any(link and link.endswith(page) for link in links), links
        assert studio.client.get(page).status_code == 200


def test_the_recent_runs_update_by_themselves(studio: StudioProcess, browser: Chrome) -> None:
    browser.get(studio.url)
    wait_for(lambda: browser.find_elements(By.CSS_SELECTOR, "#workflow option"))
    runs = [studio.submit("brand_identity") for _ in range(4)]
    wait_for(lambda: "running" in row(browser, runs[0]))
    wait_for(lambda: re.search(r"queued, number \d of \d", row(browser, runs[-1])))
    for run_id in runs[1:]:
        studio.call("POST", "/api/v1/runs/{run_id}/cancel", run_id=run_id)
    wait_for(lambda: "cancelled" in row(browser, runs[-1]))
    run = studio.wait_for_end(runs[0], within=90)
    wait_for(lambda: "completed" in row(browser, runs[0]))
    shown = row(browser, runs[0])
    assert "smollm2" in shown, "the model, by the events"
    assert "0 USD" in shown, "what the embedded model costs"
    assert f"{run['tokens']['total']:,}" in shown


def test_the_steps_of_a_run_say_what_they_do(studio: StudioProcess, browser: Chrome) -> None:
    run_id = studio.submit("brand_identity")
    browser.get(f"{studio.url}/?again#{run_id}")  # another address: the fragment alone loads no page
    wait_for(lambda: "running" in text_of(browser, "ol.steps"))
    assert "waits for the steps before it" in text_of(browser, "ol.steps")
    browser.find_element(By.ID, "cancel").click()
    wait_for(lambda: "cancelled" in text_of(browser, "#run-state"))
    wait_for(lambda: "cancelled before it began" in text_of(browser, "ol.steps"))
    assert "running" not in text_of(browser, "ol.steps")


def test_without_a_feed_the_page_asks_again_and_again(
    new_studio: Callable[..., StudioProcess], browser: Chrome
) -> None:
    with new_studio(live="false") as studio:
        troubles(browser)
        requested(browser)
        browser.get(studio.url)
        wait_for(lambda: browser.find_elements(By.CSS_SELECTOR, "#workflow option"))
        run_id = studio.submit("product_content")
        wait_for(lambda: "running" in row(browser, run_id) or "completed" in row(browser, run_id))
        studio.wait_for_end(run_id, within=90)
        wait_for(lambda: "completed" in row(browser, run_id))
        assert not browser.find_element(By.ID, "strip").is_displayed()
        assert not [url for url in requested(browser) if "/events" in url or url.endswith("/live")]
        assert troubles(browser) == []
        leave_page(browser)
        browser.get(f"{studio.url}/live")
        wait_for(lambda: "SPARKLIO_LIVE" in browser.find_element(By.TAG_NAME, "body").text)


def test_with_keys_the_pages_ask_for_a_login_and_then_work(
    new_studio: Callable[..., StudioProcess], browser: Chrome
) -> None:
    key = "a-key-for-this-test-alone"
    with new_studio(api_keys=f"alice:{key}") as studio:
        browser.get(f"{studio.url}/live")
        assert browser.current_url == f"{studio.url}/login?page=live"
        troubles(browser)
        browser.find_element(By.ID, "key").send_keys(key)
        browser.find_element(By.TAG_NAME, "button").click()
        wait_for(lambda: browser.current_url == f"{studio.url}/live")
        wait_for(lambda: text_of(browser, "#feed") == "Live" and "model up" in text_of(browser, "#parts"))
        browser.find_element(By.ID, "ten").click()
        wait_for(lambda: "Ten runs are started" in text_of(browser, "#told"))
        assert troubles(browser) == []
