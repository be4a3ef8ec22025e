"""Formulas: set at build time, numbered, copied as TeX, or refused."""

import html
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from build_time_math import typeset

STATIC = Path(__file__).parents[2] / "book" / "_static"
MACROS = {r"\R": r"\mathbb{R}", r"\KL": r"D(#1 \,\|\, #2)"}
SETTINGS = {
    "numfig": True,
    "math_numfig": True,
    "numfig_secnum_depth": 1,
    "math_eqref_format": "Equation {number}",
    "myst_enable_extensions": ["amsmath", "dollarmath"],
    "html_static_path": [str(STATIC)],
    "math_macros": MACROS,
}
LESSON = r"""# A lesson

## Heads of size $d_k$

Let $x \in \R^d$ and see {eq}`loss`.

$$
a < b \text{ or "c"} \\
\KL{p}{q} = \sum_i p_i \log\frac{p_i}{q_i}
$$ (loss)

\begin{align*}
a &= b
\end{align*}
"""
NOTEBOOK = r"""{"nbformat": 4, "nbformat_minor": 5,
"metadata": {"language_info": {"name": "python", "pygments_lexer": "python"},
  "kernelspec": {"name": "python3", "display_name": "Python"}},
"cells": [
  {"cell_type": "markdown", "id": "a", "metadata": {}, "source": "# Title"},
  {"cell_type": "code", "id": "b", "metadata": {}, "source": "1",
   "execution_count": 1, "outputs": [
    {"output_type": "display_data", "metadata": {},
     "data": {"text/latex": "$$\\R^2$$"}},
    {"output_type": "display_data", "metadata": {},
     "data": {"text/markdown": "as $\\R^3$"}}]}]}"""


@pytest.fixture
def book(tiny):
    """Eight pages: from six on, Sphinx works in parallel."""
    tiny.configure("myst_parser", "build_time_math", **SETTINGS)
    pages = ["plain", *(f"p{n}" for n in range(6))]
    toctree = "\n".join(["```{toctree}", ":numbered:", "", *pages, "```"])
    tiny.write("index.md", f"# Book\n\n{toctree}\n")
    tiny.write("plain.md", "# A page\n\nNo formula: \\$5.\n")
    for name in pages[1:]:
        tiny.write(f"{name}.md", LESSON.replace("loss", f"{name}-loss"))
    return tiny


def test_page(book):
    result = book.build()
    assert result.code == 0, result.log
    page = result.html("p3")
    assert page.count('class="katex-html" aria-hidden="true"') == 5  # seen
    assert page.count("<math") == 5  # heard: two headings, three in the text
    assert page.count("<mtable") == 2  # rows, in the block and in align*
    # p3 is the fifth page of the toctree
    assert '<span class="eqno">(5.1)<a' in page
    assert 'tabindex="0" role="group" aria-label="Equation 5.1"' in page
    assert re.search(r'href="#equation-p3-loss"[^>]*>Equation 5\.1</a>', page)
    # a copy has what the author wrote
    copied = map(html.unescape, re.findall('data-tex="([^"]*)"', page))
    block = LESSON[LESSON.index("$$") : LESSON.index(" (loss)")]
    assert {r"$x \in \R^d$", block} <= set(copied)
    # a page loads what its formulas need
    loaded = re.findall(r'(?:src|href)="_static/katex/([^"?]*)', page)
    assert sorted(loaded) == ["copy.js", "katex.min.css", "layout.css"]
    assert all((STATIC / "katex" / name).is_file() for name in loaded)
    assert "mathjax" not in page.replace("mathjax_ignore", "").lower()
    assert "katex" not in result.html("plain")


def test_every_font_of_the_styles_is_there():
    styles = STATIC / "katex" / "katex.min.css"
    fonts = set(re.findall(r"url\((.*?)\)", styles.read_text()))
    there = (STATIC / "katex" / "fonts").iterdir()
    assert fonts == {f"fonts/{font.name}" for font in there}


def test_builds_are_the_same_in_parallel_too(book):
    def pages(*options):
        result = book.build("html", "-E", "-a", *options)
        assert result.code == 0, result.log
        return {page: page.read_bytes() for page in result.out.glob("*.html")}

    assert pages() == pages("-j2")


@pytest.mark.parametrize(
    ("tex", "mathml"),
    [
        (r"\frac{a}{b}", "<mfrac><mi>a</mi><mi>b</mi></mfrac>"),
        (r"x_i^n", "<msubsup><mi>x</mi><mi>i</mi><mi"),
        (r"\sqrt{d}", "<msqrt><mi>d</mi></msqrt>"),
        (r"\R", ">ℝ</mi>"),
        (r"\mathcal{L}", ">ℒ</mi>"),
        (r"\mathbf{W}", ">𝐖</mi>"),
        (r"\hat{y}", "<mover><mi>y</mi>"),
        (r"\underbrace{x}_{n}", "⏟"),
        (r"\begin{cases} 1 & x \\ 0 \end{cases}", "<mtable"),
        (r"\begin{bmatrix} 1 & 0 \\ 0 & 1 \end{bmatrix}", "<mtable"),
        (r"\begin{aligned} a &= b \\ &= c \end{aligned}", "<mtable"),
        (r"\operatorname{softmax}(z)", ">softmax</mi>"),
        (r"\text{if } x > 0", "<mtext>if"),
    ],
)
def test_notation_of_the_field_is_heard_as_meant(tex, mathml):
    assert mathml in typeset(tex, True, MACROS)


@pytest.mark.parametrize("display", [False, True])
def test_only_the_last_part_clings_to_what_follows(display):
    formula = ElementTree.fromstring(typeset("a = b + c", display, MACROS))
    parts = formula.find(".//span[@class='katex-html']")
    assert [part.get("class") for part in parts] == [
        "katex-base",
        "katex-base",
        "cling",
    ]


def test_a_wrong_formula_is_a_warning_with_its_line(tiny):
    wrong = {
        "# Cost $n$": "a page's title",
        r"$\foo{x}$": r"`\foo{x}` can't be set: Undefined control sequence",
        r"$\frac{a}{$": r"`\frac{a}{` can't be set: Unexpected end",
        r"$\mathbb{R}^é$": "can't be set: LaTeX-incompatible input",
        r"$\mathbb{1}[x]$": r"\mathbf{1} is the indicator",
        "$$\n\\left( x\n$$ (left)": "can't be set: Expected '\\right'",
        "\\begin{align}\na\n\\end{align}": "a random label",
        "text\n$$\nx\n$$": "a stray $",
        "$$\nnever closed": "a stray $",
    }
    tiny.configure("myst_parser", "build_time_math", "math_lint", **SETTINGS)
    source = "\n\n".join(wrong)
    tiny.write("index.md", source)
    result = tiny.build()
    assert result.code == 1
    for tex, complaint in wrong.items():
        line = source[: source.index(tex)].count("\n") + 1
        warning = rf"index\.md:{line}: WARNING: .*{re.escape(complaint)}"
        assert re.search(warning, result.log), (warning, result.log)


def test_latex_has_the_macros_and_bookmarks_without_math(book):
    result = book.build("latex")
    assert result.code == 0, result.log
    tex = next(result.out.glob("*.tex")).read_text()
    assert r"\newcommand{\R}{\mathbb{R}}" in tex
    assert r"\newcommand{\KL}[2]{D(#1 \,\|\, #2)}" in tex
    heading = r"size \texorpdfstring{\protect\(d_k\protect\)}{d\_k}}"
    assert heading in tex


def test_outputs_of_cells_are_set_too(tiny):
    settings = {
        "nb_render_markdown_format": "myst",
        "nb_execution_mode": "off",
    }
    tiny.configure("myst_nb", "build_time_math", **SETTINGS, **settings)
    tiny.write("index.ipynb", NOTEBOOK)
    result = tiny.build()
    assert result.code == 0, result.log
    assert result.html().count(">ℝ</mi>") == 2
