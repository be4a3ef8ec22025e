"""The built book on a phone: nothing is cut off.

Blocks of code, the table of parity and the index scroll in themselves.
"""

from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

HTML = Path(__file__).parents[2] / "_build" / "html"
PAGES = sorted(
    str(page.relative_to(HTML))
    for page in HTML.rglob("*.html")
    if "<article" in page.read_text() and page.name != "genindex.html"
)
CUT_OFF = """() => {
  const article = document.querySelector("article");
  const edge = article.getBoundingClientRect().right + 1;
  const parts = article.querySelectorAll(".katex-display, table, code, p");
  return [...parts]
    .filter((part) => part.offsetWidth && !part.closest("pre, .parity"))
    .filter((part) => part.getBoundingClientRect().right > edge ||
        part.matches(".katex-display, table") &&
        part.scrollWidth > part.clientWidth + 1)
    .map((part) => part.textContent.trim().slice(0, 60));
}"""


@pytest.fixture(scope="module")
def page(browser):
    page = browser.new_page(viewport={"width": 390, "height": 800})
    yield page
    page.close()


def test_the_book_is_built():
    assert PAGES, "nothing in _build/html: run `nox -s docs` first"


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_cut_off(page, name):
    page.goto((HTML / name).as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    cut = page.evaluate(CUT_OFF)
    assert not cut, f"{name}, too wide: break or shorten what reads {cut}"
