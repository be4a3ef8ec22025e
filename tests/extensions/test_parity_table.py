"""The table shows the marks of the parity tests, and only whole ones."""

import re

import pytest

MARKED = """import pytest


@pytest.mark.parity(
    ours="toy.f, toy.g",
    theirs="numpy: `sum`",
    convention="rows first",
    tolerance="1e-12",
)
@pytest.mark.parametrize("n", [1])
def test_f(n):
    pass


def test_unmarked():
    pass
"""


@pytest.fixture
def book(tiny):
    tests = tiny.root / "parity"
    tests.mkdir()
    (tests / "test_toy.py").write_text(MARKED)
    tiny.tests = tests
    tiny.configure(
        "myst_parser",
        "parity_table",
        parity_tests="../parity",
        nitpick_ignore_regex=[("py:obj", ".*")],
    )
    tiny.write("index.md", "# Parity\n\n```{parity-table}\n```\n")
    return tiny


def rows(result):
    assert result.code == 0, result.log
    cells = re.findall(r"<td>(.*?)</td>", result.html(), re.S)
    return [re.sub(r"<[^>]+>", "", cell).strip() for cell in cells]


def test_each_mark_is_a_row_and_follows_the_test(book):
    assert rows(book.build()) == [
        "toy.f, toy.g",
        "numpy: sum",
        "rows first",
        "1e-12",
    ]
    (book.tests / "test_toy.py").write_text(MARKED.replace("rows", "columns"))
    assert "columns first" in rows(book.build())


def test_a_mark_with_a_text_missing_stops_the_build(book):
    text = MARKED.replace('    tolerance="1e-12",\n', "")
    (book.tests / "test_toy.py").write_text(text)
    result = book.build()
    assert result.code == 2
    assert (
        "test_toy.py:4: ERROR: a parity mark has ours, theirs" in result.log
    )
