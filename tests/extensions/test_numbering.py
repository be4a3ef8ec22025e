"""Lessons count through the book, in reading order, not file order."""

import re

import pytest


@pytest.fixture
def book(tiny):
    """Modules z then a, so that the order of reading is not the alphabet's."""
    tiny.configure(
        "myst_parser", "numbering", numfig=True, math_numfig=True
    )
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
    lessons = ["z/p", "z/q", "a/r", "a/s"]
    for n, page in enumerate(lessons, 1):
        shown = text(result.html(page))
        assert f"{n}. Lesson {page[-1]}" in shown
        assert f"{n}.1. First" in shown
        assert f"See Table {n}.1" in shown
    assert "4. Lesson s" in text(result.html("a/index"))


def test_a_new_lesson_renumbers_the_pages_after_it(book):
    book.build()
    book.write("z/new.md", "# New\n")
    page = book.source / "z/index.md"
    page.write_text(page.read_text().replace("p\nq", "new\np\nq"))
    result = book.build()
    assert "5. Lesson s" in text(result.html("a/s"))
    assert "See Table 5.1" in text(result.html("a/s"))
