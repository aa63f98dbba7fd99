"""Light and dark, wide and narrow, and what a screen reader is told."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import Open

pytestmark = pytest.mark.browser

PHONE: dict[str, Any] = {
    "viewport": {"width": 360, "height": 740},
    "has_touch": True,
    "is_mobile": True,
}


def luminance(page: Page, name: str) -> float:
    """WCAG's relative luminance of a colour of the body."""
    color: str = page.evaluate("name => getComputedStyle(document.body)[name]", name)
    values = [int(part) / 255 for part in color.removeprefix("rgb(").removesuffix(")").split(",")]
    red, green, blue = (((v + 0.055) / 1.055) ** 2.4 if v > 0.04 else v / 12.92 for v in values)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("system", ["dark", "light"])
def test_the_theme_is_the_systems_until_it_is_switched(
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


def overhang(page: Page) -> int:
    """How many pixels the page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - innerWidth"))


def test_it_fits_a_phone(open_page: Open, preview: Path) -> None:
    page = open_page(preview, **PHONE)
    page.get_by_role("group", name="Show").get_by_text("All").tap()
    assert overhang(page) <= 0
    for part in page.locator("#kinds label:visible, #search, #sort").all():
        box = part.bounding_box()
        assert box
        assert box["x"] + box["width"] <= 360
    assert (
        page.locator("#grid").evaluate(
            "grid => getComputedStyle(grid).gridTemplateColumns.split(' ').length"
        )
        == 2
    )
    page.get_by_role("button", name="Cover of Album 3 by").tap()
    viewer = page.get_by_role("dialog", name="Album 3")
    assert overhang(page) <= 0
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
    """The role and name of whatever can be used or looked at, as Chromium tells screen readers."""
    roles = {"Audio", "button", "combobox", "dialog", "image", "link", "list", "radio", "searchbox"}
    nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    return [
        (node["role"]["value"], node.get("name", {}).get("value", "").strip())
        for node in nodes
        if not node["ignored"] and node.get("role", {}).get("value") in roles
    ]


def test_everything_has_a_name(page: Page) -> None:
    page.get_by_role("group", name="Show").get_by_text("All").click()
    in_the_grid = names(page)
    assert len(in_the_grid) > 100
    page.get_by_role("button", name="Cover of Album 3 by").click()
    enlarged = names(page)
    assert {"dialog", "Audio", "link"} <= {role for role, _ in enlarged}
    assert [role for role, name in in_the_grid + enlarged if not name] == []


def test_a_long_list_tells_its_places(page: Page) -> None:
    first = page.locator("#grid li").first
    assert first.get_attribute("aria-posinset") == "1"
    assert first.get_attribute("aria-setsize") == "27"
