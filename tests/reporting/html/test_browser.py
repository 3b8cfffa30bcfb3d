"""The page as a reader sees it, in the Chromium of this machine."""

import os
import shutil

import numpy as np
import pytest

from tbe.evaluation.tasks.tsne.page import write_page
from tbe.evaluation.tasks.tsne.points import Points
from tbe.reporting.__main__ import main
from tests.reporting.html.conftest import EVIL, EVIL_CLASS, OUTSIDE

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install -e '.[dev]'")
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if not found:
        pytest.skip(f"needs a browser: none of {', '.join(BROWSERS)} is on the PATH (or CHROMIUM=<program>)")
    with playwright.sync_playwright() as started:
        # Within a container there is no other sandbox to be had.
        running = started.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def opened(browser, runs):
    """opened(width) shows the report of the runs, or another page; what goes wrong or is fetched is in its `troubles`.

    In `blocked` is what the page itself kept from being fetched.
    """
    contexts = []

    def start(width, scheme="light", file=None):
        if file is None:
            main([str(runs)])
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.troubles, page.blocked = [], []
        page.add_init_script("window.hacked = () => { document.body.dataset.hacked = 'yes' }")
        page.on("console", lambda said: hear(page, said))
        page.on("pageerror", lambda error: page.troubles.append(str(error)))
        page.on("request", lambda asked: page.troubles.append(asked.url) if is_fetched(asked.url) else None)
        page.goto((file or runs / "report.html").as_uri())
        return page

    yield start
    for context in contexts:
        context.close()


def is_fetched(address):
    # What is blocked is also announced, at times.
    return address.startswith("http") and not address.startswith(OUTSIDE)


def hear(page, said):
    if said.type == "error":
        (page.blocked if "Content Security Policy" in said.text else page.troubles).append(said.text)


def column(page, title, number):
    cells = page.locator(f"details:has(> summary:text('{title}')) td:nth-child({number})")
    return cells.all_text_contents()


def test_a_table_is_opened_and_sorted_by_clicks(opened):
    page = opened(1280)
    table = page.locator("details", has=page.locator("> summary", has_text="per_class.csv"))
    assert table.get_attribute("open") is None
    table.locator("summary").click()
    head = table.locator("th button", has_text="accuracy")
    head.click()
    assert column(page, "per_class.csv", 3) == [str(number) for number in range(30)]
    head.click()
    assert column(page, "per_class.csv", 3) == [str(number) for number in reversed(range(30))]
    assert table.locator("th").nth(2).get_attribute("aria-sort") == "descending"
    assert page.troubles == []


def test_a_picture_is_enlarged_by_a_click_and_closed_by_escape(opened):
    page = opened(1280)
    page.locator("button.enlarge img[alt='cam/demo/iid.png']").click()
    assert page.locator("dialog[open] img").evaluate("image => image.naturalWidth") == 600
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0
    page.locator("button.enlarge").last.press("Enter")
    page.locator("dialog button").click()
    assert page.locator("dialog[open]").count() == 0
    assert page.troubles == []


def test_charts_tell_values_to_the_pointer_and_to_the_keyboard(opened):
    page = opened(1280)
    chart = page.locator(".chart", has_text="train/loss")
    assert chart.locator("output").all_text_contents() == ["1.5", "2"]
    chart.locator("svg[tabindex]").focus()
    page.keyboard.press("Home")
    assert chart.locator("output").all_text_contents() == ["2.5", "3.5"]
    assert chart.locator(".at").text_content() == "step 1"
    page.keyboard.press("ArrowRight")
    assert chart.locator("output").all_text_contents() == ["1.5", "2 (step 7)"]
    page.keyboard.press("Escape")
    box = chart.locator("svg[tabindex]").bounding_box()
    page.mouse.move(box["x"] + box["width"] - 5, box["y"] + box["height"] / 2)
    assert chart.locator(".at").text_content() == "step 7"
    assert page.troubles == []


def test_films_play_and_pages_run_in_a_frame_of_their_own(opened):
    page = opened(1280)
    film = page.locator("video")
    film.scroll_into_view_if_needed()
    page.wait_for_function("document.querySelector('video').readyState > 0")
    assert film.evaluate("video => video.videoWidth") == 40
    page.locator("summary", has_text="iid.html").click()
    page.locator("iframe").scroll_into_view_if_needed()
    frame = page.locator("iframe").element_handle().content_frame()
    frame.wait_for_function("document.title === 'drawn' && document.images[0].complete")
    assert OUTSIDE in page.blocked[0]
    assert page.locator("body[data-hacked]").count() == 0  # neither the frame nor a name reached the report
    assert page.troubles == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_scrolls_down_only(opened, scheme, tmp_path):
    page = opened(375, scheme)
    page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true })")
    assert page.evaluate("document.documentElement.scrollWidth") == 375
    page.locator("nav a").last.click()
    assert page.evaluate("scrollY") > 0
    page.screenshot(path=tmp_path / f"{scheme}.png", full_page=True)
    ink, paper = page.evaluate("['color', 'backgroundColor'].map(name => getComputedStyle(document.body)[name])")
    assert (sum(channels(ink)) > sum(channels(paper))) == (scheme == "dark")
    assert page.troubles == []


def channels(color):
    return [int(part) for part in color.removeprefix("rgb(").removesuffix(")").split(",")]


def test_names_stay_text_on_the_page_of_embedded_videos(opened, tmp_path):
    names = [EVIL_CLASS, EVIL, f"</script>{EVIL_CLASS}", f"<!-- <script> {EVIL_CLASS}", "\u2028${hacked()}`'\"\\"]
    places = np.stack([np.linspace(0, 1, len(names))] * 2, axis=1)
    write_page(tmp_path / "page.html", names[2], Points(places, names, {"class": names, EVIL: names}), [])
    page = opened(800, file=tmp_path / "page.html")
    assert page.locator("h1").text_content() == page.title() == names[2]
    assert page.locator("#legend button").all_text_contents() == sorted(names)
    assert page.locator("option").all_text_contents() == ["class", EVIL]
    page.locator("path.point").nth(1).hover()
    assert page.locator("#tip div").text_content() == f"class: {EVIL}\n{EVIL}: {EVIL}\n{EVIL}"
    assert page.locator("body[data-hacked]").count() == 0
    assert page.troubles == []
