"""Pictures without words are reported, and our SVGs become part of a page."""

import json
import re

import pytest

from snippets import figures

SETTINGS = {
    "numfig": True,
    "html_theme": "sphinx_book_theme",
    "nb_execution_mode": "off",
}


PYTHON = {"name": "python", "pygments_lexer": "python3"}


def picture():
    fig, ax = figures.axes()
    ax.plot([0, 1], [0, 1], color=figures.ATTENTION)  # clipped: it has an id
    return figures.show(fig)


def cell(**words):
    """A code cell with a picture as its output, as the cache keeps it."""
    data, metadata = picture()._repr_mimebundle_()
    output = {"output_type": "display_data", "data": data}
    return {
        "cell_type": "code",
        "id": f"cell-{words.get('figure', {}).get('name', 'bare')}",
        "execution_count": 1,
        "source": "figures.show(fig)",
        "metadata": {"mystnb": words},
        "outputs": [{**output, "metadata": metadata}],
    }


def notebook(*cells):
    text = "# Page\n\nSee {numref}`one`."
    title = {"cell_type": "markdown", "id": "title", "metadata": {}}
    kernel = {"name": "python3", "display_name": "Python 3"}
    return json.dumps(
        {
            "cells": [{**title, "source": text}, *cells],
            "metadata": {"kernelspec": kernel, "language_info": PYTHON},
            "nbformat": 4,
            "nbformat_minor": 5,
        }
    )


GOOD = [
    cell(
        image={"alt": 'A line that "rises" < 1.'},
        figure={"caption": "It rises.", "name": name},
    )
    for name in ("one", "two")
]


@pytest.fixture
def book(tiny):
    tiny.configure("myst_nb", "inline_figures", **SETTINGS)
    return tiny


def test_our_svg_becomes_part_of_the_page(book):
    book.write("index.ipynb", notebook(*GOOD))
    result = book.build()
    assert result.code == 0, result.log
    page = result.html()
    svgs = re.findall(r"<svg[^>]*book-figure.*?</svg>", page)
    assert len(svgs) == 2
    assert "<img" not in page[page.index("<article") :]
    assert not (result.out / "_images").exists()

    opening = svgs[0][: svgs[0].index(">")]
    assert 'role="img"' in opening
    assert "A line that &quot;rises&quot; &lt; 1." in opening
    assert "width:36rem;min-width:21.6rem" in opening
    assert not re.search(r' (width|height)="', opening)

    ids = re.findall(r'\bid="([^"]+)"', "".join(svgs))
    assert ids
    assert len(set(ids)) == len(ids)
    used = re.findall(r'(?:url\(|href=")#([^)"]+)', "".join(svgs))
    assert set(used) == set(ids)

    assert re.search(r'<figure[^>]* id="one"', page)
    assert re.search(r'href="#one"[^>]*><span[^>]*>Fig. 1<', page)
    assert "figures.css" in page


def test_print_gets_the_pdf_at_the_size_of_its_text(book):
    book.write("index.ipynb", notebook(*GOOD))
    result = book.build("latex")
    assert result.code == 0, result.log
    [tex] = result.out.glob("*.tex")
    graphics = re.findall(r"includegraphics(.*)", tex.read_text())
    assert len(graphics) == 2
    for graphic in graphics:
        assert re.match(r"\[width=5(\.0+)?in\].*\.pdf\}", graphic)


LACKS = {
    "![](plate.*)": "alt text, caption, name",
    "![A plate.](plate.*)": "caption, name",
    "```{image} plate.*\n```": "alt text, caption, name",
    '```{image} plate.*\n:alt: ""\n```': "",
    "```{figure} plate.*\n:alt: A plate.\n\nSee it.\n```": "name",
    "```{figure} plate.*\n:alt: A plate.\n:name: plate\n```": "caption",
    "```{figure} plate.*\n:name: dish\n\nSee it.\n```": "alt text",
    '```{figure} plate.*\n:alt: ""\n:name: jug\n\nSee it.\n```': "alt text",
    "```{figure} plate.*\n:alt: A plate.\n:name: cup\n\nSee it.\n```": "",
    '```{image} plate.svg\n:alt: ""\n```': "PDF for print",
}


@pytest.mark.parametrize("builder", ["html", "latex"])
def test_pictures_without_words_are_reported(book, builder):
    page, expected = "# Index\n\n```{toctree}\ncells\n```\n", {}
    for source, lacks in LACKS.items():
        page += "\n"
        line = page.count("\n") + 1
        if lacks:
            expected[line] = lacks
        page += source + "\n"
    book.write("index.md", page)
    book.write("plate.svg", picture().svg)
    (book.source / "plate.pdf").write_bytes(picture().pdf)
    bare = cell(image={"alt": "A line."})
    book.write("cells.ipynb", notebook(*GOOD, bare))
    result = book.build(builder, "--keep-going")
    assert result.code == 1
    found = re.findall(
        r"index\.md:(\d+): WARNING: a picture without ([a-zA-Z, ]+): write a "
        r"\{figure\}",
        result.log,
    )
    assert {int(line): lacks for line, lacks in found} == expected
    assert result.log.count("a picture without") == len(expected) + 1
    message = "a picture without caption, name: end the cell with figures.sh"
    assert re.search(rf"cells\.ipynb:\d+: WARNING: {message}", result.log)


def test_the_report_comes_from_the_cache_of_runs_too(book):
    settings = {**SETTINGS, "nb_execution_mode": "cache"}
    settings["nb_execution_cache_path"] = str(book.root / "cache")
    book.configure("myst_nb", "inline_figures", **settings)
    book.write(
        "index.md",
        "---\nfile_format: mystnb\n"
        "kernelspec: {name: python3, display_name: Python 3}\n---\n"
        "# Page\n\n```{code-cell} python\n"
        "from snippets import figures\n"
        "figures.show(figures.Diagram())\n```\n",
    )
    for run in book.build(), book.build("html", "-E"):
        assert run.code == 1
        assert "a picture without alt text, caption, name" in run.log


def test_only_our_svgs_are_inlined_and_they_from_any_place(book):
    book.write("ours.svg", picture().svg)
    book.write("cup.svg", '<svg xmlns="http://www.w3.org/2000/svg"/>')
    page = "# A\n"
    for name in "ours", "cup":
        (book.source / f"{name}.pdf").write_bytes(picture().pdf)
        page += f'\n```{{image}} {name}.*\n:alt: ""\n```\n'
    book.write("index.md", page)
    result = book.build()
    assert result.code == 0, result.log
    assert re.search(r'<img[^>]*src="_images/cup.svg"', result.html())
    assert result.html().count('class="book-figure"') == 1
