"""Whom the page is for: those with a keyboard, a screen reader, a phone, in the light and in the dark."""

import io
import re

import numpy as np
import pytest
from PIL import Image
from reference.page_visitor import answer, ask

expect = pytest.importorskip("playwright.sync_api", reason="no playwright on this machine").expect


def test_the_keyboard_is_enough(page):
    expect(page.get_by_label("Text", exact=True)).not_to_be_empty()
    page.get_by_label("Model", exact=True).focus()
    page.keyboard.press("n")
    page.keyboard.press("Tab")
    expect(page.get_by_label("Text", exact=True)).to_be_focused()
    page.keyboard.press("Control+a")
    page.keyboard.type("Eve")
    page.keyboard.press("Control+Enter")
    expect(answer(page).locator("mark")).to_contain_text("Eve")
    expect(page.get_by_label("Text", exact=True)).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Predict")).to_be_focused()


def test_the_theme_follows_the_system_until_one_is_chosen(visit, address):
    page = visit(address, color_scheme="dark")
    button = page.get_by_role("button", name="Dark")
    expect(button).to_have_attribute("aria-pressed", "true")
    page.emulate_media(color_scheme="light")
    expect(button).to_have_attribute("aria-pressed", "false")
    button.click()
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(button).to_have_attribute("aria-pressed", "true")


CONTRASTS = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  function rgba(colour) {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data;
  }
  function luminance(colour) {
    const linear = (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = [...rgba(colour)].map((c) => linear(c / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }
  function ground(element) {
    for (; element; element = element.parentElement) {
      const colour = getComputedStyle(element).backgroundColor;
      if (rgba(colour)[3] === 255) return colour;
    }
    return "white";
  }
  const found = {};
  for (const element of document.querySelectorAll("body, body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !element.checkVisibility() || ["OPTION", "SCRIPT"].includes(element.tagName)) continue;
    const pair = [luminance(getComputedStyle(element).color), luminance(ground(element))].sort((x, y) => y - x);
    const name = `${element.tagName} ${element.className} ${element.textContent.trim().slice(0, 20)}`;
    found[name] = (pair[0] + 0.05) / (pair[1] + 0.05);
  }
  return found;
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_all_text_stands_out_from_its_ground(visit, address, theme):
    page = visit(address, color_scheme=theme)
    seen = {}
    texts = {"topics": "a", "parts": "The cat sat on a mat. Ox", "names, version 7": "🙂 Ada", "dates": "May 5"}
    for model, text in texts.items():
        ask(page, model, text)
        expect(page.locator("#answer-by")).to_contain_text(model)
        seen |= page.evaluate(CONTRASTS)
    for text in ("", "full"):
        ask(page, "topics", text)
        expect(page.get_by_role("alert").filter(has_text="Request")).to_be_visible()
        seen |= page.evaluate(CONTRASTS)
    assert len(seen) > 40
    # WCAG 2.2, 1.4.3.
    assert {name: round(ratio, 2) for name, ratio in seen.items() if ratio < 4.5} == {}


def test_nothing_is_wider_than_a_phone(visit, address):
    page = visit(address, viewport={"width": 360, "height": 740})
    for model in ("topics", "names, version 7", "parts", "dates"):
        ask(page, model, "Ada" * 100 + " sat")
        expect(page.get_by_role("status")).to_contain_text("answers")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize(("theme", "darkest", "lightest"), [("light", 200, 255), ("dark", 0, 60)])
def test_the_theme_is_on_the_whole_page(visit, address, theme, darkest, lightest):
    page = visit(address, color_scheme=theme)
    ask(page, "parts", "The cat sat on a mat.")
    expect(answer(page).locator("mark").first).to_be_visible()
    picture = np.asarray(Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("L"))
    assert darkest <= np.median(picture) <= lightest and darkest <= picture.mean() <= lightest


def test_every_control_has_a_name(page):
    ask(page, "names, version 7", "Ada")
    expect(answer(page).locator("mark")).to_be_visible()
    tree = page.locator("body").aria_snapshot()
    # A control without a name is its bare role in the tree.
    bare = re.findall(r"^\s*- (?:button|link|textbox|combobox|table|region|complementary|form)\b(?! \").*$", tree, re.M)
    assert bare == []
    names = ('button "Predict"', 'combobox "Model"', 'textbox "Text"', 'region "Answer"', 'group "The same from')
    for name in names:
        assert name in tree


def test_nothing_moves_for_those_who_want_it_still(visit, address):
    page = visit(address, reduced_motion="reduce")
    ask(page, "topics", "a")
    assert answer(page).locator(".fill").first.evaluate("fill => getComputedStyle(fill).transitionDuration") == "0s"


def test_the_page_asks_no_other_host(page, address):
    seen = page.evaluate("performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert len(seen) > 10 and all(url.startswith(address) for url in seen)
