"""Lessons have the numbers they declare, whatever is missing."""

import re

import pytest

NUMBERS = {"z/p": 3, "z/q": 4, "a/r": 9, "a/s": 17}


@pytest.fixture
def book(tiny):
    """Modules z then a: the order of reading is not the alphabet's."""
    tiny.configure("myst_parser", "numbering", numfig=True, math_numfig=True)
    tiny.write("index.md", "# Book\n\n```{toctree}\nz/index\na/index\n```\n")
    for module, lessons in {"z": "pq", "a": "rs"}.items():
        toctree = "\n".join(lessons)
        tiny.write(
            f"{module}/index.md",
            f"# {module}\n\n```{{toctree}}\n:numbered: 2\n\n{toctree}\n```\n",
        )
        for lesson in lessons:
            tiny.write(
                f"{module}/{lesson}.md",
                "---\nlesson: {number: "
                f"{NUMBERS[f'{module}/{lesson}']}}}\n---\n"
                f"# Lesson {lesson}\n\n## First\n\n"
                f"```{{table}} T\n:name: t-{lesson}\n\n"
                f"| x |\n|---|\n| 1 |\n```\n\nSee {{numref}}`t-{lesson}`.\n",
            )
    return tiny


def text(html):
    return re.sub(r"<[^>]+>", "", html)


def test_chapters_sections_and_tables(book):
    result = book.build()
    assert result.code == 0, result.log
    for page, n in NUMBERS.items():
        shown = text(result.html(page))
        assert f"{n}. Lesson {page[-1]}" in shown
        assert f"{n}.1. First" in shown
        assert f"See Table {n}.1" in shown
    assert "17. Lesson s" in text(result.html("a/index"))


def test_numbers_must_rise(book):
    book.build()
    page = book.source / "a/r.md"
    page.write_text(page.read_text().replace("number: 9", "number: 4"))
    result = book.build()
    assert result.code == 1
    assert "r.md:1: WARNING: a lesson needs a number above" in result.log
    page.write_text(page.read_text().replace("number: 4", "number: 5"))
    result = book.build()
    assert "See Table 5.1" in text(result.html("a/r"))
    assert "5. Lesson r" in text(result.html("a/index"))
