"""The page, opened from disk in headless Chromium."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

from tests.browser.preview import lay_out, library

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

Open = Callable[..., Page]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(_NAMES)} is on PATH")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program)
        yield running
        running.close()


@pytest.fixture(scope="session")
def preview(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of `library()`."""
    return lay_out(tmp_path_factory.mktemp("preview"), library())


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Open a page; `options` are those of a new browser context.

    Fails at the end if a page has reported an error or requested anything outside its folder.
    """
    contexts = []
    faults: list[str] = []

    def open_one(file: Path, *, script: str = "", **options: Any) -> Page:
        folder = file.parent.as_uri() + "/"

        def on_request(request: Request) -> None:
            if not request.url.startswith((folder, "blob:")):
                faults.append(f"requested {request.url}")

        def on_console(message: ConsoleMessage) -> None:
            if message.type == "error":
                faults.append(message.text)

        context = browser.new_context(locale="en-US", **options)
        contexts.append(context)
        context.set_default_timeout(10_000)
        page = context.new_page()
        page.on("request", on_request)
        page.on("console", on_console)
        page.on("pageerror", lambda error: faults.append(str(error)))
        if script:
            page.add_init_script(script)
        page.goto(file.as_uri())
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert faults == []


@pytest.fixture
def page(open_page: Open, preview: Path) -> Page:
    return open_page(preview)
