"""A figure with states gets a slider, and its page alone the script."""

import json
import re

import pytest

from snippets import figures


def state(n):
    diagram = figures.Diagram(2, 1)
    diagram.box(1, 0.5, f"box {n}")
    return diagram


def cell(picture, name):
    data, metadata = picture._repr_mimebundle_()
    words = {"caption": "See it move.", "name": name}
    output = {"output_type": "display_data", "data": data}
    return {
        "cell_type": "code",
        "id": name,
        "execution_count": 1,
        "source": "show",
        "metadata": {
            "mystnb": {"image": {"alt": "A moving box."}, "figure": words}
        },
        "outputs": [{**output, "metadata": metadata}],
    }


def notebook(text, *cells):
    words = {"cell_type": "markdown", "id": "title", "metadata": {}}
    return json.dumps(
        {
            "cells": [{**words, "source": text}, *cells],
            "metadata": {
                "kernelspec": {"name": "python3", "display_name": "Python 3"},
                "language_info": {"name": "python"},
            },
            "nbformat": 4,
            "nbformat_minor": 5,
        }
    )


@pytest.fixture
def book(tiny):
    tiny.configure(
        *("myst_nb", "sphinx_book_theme", "inline_figures", "sliders"),
        html_theme="sphinx_book_theme",
        numfig=True,
        nb_execution_mode="off",
    )
    words = figures.slider(
        {'a "<"': state(1), "b": state(2), 3: state(3)}, "<&>"
    )
    numbers = figures.slider({n: state(n) for n in range(4)}, "shots")
    still = figures.show(state(1))
    cells = cell(still, "one"), cell(words, "words"), cell(numbers, "numbers")
    toctree = "# Page\n\n```{toctree}\nstill\n```"
    tiny.write("index.ipynb", notebook(toctree, *cells))
    tiny.write("still.ipynb", notebook("# Still", cell(still, "two")))
    return tiny


def test_a_figure_with_states_gets_a_native_slider(book):
    result = book.build("html", "-j", "2")
    assert result.code == 0, result.log
    page = result.html()
    words, numbers = re.findall(r"<input type=\"range\"[^>]*>", page)
    assert 'min="0" max="2" value="0"' in words
    assert 'aria-valuetext="a &quot;&lt;&quot;"' in words
    assert 'max="3"' in numbers
    assert 'aria-valuetext="0"' in numbers
    ids = re.findall(r'\bid="([^"]+)"', page)
    for field, label in (words, "&lt;&amp;&gt;"), (numbers, "shots"):
        name = re.search(r'id="([^"]+)"', field)[1]
        assert ids.count(name) == 1
        assert f'<label for="{name}">{label}</label>' in page
    first_states = re.findall(r'class="shown" data-state="([^"]*)"', page)
    assert first_states == ["a &quot;&lt;&quot;", "0"]
    assert page.count('aria-label="A moving box."') == 3
    assert re.search(r'<figure[^>]* id="numbers"', page)
    assert "--width:12rem;--ratio:144/72" in page

    files = r"<(?:link|script)[^>]*slider\.(?:css|js)[^>]*>"
    style, script = re.findall(files, page)
    assert 'rel="stylesheet"' in style
    assert "defer" in script
    other = result.html("still")
    assert "book-figure" in other
    assert "slider" not in other


def test_print_gets_the_still(book):
    result = book.build("latex")
    assert result.code == 0, result.log
    [tex] = result.out.glob("*.tex")
    text = tex.read_text()
    assert text.count(".pdf}") == 4
    assert "slider" not in text
