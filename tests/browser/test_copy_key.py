"""A work's key is copied by a click, by Enter, or by hand without scripts."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

pytestmark = pytest.mark.slow

BOOK = Path(__file__).parents[2] / "book"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
CONF = f"""
import sys
sys.path[:0] = [{str(BOOK / "_ext")!r}, {str(BOOK)!r}]
from conf import bibtex_cite_id, bibtex_default_style, copybutton_selector
extensions = ["myst_parser", "citations", "sphinx_copybutton"]
extensions += ["sphinx_book_theme"]
html_theme = "sphinx_book_theme"
html_static_path, html_css_files = [{str(BOOK / "_static")!r}], ["book.css"]
bibtex_bibfiles = ["../references.bib"]
bibtex_reference_style = bibtex_default_style
"""
PAGE = """# Book

{cite:t}`gu2024mamba`

```{bibliography}
```

```
code
```
"""
BIB = """@misc{gu2024mamba,
  author = {Gu, Albert}, title = {Mamba}, year = {2024}, eprint = {2312.00752}
}
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    source = tmp_path_factory.mktemp("book") / "source"
    source.mkdir()
    (source / "conf.py").write_text(CONF)
    (source / "index.md").write_text(PAGE)
    source.with_name("references.bib").write_text(BIB)
    out = source.with_name("html")
    command = [sys.executable, "-m", "sphinx", "-qW", str(source), str(out)]
    subprocess.run(command, check=True)
    return (out / "index.html").as_uri()


def look(address, see, **options):
    """Open the page in Chromium, and return what is seen there."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.fail("the browser tests need Chromium or Chrome")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-gpu"]
        )
        context = chromium.new_context(**options)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = context.new_page()
        page.goto(address)
        seen = see(page)
        chromium.close()
    return seen


@pytest.mark.parametrize("how", ["click", "Enter"])
def test_one_press_copies_the_key(address, how):
    def copy(page):
        button = page.locator("code.key + button")
        button.wait_for(timeout=5000)
        assert button.evaluate("b => getComputedStyle(b).opacity") == "1"
        if how == "click":
            button.click()
        else:
            page.locator("dd a").first.focus()
            page.keyboard.press("Tab")
            page.keyboard.press("Enter")
        page.locator("button.success").wait_for(timeout=5000)
        return page.evaluate("navigator.clipboard.readText()")

    assert look(address, copy) == "gu2024mamba"


def test_a_button_of_code_is_seen_by_who_comes_by_keyboard(address):
    def opacities(page):
        button = page.locator(".highlight button.copybtn")
        button.wait_for(state="attached", timeout=5000)
        opacity = "b => getComputedStyle(b).opacity"
        before = button.evaluate(opacity)
        page.locator("code.key + button").focus()
        for _ in range(2):  # past the link to the page that cites
            page.keyboard.press("Tab")
        page.wait_for_timeout(500)
        return before, button.evaluate(opacity)

    assert look(address, opacities) == ("0", "1")


def test_without_scripts_a_key_is_text(address):
    def select(page):
        page.locator("code.key").click()
        assert page.locator("code.key + button").count() == 0
        return page.locator("code.key").inner_text()

    assert look(address, select, java_script_enabled=False) == "gu2024mamba"
