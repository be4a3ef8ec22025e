"""A number that a cell glued is not typed; what only looks like it may be."""

import re

import pytest

from typed_numbers import NUMBER, digits, sentence

HEAD = """---
file_format: mystnb
kernelspec: {name: python3, display_name: Python 3}
---

# A loss of 0.847 in the title is none

```{code-cell} python
from myst_nb import glue
glue("loss", 0.8471, display=False)
glue("share", 0.3449, display=False)
glue("tokens", 12345, display=False)
glue("year", 2017, display=False)
glue("drop", -0.5678, display=False)
glue("never", 0.91, display=False)
glue("name", "none", display=False)
```

It loses {glue:text}`loss:.3f`, {glue:text}`share:.0%` of {glue:text}`tokens`
in {glue:text}`year`, and falls by {glue:text}`drop:.3f` (`0.847` in code).

"""
FAULTS = {
    "The loss is 0.847.": "0.847 is typed, .*`loss:.3f`.*, \\$0.847\\$",
    "It is right for 34% of them.": "34% is typed, .*`share:.0%`",
    "It is right for 34 percent of them.": "34 percent .*`share:.0%`",
    "After 12,345 tokens": "12,345 is typed, .*`tokens`",
    "A change of −0.568.": "0.568 is typed, .*`drop:.3f`",
    "**0.847** in bold": "0.847 is typed",
    "Right for 91% of them.": "91% is typed, .*`never:.0%`",
    "> A quote of 0.910.": "0.910 is typed, .*`never:.3f`",
    "- In a list, 0.847": "0.847 is typed",
    "```{note}\nBoxed, 0.847\n```": "0.847 is typed",
    "```{code-block}\n:caption: 34% in a caption\na\n```": "34% is typed",
    "Two lines,\nand 0.847 in the second.": "0.847 is typed",
    "0.847 stands as {cite:p}`a2020b` have it.": "0.847 is typed",
}
FINE = [
    "```{code-block}\n:caption: Shown, {glue:text}`loss:.3f`\na\n```",
    "As a formula, $0.847$, it may stand.",
    "The code says `0.847`.",
    "## The heading says 0.847",
    "In 2017 the year was typed.",
    "Others have 0.848 and 35%, 0.8471 and 34.4%.",
    "Section 0.847.1 and v0.847 are none.",
    "34 of them, or 0.34, say too little.",
    "A paper has 34% {cite:p}`a2020b`.",
]
BIB = "@misc{a2020b, author = {A}, title = {B}, year = {2020}}\n"


def test_what_is_typed_is_reported_where_it_stands(tiny):
    tiny.configure(
        *("myst_nb", "sphinxcontrib.bibtex", "typed_numbers"),
        nb_execution_mode="force",
        myst_enable_extensions=["dollarmath"],
        bibtex_bibfiles=["r.bib"],
    )
    tiny.write("r.bib", BIB)
    text = HEAD + "\n\n".join([*FAULTS, *FINE]) + "\n\n# Works\n\n"
    tiny.write("index.md", text + "```{bibliography}\n```\n")
    log = tiny.build().log
    for said, message in FAULTS.items():
        line = text.split(said)[0].count("\n") + 1
        if ":caption:" not in said:  # a caption is where its block begins
            line += said[: NUMBER.search(said).start()].count("\n")
        assert re.search(f"index.md:{line}: WARNING: {message}", log), log
    assert log.count("WARNING: ") == len(FAULTS), log


@pytest.mark.parametrize(
    ("number", "count"),
    [("0.05", 1), ("0.050", 2), ("1,200", 2), ("1,201", 4), ("57.0", 3)],
)
def test_digits_that_count(number, count):
    assert digits(number) == count


def test_a_sentence_ends_where_it_ends():
    text = "One is 1.5 here. Two, 34% of it, is 2.5. Three is @."
    two = next(n for n in NUMBER.finditer(text) if n[2])
    assert sentence(two) == "Two,  of it, is 2.5"
