"""Themes, small screens and accessibility."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import Open

PHONE: dict[str, Any] = {
    "viewport": {"width": 360, "height": 740},
    "has_touch": True,
    "is_mobile": True,
}


def luminance(page: Page, name: str) -> float:
    """The relative luminance (WCAG) of a color of the body."""
    color: str = page.evaluate("name => getComputedStyle(document.body)[name]", name)
    values = [int(part) / 255 for part in color.removeprefix("rgb(").removesuffix(")").split(",")]
    red, green, blue = (((v + 0.055) / 1.055) ** 2.4 if v > 0.04 else v / 12.92 for v in values)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("system", ["dark", "light"])
def test_theme_follows_the_system_until_switched(
    open_page: Open, preview: Path, system: str
) -> None:
    page = open_page(preview, color_scheme=system)

    def is_dark() -> bool:
        ground, text = luminance(page, "backgroundColor"), luminance(page, "color")
        brighter, darker = max(ground, text), min(ground, text)
        assert (brighter + 0.05) / (darker + 0.05) > 7
        return ground < text

    assert is_dark() == (system == "dark")
    page.get_by_role("button", name="dark and light").click()
    assert is_dark() == (system != "dark")
    page.reload()
    assert is_dark() == (system != "dark")
    page.get_by_role("button", name="dark and light").click()
    assert is_dark() == (system == "dark")


def overflow(page: Page) -> int:
    """The pixels by which the page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - innerWidth"))


def test_page_fits_a_phone(open_page: Open, preview: Path) -> None:
    page = open_page(preview, **PHONE)
    page.get_by_role("group", name="Show").get_by_text("All").tap()
    assert overflow(page) <= 0
    for part in page.locator("#kinds label:visible, #search, #sort").all():
        box = part.bounding_box()
        assert box
        assert box["x"] + box["width"] <= 360
    columns = "grid => getComputedStyle(grid).gridTemplateColumns.split(' ').length"
    assert page.locator("#grid").evaluate(columns) == 2
    page.get_by_role("button", name="Cover of Album 3 by").tap()
    viewer = page.get_by_role("dialog", name="Album 3")
    assert overflow(page) <= 0
    for part in viewer.locator("button:visible, a:visible, audio, img, h2").all():
        box = part.bounding_box()
        assert box
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 360
    viewer.get_by_role("button", name="Reject").tap()
    viewer.get_by_role("button", name="Close").tap()
    page.evaluate("scrollTo(0, 900)")
    with page.expect_download():
        page.get_by_role("button", name="Save choices").tap()


def names(page: Page) -> list[tuple[str, str]]:
    """The roles and names of controls and pictures in Chromium's accessibility tree."""
    roles = {"Audio", "button", "combobox", "dialog", "image", "link", "list", "radio", "searchbox"}
    nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    return [
        (node["role"]["value"], node.get("name", {}).get("value", "").strip())
        for node in nodes
        if not node["ignored"] and node.get("role", {}).get("value") in roles
    ]


def test_everything_has_an_accessible_name_and_position(page: Page) -> None:
    first = page.locator("#grid li").first
    assert first.get_attribute("aria-posinset") == "1"
    assert first.get_attribute("aria-setsize") == "27"
    page.get_by_role("group", name="Show").get_by_text("All").click()
    in_grid = names(page)
    assert len(in_grid) > 100
    page.get_by_role("button", name="Cover of Album 3 by").click()
    in_viewer = names(page)
    assert {"dialog", "Audio", "link"} <= {role for role, _ in in_viewer}
    assert [role for role, name in in_grid + in_viewer if not name] == []
