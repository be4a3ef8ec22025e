"""A function's entry names the lessons that show it or call it."""

import re

import pytest

PAGE = """---
file_format: mystnb
kernelspec: {{name: python3, display_name: Python 3}}
lesson: {{number: {number}}}
---

# Lesson {number}

{body}
"""
LISTING = """```{literalinclude} lib/snippets/toy.py
:caption: One
:pyobject: shown
```"""
CELL = """```{code-cell} python
from snippets import toy
toy.called(toy.shown())
```"""


@pytest.fixture
def book(tiny, monkeypatch):
    lib = tiny.source / "lib" / "snippets"
    lib.mkdir(parents=True)
    (lib / "__init__.py").write_text("")
    functions = ('def {}(x=1):\n    """Do {}."""\n' * 3).format(
        *("shown", "shown", "called", "called", "unused", "unused")
    )
    (lib / "toy.py").write_text(functions)
    monkeypatch.setenv("PYTHONPATH", str(lib.parent))
    tiny.configure("myst_nb", "used_in", nb_execution_mode="off")
    tiny.write("b.md", PAGE.format(number=2, body=LISTING))
    tiny.write("a.md", PAGE.format(number=10, body=CELL))
    tiny.write(
        "index.md",
        "# Code\n\n```{toctree}\nb\na\n```\n\n```{eval-rst}\n"
        ".. automodule:: snippets.toy\n   :members:\n```\n",
    )
    (tiny.source / "conf.py").write_text(
        (tiny.source / "conf.py").read_text()
        + "suppress_warnings = ['myst-nb.lexer']\n"
    )
    return tiny


def entries(result):
    text = re.sub(r"<[^>]+>", "", result.html())
    assert result.code == 0, result.log
    return dict(
        re.findall(r"Do (\w+)\.\s*(?:Used in (.*?)\.)?\s*$", text, re.M)
    )


def test_lessons_in_their_order(book):
    assert entries(book.build()) == {
        "shown": "Lesson 2, Lesson 10",
        "called": "Lesson 10",
        "unused": "",
    }
    page = book.source / "a.md"
    page.write_text(page.read_text().replace("toy.called(", "print("))
    assert entries(book.build())["called"] == ""


def test_a_lesson_that_comes_later_is_seen(book):
    book.build()
    body = PAGE.format(number=11, body=CELL)
    book.write("c.md", body.replace("---\n", "---\norphan: true\n", 1))
    assert entries(book.build())["called"] == "Lesson 10, Lesson 11"
