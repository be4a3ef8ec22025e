"""The facts line says what the front matter says."""

import re

import pytest

PAGE = """---
file_format: mystnb
kernelspec: {name: python3, display_name: Python 3}
lesson:
  {number: 1, minutes: 45, anchor: gu2024mamba, snippets: [],
   checked: 2026-11}
---

# Title

```{lesson-facts}
```
"""
BIB = """@article{gu2024mamba,
  author = {Gu, Albert and Dao, Tri}, title = {Mamba}, journal = {J},
  year = {2024}
}
"""


@pytest.fixture
def book(tiny):
    tiny.configure(
        "myst_nb",
        "sphinxcontrib.bibtex",
        "lesson",
        nb_execution_mode="off",
        bibtex_bibfiles=["references.bib"],
    )
    tiny.write("references.bib", BIB)
    tiny.write(
        "index.md",
        "# Module 5.5: Frontiers\n\n```{toctree}\npage\n```\n\n"
        "```{bibliography}\n```\n",
    )
    tiny.write("page.md", PAGE)
    return tiny


def test_the_line(book):
    result = book.build()
    assert result.code == 0, result.log
    line = re.search(r'class="lesson-facts.*?</p>', result.html("page"), re.S)
    text = re.sub(r"<[^>]+>", "", line[0])
    for fact in ("Module 5.5: Frontiers", "45 minutes", "Dao", "2026-11"):
        assert fact in text
    assert "2026-11 · notebook" in text
    notebook = re.search(r'href="(_downloads/[^"]+/page\.ipynb)"', line[0])
    assert (result.out / notebook[1]).is_file()


def test_a_missing_fact_is_named(book):
    book.write("page.md", PAGE.replace("minutes: 45, ", ""))
    result = book.build()
    assert result.code == 1
    assert "page.md:11: ERROR" in result.log
    assert "missing or unknown: minutes" in result.log
