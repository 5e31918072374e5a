"""Somebody opens the start page in a browser, runs a workflow and sees what came of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import pytest
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from tests.support.studio import StudioProcess
from tests.support.wait import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.needs("chromedriver"), pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[StudioProcess]:
    with StudioProcess(tmp_path_factory.mktemp("studio"), free_port()) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Chrome]:
    options = ChromeOptions()
    for argument in (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = Chrome(options=options, service=ChromeService(shutil.which("chromedriver")))
    yield chrome
    chrome.quit()


def fill(browser: Chrome, field: str, text: str) -> None:
    box = browser.find_element(By.ID, field)
    box.clear()
    box.send_keys(text)


def troubles(browser: Chrome) -> list[str]:
    """Take from the browser's console what went wrong since it was last asked."""
    entries = browser.get_log("browser")  # type: ignore[no-untyped-call]
    return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]


def test_a_workflow_is_started_and_its_copy_shows(studio: StudioProcess, browser: Chrome) -> None:
    troubles(browser)  # what came before is not this page's
    browser.get(studio.url)
    wait_until(lambda: browser.find_elements(By.CSS_SELECTOR, "#workflow option"))
    Select(browser.find_element(By.ID, "workflow")).select_by_value("product_content")
    fill(browser, "brand", "Acme <b>Audio</b>")
    browser.find_element(By.ID, "submit").click()
    wait_until(lambda: "completed" in browser.find_element(By.ID, "run-state").text, within=60)

    [run] = studio.call("GET", "/api/v1/runs").json()["items"]
    whole = studio.run(run["run_id"])
    shown = browser.find_element(By.ID, "run").text
    assert whole["steps"][0]["output"]["text"] in shown
    assert "Acme <b>Audio</b>" in browser.find_element(By.ID, "runs").text
    assert troubles(browser) == []


def test_a_problem_is_told_in_words(studio: StudioProcess, browser: Chrome) -> None:
    browser.get(studio.url)
    wait_until(lambda: browser.find_elements(By.CSS_SELECTOR, "#workflow option"))
    fill(browser, "features", "\n".join(f"feature {number}" for number in range(11)))
    browser.find_element(By.ID, "submit").click()
    problem = browser.find_element(By.ID, "start-problem")
    wait_until(lambda: "features" in problem.text)


def test_the_links_lead_somewhere(studio: StudioProcess, browser: Chrome) -> None:
    browser.get(studio.url)
    links = {link.get_attribute("href") for link in browser.find_elements(By.TAG_NAME, "a")}
    for page in ("/docs", "/metrics", "/health"):
        assert any(link and link.endswith(page) for link in links), links
        assert studio.client.get(page).status_code == 200
