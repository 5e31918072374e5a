"""A real browser without a screen, and what it says of a page: errors, requests, and what axe finds."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from selenium.webdriver import Chrome, ChromeOptions, ChromeService

from tests.support.wait import wait_until

SCREENSHOTS = "SCREENSHOTS"
"""The variable with the folder that pictures of the pages are written to; without it there are none."""

DESKTOP, PHONE = (1440, 900), (390, 844)

ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


# One question for all elements: WebDriver's own takes the browser as many as there are, and seconds for a table.
_TEXT = """
const drawn = (element) => element.checkVisibility() ? element.innerText ?? element.textContent : "";
return [...document.querySelectorAll(arguments[0])].map((element) => drawn(element).replaceAll("\\u00a0", " ").trim())
  .join("\\n");
"""

wait_for = partial(wait_until, every=0.1)
"""Waits as `wait_until`, but asks the browser less often: each question is work for it."""


@contextmanager
def open_browser() -> Iterator[Chrome]:
    """Open Debian's Chromium, which logs its console and its requests."""
    options = ChromeOptions()
    for argument in ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = Chrome(options=options, service=ChromeService(shutil.which("chromedriver")))
    chrome.set_script_timeout(120)  # axe looks at thousands of nodes
    try:
        yield chrome
    finally:
        chrome.quit()


def leave_page(browser: Chrome) -> None:
    """Have the browser ask nobody any more, as before a studio stops whose page would ask on and be refused."""
    browser.get("about:blank")


def text_of(browser: Chrome, selector: str) -> str:
    """Return the text of elements as they are drawn in this moment, without what is hidden."""
    text: str = browser.execute_script(_TEXT, selector)
    return text


def troubles(browser: Chrome) -> list[str]:
    """Take from the browser's console what went wrong since it was last asked."""
    entries = browser.get_log("browser")  # type: ignore[no-untyped-call]
    return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]


def requested(browser: Chrome) -> set[str]:
    """Take the addresses that the browser has asked for since it was last asked, but for those in the page itself."""
    messages = [
        json.loads(entry["message"])["message"]
        for entry in browser.get_log("performance")  # type: ignore[no-untyped-call]
    ]
    urls = {each["params"]["request"]["url"] for each in messages if each["method"] == "Network.requestWillBeSent"}
    return {url for url in urls if not url.startswith(("data:", "blob:"))}


def emulate(browser: Chrome, size: tuple[int, int], scheme: Literal["light", "dark"] = "light") -> None:
    """Set the size of the browser's window, and whether its user prefers light or dark pages."""
    width, height = size
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE},
    )
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def axe_findings(browser: Chrome, *rules: str, within: str = "html") -> list[str]:
    """Return what axe finds in the page, or in a part of it, that is serious or critical, by all rules or by these."""
    browser.execute_script(_axe())
    options = {"resultTypes": ["violations"], **({"runOnly": rules} if rules else {})}
    violations: list[dict[str, Any]] = browser.execute_async_script(
        "const [within, options, done] = arguments;"
        "axe.run(within, options).then((found) => done(found.violations), (error) => { throw error; });",
        within,
        options,
    )
    return [
        f"{each['impact']} {each['id']}: {node['html'][:200]} {node['failureSummary'][:300]}"
        for each in violations
        if each["impact"] in {"serious", "critical"}
        for node in each["nodes"]
    ]


@cache
def _axe() -> str:
    return files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")


def take_picture(browser: Chrome, name: str, most: int = 4000) -> None:
    """Write a picture of the whole page, down to so many pixels, if there is a folder for it."""
    folder = os.environ.get(SCREENSHOTS)
    if not folder:
        return
    size = browser.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
    clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], most), "scale": 1}
    answer = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
    path = Path(folder, f"{name}.png")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(base64.b64decode(answer["data"]))
