"""Names from tags are only text, and the page loads only its own files."""

from pathlib import Path

from playwright.sync_api import Browser, Page

from tests.browser.preview import HOSTILE

_INJECTIONS = """async () => {
  const refused = new Set();
  addEventListener("securitypolicyviolation", event => refused.add(event.effectiveDirective));
  const insert = (tag, attributes) =>
    document.body.append(Object.assign(document.createElement(tag), attributes));
  insert("script", {textContent: "window.harmed = true"});
  insert("script", {src: "./harm.js"});
  insert("style", {textContent: "body {display: none}"});
  insert("img", {src: "http://127.0.0.1:9/"});
  insert("audio", {src: "http://127.0.0.1:9/"});
  insert("iframe", {src: "./covers/0.png"});
  insert("link", {rel: "stylesheet", href: "./harm.css"});
  insert("div", {innerHTML: "<p onclick='window.harmed = true'>"});
  document.body.lastChild.firstChild.click();
  await fetch("http://127.0.0.1:9/").catch(() => {});
  await new Promise(resolve => setTimeout(resolve, 300));
  return [...refused].sort();
}"""


def test_html_in_titles_is_shown_as_text(page: Page) -> None:
    assert page.locator("#grid h2").all_text_contents()[-len(HOSTILE) :] == list(HOSTILE)
    assert page.locator("#grid .artist").all_text_contents()[-len(HOSTILE) :] == list(HOSTILE)
    for index, name in enumerate(HOSTILE, start=20):
        page.locator("#grid .cover").nth(index).click()
        assert page.locator("#viewer-title").text_content() == name
        page.keyboard.press("Escape")
    assert page.evaluate("window.harmed") is None


def test_policy_blocks_injected_scripts_and_requests(browser: Browser, preview: Path) -> None:
    page = browser.new_page()
    page.goto(preview.as_uri())
    requests: list[str] = []
    page.on("requestfinished", lambda request: requests.append(request.url))
    assert page.evaluate(_INJECTIONS) == [
        "connect-src",
        "frame-src",
        "img-src",
        "media-src",
        "script-src-attr",
        "script-src-elem",
        "style-src-elem",
    ]
    assert page.evaluate("window.harmed") is None
    assert requests == []
    page.close()
