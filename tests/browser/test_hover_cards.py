"""Cards beside links, as a reader gets them: by mouse, keyboard or finger."""

import itertools
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

BOOK = Path(__file__).parents[2] / "book"
CONF = f"""
import sys
sys.path.insert(0, {str(BOOK / "_ext")!r})
extensions = ["myst_parser", "build_time_math", "hover_cards"]
extensions += ["sphinx_book_theme"]
html_theme = "sphinx_book_theme"
html_static_path, html_css_files = [{str(BOOK / "_static")!r}], ["book.css"]
html_theme_options = {{"navbar_persistent": []}}
myst_enable_extensions = ["dollarmath"]
"""
WORDS = "Words before it, {}. " * 6
FILLER = f"{WORDS.format(*range(6))}\n\n" * 30
INDEX = f"""# Lesson

Some words and then, at {{term}}`first <state>`, a card; more of them
until the {{term}}`gate`, and {{ref}}`a recap that is named in so many words
that its link wraps on any screen, be it as wide as it may <recap-notes>`.

{FILLER}

A {{term}}`last <state>` one, {{ref}}`notes <recap-notes>`. The end.

```{{toctree}}
:maxdepth: 1
words
earlier
```
"""
WORDS_PAGE = f"""# Words

```{{glossary}}
state
  What is kept, **once** and for all; see {{doc}}`earlier`.

gate
  What lets through, unlike {{term}}`state` or {{term}}`zebra`.
```

{FILLER}

```{{glossary}}
zebra
  The last of the words, far from all the others.
```
"""
EARLIER = f"""# Earlier

(recap-notes)=
## Notes

A notebook of fixed size.

$$
h = f(x)
$$

{WORDS.format(*range(6)) * 8}
"""
DESK = {"viewport": {"width": 1280, "height": 800}}
PHONE = {
    "viewport": {"width": 390, "height": 700},
    "has_touch": True,
    "is_mobile": True,
}


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    source = tmp_path_factory.mktemp("book")
    pages = {
        "conf.py": CONF,
        "index.md": INDEX,
        "words.md": WORDS_PAGE,
        "earlier.md": EARLIER,
    }
    for name, text in pages.items():
        (source / name).write_text(text)
    out = source / "out"
    command = [sys.executable, "-m", "sphinx", "-qW", str(source), str(out)]
    subprocess.run(command, check=True)
    return out


@pytest.fixture
def opened(browser, book):
    """Open a page; a script's error or a request elsewhere is a failure."""
    contexts, wrong = [], []

    def opened(name="index", **options):
        context = browser.new_context(offline=True, **DESK | options)
        context.set_default_timeout(5000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "request",
            lambda request: (
                request.url.startswith(("file:", "data:"))
                or wrong.append(request.url)
            ),
        )
        page.goto((book / f"{name}.html").as_uri())
        page.wait_for_load_state()
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not wrong


def link(page, name):
    return page.locator("article").get_by_role("link", name=name, exact=True)


def card(page):
    return page.locator(".hover-card:popover-open")


def middle(box):
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def shows(page, text):
    card(page).wait_for(state="visible")
    assert text in card(page).inner_text()


def stays(page, count=1):
    """The card, or its absence, outlasts every delay."""
    page.wait_for_timeout(700)
    assert card(page).count() == count


def test_by_mouse(opened):
    page = opened()
    link(page, "first").hover()
    shows(page, "What is kept, once and for all")
    assert "Open in" not in card(page).inner_text()
    page.mouse.move(*middle(card(page).bounding_box()), steps=8)
    stays(page)
    page.mouse.move(5, 700)
    card(page).wait_for(state="detached")

    # passing over a link, or selecting text there, shows nothing
    link(page, "first").hover()
    page.wait_for_timeout(80)
    assert not card(page).count()
    page.mouse.move(5, 700)
    page.mouse.down()
    link(page, "first").hover()
    stays(page, 0)
    page.mouse.up()
    page.mouse.move(5, 700)

    # another link has another card
    link(page, "first").hover()
    shows(page, "What is kept")
    link(page, "gate").hover()
    page.wait_for_timeout(400)
    shows(page, "What lets through")

    # dismissed without moving, and not back until one comes again
    page.keyboard.press("Escape")
    stays(page, 0)
    page.mouse.move(5, 700)
    link(page, "gate").hover()
    shows(page, "What lets through")
    card(page).get_by_role("link", name="state").click()
    page.wait_for_url("**/words.html#term-state")


def test_by_keyboard(opened):
    page = opened()
    focused = "document.activeElement.textContent"
    link(page, "first").focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    shows(page, "What is kept")
    described = link(page, "first").get_attribute("aria-describedby")
    assert page.locator(f"#{described}").inner_text().startswith("state")
    page.mouse.move(5, 700)
    page.mouse.move(9, 700)
    stays(page)

    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "Earlier"
    shows(page, "What is kept")
    page.keyboard.press("Escape")
    stays(page, 0)
    assert page.evaluate(focused) == "first"
    assert not link(page, "first").get_attribute("aria-describedby")

    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "gate"
    shows(page, "What lets through")
    for _ in range(3):  # over the links of the card
        page.keyboard.press("Tab")
    shows(page, "A notebook")
    page.keyboard.press("Enter")
    page.wait_for_url("**/earlier.html#recap-notes")


def test_a_long_card_scrolls_by_keyboard(opened):
    page = opened(viewport={"width": 1280, "height": 400})
    link(page, "gate").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    shows(page, "A notebook")
    page.keyboard.press("Tab")
    page.keyboard.press("End")
    page.wait_for_timeout(300)
    assert card(page).evaluate("card => card.scrollTop") > 0


def test_by_finger(opened):
    page = opened(**PHONE)
    start = page.url
    link(page, "gate").tap()
    shows(page, "What lets through")
    assert page.url == start
    page.locator("article h1").tap(position={"x": 9, "y": 9})
    card(page).wait_for(state="detached")

    link(page, "gate").tap()
    card(page).get_by_role("link", name="Open in “Words”").tap()
    page.wait_for_url("**/words.html#term-gate")
    page.go_back()
    link(page, "gate").tap()
    shows(page, "What lets through")
    link(page, "gate").tap()
    page.wait_for_url("**/words.html#term-gate")


def swipe(page, x, *ys):
    touch = page.context.new_cdp_session(page)
    for y in ys:
        kind = "touchStart" if y == ys[0] else "touchMove"
        points = [{"x": x, "y": y}]
        touch.send(
            "Input.dispatchTouchEvent", {"type": kind, "touchPoints": points}
        )
    touch.send(
        "Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []}
    )


def test_scrolling_by_finger_dismisses_it_but_not_in_the_card(opened):
    page = opened(**PHONE)
    link(page, "notes").scroll_into_view_if_needed()
    link(page, "notes").tap()
    shows(page, "A notebook")
    open_it = card(page).get_by_role("link", name="Open in “Earlier”")
    frame = card(page).bounding_box()
    button = open_it.bounding_box()
    assert button["height"] >= 40
    assert button["y"] + button["height"] <= frame["y"] + frame["height"]
    x, y = middle(frame)
    swipe(page, x, y, y - 30, y - 80, y - 100)
    page.wait_for_timeout(300)
    assert card(page).evaluate("card => card.scrollTop") > 0
    outside = frame["y"] + frame["height"] + 60
    if outside > 600:
        outside = frame["y"] - 40
    swipe(page, x, outside, outside - 5, outside - 20, outside - 30)
    stays(page, 0)


NAMES = ("first", "gate", "a recap", "notes")
PLACES = """(link, y) => {
  link.scrollIntoView({behavior: "instant"});
  scrollBy({top: link.getBoundingClientRect().top - y, behavior: "instant"});
  const box = link.getClientRects()[0];
  return [box.left + 3, box.top + box.height / 2];
}"""


@pytest.mark.parametrize("options", [DESK, PHONE], ids=["desk", "phone"])
def test_it_covers_neither_its_link_nor_the_edge(opened, options):
    page = opened(**options)
    size = options["viewport"]
    above = 0
    for name, y in itertools.product(NAMES, (70, 350, 670)):
        page.keyboard.press("Escape")
        page.mouse.move(1, 1)
        to = page.locator("article a", has_text=name).first
        point = to.evaluate(PLACES, y)
        if options is PHONE:
            page.touchscreen.tap(*point)
        else:
            page.mouse.move(*point)
        card(page).wait_for(state="visible")
        box, of_link = card(page).bounding_box(), to.bounding_box()
        assert 0 <= box["x"] <= size["width"] - box["width"]
        assert 0 <= box["y"] <= size["height"] - box["height"]
        assert box["height"] > 60
        over = of_link["y"] - (box["y"] + box["height"])
        under = box["y"] - (of_link["y"] + of_link["height"])
        assert 0 <= max(over, under) < 10
        above += over > 0
        # above the header, too
        corner = [box["x"] + 4, box["y"] + 4]
        at = "p => document.elementFromPoint(...p).className"
        assert "hover-card" in page.evaluate(at, corner)
    assert 0 < above < 12


@pytest.mark.parametrize("options", [DESK, PHONE], ids=["desk", "phone"])
def test_nothing_else_moves(opened, options):
    page = opened(**options)
    places = """() => [...document.querySelectorAll("article *, header *")]
      .filter(e => !e.closest(".hover-card"))
      .flatMap(e => [...e.getClientRects()].map(r => [r.x, r.y, r.width]))"""
    size = "[document.body.scrollWidth, document.body.scrollHeight]"
    before = page.evaluate(places), page.evaluate(size)
    for name in ("first", "gate"):
        if options is PHONE:
            page.locator("article h1").tap(position={"x": 9, "y": 9})
            link(page, name).tap()
        else:
            link(page, name).hover()
        page.wait_for_timeout(400)
        assert card(page).is_visible()
        assert (page.evaluate(places), page.evaluate(size)) == before


def test_what_is_copied_around_it_has_no_card(opened):
    page = opened()
    link(page, "first").focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    shows(page, "What is kept")
    page.keyboard.press("ControlOrMeta+A")
    copied = page.evaluate("getSelection().toString()")
    assert "Some words and then, at first" in copied
    assert "What is kept" not in copied


def test_a_formula_is_set_in_a_card(opened):
    page = opened()
    link(page, "notes").hover()
    shows(page, "A notebook")
    assert card(page).locator("math").count() == 1
    font = "node => getComputedStyle(node).fontFamily"
    assert "KaTeX" in card(page).locator(".katex-html").evaluate(font)
    repeated = """() => [...document.querySelectorAll("[id]")]
      .map(node => node.id).filter((id, i, all) => all.indexOf(id) < i)"""
    assert page.evaluate(repeated) == []


def test_what_is_in_view_needs_no_card(opened):
    page = opened("words")
    inside = page.locator("dd").filter(has_text="lets through")
    inside.get_by_role("link", name="state").hover()
    stays(page, 0)
    inside.get_by_role("link", name="zebra").hover()
    shows(page, "The last of the words")


def test_it_fades_in_only_where_motion_is_welcome(opened):
    for motion, count in (("no-preference", 1), ("reduce", 0)):
        page = opened(reduced_motion=motion)
        link(page, "first").hover()
        card(page).wait_for(state="attached")
        name = card(page).evaluate("c => getComputedStyle(c).animationName")
        assert (name != "none") == bool(count)


def test_neither_in_print_nor_without_scripts(opened):
    page = opened()
    link(page, "first").hover()
    shows(page, "What is kept")
    page.emulate_media(media="print")
    assert not card(page).is_visible()

    page = opened(java_script_enabled=False)
    assert "What is kept" not in page.locator("body").inner_text()
    link(page, "first").click()
    page.wait_for_url("**/words.html#term-state")
