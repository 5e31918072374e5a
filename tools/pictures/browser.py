"""A headless browser that draws a dashboard and writes the picture."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from time import monotonic, sleep
from typing import Any

from selenium.webdriver import Chrome, ChromeOptions, ChromeService

WIDTH = 1600
PAGE = Path(__file__).parent / "page"
ENVIRONMENT = Path(".pictures")
BUILT = ENVIRONMENT / "page"
DRAWN_SECONDS = 1.5  # without which fonts and sizes are not settled
DEADLINE_SECONDS = 60.0
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class DrawingError(Exception):
    """The page could not be built, or failed to draw a dashboard."""


def build_page() -> None:
    """Bundle the page with Grafana's components.

    Raises:
        DrawingError: the packages are not installed, or the bundler refuses the page.
    """
    bundler = ENVIRONMENT / "node_modules" / ".bin" / "esbuild"
    if not bundler.exists():
        raise DrawingError(f"{bundler} is not there; `make pictures` installs it")
    fonts = BUILT / "fonts" / "inter"
    fonts.mkdir(parents=True, exist_ok=True)
    for weight, name in ((400, "Regular"), (500, "Medium")):
        files = ENVIRONMENT / "node_modules" / "@fontsource" / "inter" / "files"
        shutil.copy(files / f"inter-latin-{weight}-normal.woff2", fonts / f"Inter-{name}.woff2")
    shutil.copy(PAGE / "index.html", BUILT)
    loaders = [f"--loader:.{end}=dataurl" for end in ("ttf", "svg", "woff2")]
    form = ["--bundle", "--minify", "--format=esm", "--jsx=automatic", "--log-level=error"]
    production = '--define:process.env.NODE_ENV="production"'
    done = subprocess.run(  # noqa: S603 - its own
        [bundler, PAGE / "main.jsx", *form, *loaders, production, f"--outdir={BUILT}"],
        env={**os.environ, **packages()},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise DrawingError(done.stderr)


def packages() -> dict[str, str]:
    """Return the variable by which Node and the bundler find the packages."""
    return {"NODE_PATH": str(ENVIRONMENT / "node_modules")}


@contextmanager
def browser() -> Iterator[Chrome]:
    """Run a headless Chromium for a ``with`` block."""
    options = ChromeOptions()
    for argument in ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = Chrome(options=options, service=ChromeService(shutil.which("chromedriver")))
    try:
        yield chrome
    finally:
        chrome.quit()


@contextmanager
def served() -> Iterator[str]:
    """Serve the page for a ``with`` block, and yield its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(BUILT))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files and logs nothing."""

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def draw(chrome: Chrome, address: str, dashboard: Mapping[str, Any], answers: Mapping[str, Any], file: Path) -> None:
    """Draw a dashboard with Prometheus's answers, and write the picture.

    Raises:
        DrawingError: the page failed; the message is its error.
    """
    (BUILT / "data.json").write_text(json.dumps({"dashboard": dashboard, "answers": answers}))
    chrome.set_window_size(WIDTH, 900)
    chrome.get(address)
    end = monotonic() + DEADLINE_SECONDS
    panels = sum(panel["type"] != "row" for panel in dashboard["panels"])
    while chrome.execute_script("return document.querySelectorAll('section').length") < panels:
        if chrome.title.startswith("failed") or monotonic() > end:
            raise DrawingError(f"{chrome.title}\n{log_of(chrome)}")
        sleep(0.2)
    sleep(DRAWN_SECONDS)
    if errors := log_of(chrome):
        raise DrawingError(errors)
    height = chrome.execute_script("return document.body.offsetHeight")
    size = {"width": WIDTH, "height": height, "deviceScaleFactor": 1, "mobile": False}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    sleep(DRAWN_SECONDS)
    picture = chrome.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
    file.write_bytes(base64.b64decode(picture["data"]))


def log_of(chrome: Chrome) -> str:
    """Return what the page has reported as an error since it was last asked."""
    entries = chrome.get_log("browser")  # type: ignore[no-untyped-call]
    return "\n".join(entry["message"] for entry in entries if entry["level"] == "SEVERE")
