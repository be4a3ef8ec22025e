"""What a reader sees of a slider: by mouse, keyboard, finger, or in print."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from snippets import figures

pytestmark = pytest.mark.slow

BOOK = Path(__file__).parents[2] / "book"
SETTINGS = {
    "extensions": ["myst_nb", "sphinx_book_theme", "inline_figures"],
    "html_theme": "sphinx_book_theme",
    "html_static_path": [str(BOOK / "_static")],
    "nb_execution_mode": "off",
}
STATES = ["0", "1", "2", "3", "a longer name"]


def state(n):
    diagram = figures.Diagram(6, 2)
    diagram.box(1 + n, 1, f"box {n}")
    return diagram


@pytest.fixture(scope="session")
def address(tmp_path_factory):
    """The file of a page with a slider over five states."""
    root = tmp_path_factory.mktemp("book")
    drawings = [state(n) for n in range(5)]
    picture = figures.slider(
        dict(zip(STATES, drawings, strict=True)), "place"
    )
    data, metadata = picture._repr_mimebundle_()
    output = {"output_type": "display_data", "data": data}
    figure = {"caption": "It moves.", "name": "fig-moves"}
    cell = {
        "cell_type": "code",
        "id": "cell",
        "execution_count": 1,
        "source": "show",
        "metadata": {"mystnb": {"image": {"alt": "A."}, "figure": figure}},
        "outputs": [{**output, "metadata": metadata}],
    }
    title = {"cell_type": "markdown", "id": "title", "metadata": {}}
    notebook = {
        "cells": [{**title, "source": "# Page"}, cell],
        "metadata": {"language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    (root / "index.ipynb").write_text(json.dumps(notebook))
    conf = f"import sys\nsys.path.insert(0, {str(BOOK / '_ext')!r})\n"
    conf += "".join(f"{name} = {SETTINGS[name]!r}\n" for name in SETTINGS)
    (root / "conf.py").write_text(conf + "extensions.append('sliders')\n")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "html"]
    subprocess.run([*command, str(root), str(root / "out")], check=True)
    return (root / "out" / "index.html").as_uri()


@pytest.fixture
def opened(browser, address):
    """Open the page with these options of a browser context."""
    contexts = []

    def opened(*, script=True, **options):
        context = browser.new_context(offline=True, **options)
        context.set_default_timeout(5000)
        contexts.append(context)
        page = context.new_page()
        wrong = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        if not script:
            page.route(re.compile(r"slider\.js"), lambda route: route.abort())
        page.goto(address)
        page.wait_for_load_state()
        assert not wrong
        return page

    yield opened
    for context in contexts:
        context.close()


def seen(page):
    """The words of the figure that a reader sees: shown, and not cut off."""
    return page.locator("svg.book-figure").evaluate(
        """svg => {
          const frame = svg.getBoundingClientRect();
          const inside = text => {
            const box = text.getBoundingClientRect();
            return frame.top <= box.top && box.bottom <= frame.bottom;
          };
          // Chromium's checkVisibility() does not know <g display="none">
          const hidden = node => node
            && (getComputedStyle(node).display === "none"
                || hidden(node.parentElement));
          return [...svg.querySelectorAll("text")]
            .filter(text => !hidden(text) && inside(text))
            .map(text => text.textContent).sort();
        }"""
    )


STILL = ["box 0", "box 2", "box 4"]
STILL += ["place: 0", "place: 2", "place: a longer name"]


def stands(page, n):
    """Whether figure, text and slider agree that this state is shown."""
    slider = page.get_by_role("slider", name="place")
    assert slider.input_value() == str(n)
    assert slider.get_attribute("aria-valuetext") == STATES[n]
    assert page.locator(".book-slider-value").text_content() == STATES[n]
    assert seen(page) == [f"box {n}"]
    box = page.locator("svg.book-figure").bounding_box()
    assert box["width"] / box["height"] == pytest.approx(3, abs=0.01)


def test_keys_move_it(opened):
    page = opened()
    stands(page, 0)
    page.get_by_role("slider").focus()
    for key, n in (
        ("ArrowRight", 1),
        ("End", 4),
        ("ArrowLeft", 3),
        ("Home", 0),
    ):
        page.keyboard.press(key)
        stands(page, n)


def place(box, part):
    return box["x"] + box["width"] * part, box["y"] + box["height"] / 2


def test_the_mouse_drags_it(opened):
    page = opened()
    box = page.get_by_role("slider").bounding_box()
    page.mouse.move(*place(box, 0.02))
    page.mouse.down()
    page.mouse.move(*place(box, 0.52), steps=5)
    stands(page, 2)
    page.mouse.move(*place(box, 0.99), steps=5)
    page.mouse.up()
    stands(page, 4)


PHONE = {
    "viewport": {"width": 390, "height": 800},
    "has_touch": True,
    "is_mobile": True,
}


def test_a_finger_moves_it_on_a_phone(opened):
    page = opened(**PHONE)
    slider = page.get_by_role("slider")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box["height"] >= 44
    page.touchscreen.tap(*place(box, 0.5))
    stands(page, 2)

    touch = page.context.new_cdp_session(page)
    for event, parts in {
        "touchStart": [0.5],
        "touchMove": [0.6, 0.8, 0.98],
        "touchEnd": [None],
    }.items():
        for part in parts:
            x, y = place(box, part or 0)
            points = [{"x": x, "y": y}] if part else []
            event_data = {"type": event, "touchPoints": points}
            touch.send("Input.dispatchTouchEvent", event_data)
    stands(page, 4)
    wide = "document.documentElement.scrollWidth - window.innerWidth"
    assert page.evaluate(wide) <= 0


@pytest.mark.parametrize("options", [{}, PHONE], ids=["desk", "phone"])
def test_nothing_else_moves(opened, options):
    """Neither when the script starts, nor when it shows another state."""

    def places(page):
        parts = ".book-slider svg, .book-slider input, figcaption"
        return [part.bounding_box() for part in page.locator(parts).all()]

    before = opened(script=False, **options)
    assert seen(before) == ["box 0"]
    page = opened(**options)
    assert places(page) == places(before)
    page.get_by_role("slider").fill("4")
    stands(page, 4)
    assert places(page) == places(before)


def test_without_scripts_there_are_three_states(opened):
    page = opened(java_script_enabled=False)
    assert seen(page) == STILL
    assert not page.get_by_role("slider").is_visible()


def test_in_print_there_are_three_states(opened):
    page = opened()
    page.get_by_role("slider").fill("3")
    page.emulate_media(media="print")
    assert seen(page) == STILL
    assert not page.get_by_role("slider").is_visible()
