"""Each gate fails on a real lesson with its fault planted, at its line."""

import re
from pathlib import Path

import pytest

import lesson_lint
import lesson_page
from lesson_measures import MARKS, measure, table

ROOT = Path(__file__).parents[2]
REASONING = ROOT / "book/reasoning/in-context-learning.md"
FRONTIERS = ROOT / "book/frontiers/subquadratic-architectures.md"
LESSONS = lesson_lint.lessons(ROOT / "book")

# what is planted (a pattern and its replacement), the message, and a text
# that stands in the line it names; without one, the first planted line
FAULTS = {
    "a fixed heading is gone": (
        ("## In practice", "## What lasts"),
        "no heading `## In practice`: write it before `## Read the paper`",
        "## Read the paper",
    ),
    "the last heading is gone": (
        ("## References\n", "## Works\n"),
        "no heading `## References`: write it at the end",
        "```{lesson-references}",
    ),
    "fixed headings are swapped": (
        ("## In practice", "## What it costs, where it breaks", "swap"),
        "`## In practice` stands before `## What it costs, where it breaks`:"
        " swap them",
    ),
    "a heading in title case": (
        ("### Where the ability comes from", "### Where the Ability Comes"),
        "a heading with capitals (Ability, Comes): write it as a sentence",
    ),
    "a figure without alt text": (
        (r"    alt: Share of right.*", "    scale: 1"),
        "a figure without alt text: write mystnb: image: alt and figure:"
        " caption, name into its cell",
        "```{code-cell} ipython3",
    ),
    "a figure without caption": (
        (r"    caption: Without examples.*\n", ""),
        "a figure without caption: write ",
        "```{code-cell} ipython3",
    ),
    "a figure without name": (
        (r"    name: fig-shots\n", ""),
        "a figure without name: write ",
        "```{code-cell} ipython3",
    ),
    "no order to read in": (
        ("in this order: abstract", "from abstract"),
        "a reading guide without an order: write `Read ... in this order:"
        " ...`",
        "## Read the paper",
    ),
    "a table of three columns": (
        (r"(?m)^\|(.*)\|[^|\n]*\|$", r"|\1|"),
        "a reading guide without a table of 4 columns: paper, here, our code,"
        " field's code",
        "## Read the paper",
    ),
    "two questions": (
        (r"3\. §3: with more layers.*\n", ""),
        "a reading guide without three questions, but 2: number them, and"
        " end each with a question mark",
        "## Read the paper",
    ),
    "no misreading": (
        ("The usual misreading", "What people say"),
        "a reading guide without a misreading: say `The usual misreading is",
        "## Read the paper",
    ),
    "an exercise without solution": (
        (r"```\{solution\} ex-query\n", "```{note}\n"),
        "the exercise ex-query has no solution: write {solution} ex-query"
        " below it",
        "```{exercise} The query among the keys",
    ),
    "a solution that is open": (
        (r"(\{solution\} ex-query\n):class: dropdown\n", r"\1"),
        "the solution of ex-query is open: add `:class: dropdown`",
        "```{solution} ex-query",
    ),
    "too few exercises": (
        (r"(?s)```\{exercise\} One layer.*\n```\n\n(?=## Take)", ""),
        "3 exercises: make it 4 to 6",
        "## Check yourself",
    ),
    "nothing to predict": (
        ("Predict, then run: the same", "The same"),
        'no exercise to predict: title one "Predict, then run: ..."',
        "## Check yourself",
    ),
    "nothing of the paper to read": (
        ("} Read a figure", "} A figure"),
        'no exercise on the paper\'s results: title one "Read a table" or'
        ' "Read a figure"',
        "## Check yourself",
    ),
    "no answer checks itself": (
        (r"icl\.check_next_heads\(", "icl.next_heads("),
        "no answer that checks itself: write a function check_... in"
        " snippets and call it in an exercise",
        "## Check yourself",
    ),
    "too few takeaways": (
        (r"- (Recognition comes|A previous-token|The effect).*\n", ""),
        "2 takeaways: keep 3 to 6, as a list",
        "## Takeaways",
    ),
    "an exclamation mark": (
        (r"Look at it with a new eye\.", "Look at it with a new eye!"),
        "an exclamation mark: end with a full stop",
    ),
    "one in a caption": (
        ("The last step undoes it.", "The last step undoes it!"),
        "an exclamation mark: end with a full stop",
        "```{code-cell} ipython3",
    ),
    "an em dash": (
        ("Right is the model", "Right—at last—is the model"),
        "a dash: make it a comma, a colon or two sentences",
    ),
    "an announcement": (
        ("This lesson takes a real", "In this lesson we will take a real"),
        '"In this lesson we will": take it out, and say the thing',
    ),
    "a wide line of code": (
        (
            "(?<=    )order = examples.*",
            "order = " + "examples + " * 9 + "[]",
        ),
        "a line of code of 113 columns: break it at 78: order = examples +"
        " examples + ...",
    ),
}


def planted(text: str, pattern: str, new: str, *swapped: str) -> str:
    """The text with the fault, which must be there to plant it."""
    if swapped:
        text = text.replace(pattern, "## SWAPPED").replace(new, pattern)
        return text.replace("## SWAPPED", new)
    result, count = re.subn(pattern, new, text)
    assert count
    return result


def line_that_changed(old: str, new: str, near: str) -> int:
    """The first changed line, or the nearest `near` around it."""
    before, after = old.splitlines(), new.splitlines()
    pairs = enumerate(zip(before, after, strict=False), 1)
    changed = next(n for n, (was, now) in pairs if was != now)
    lines = [n for n, line in enumerate(after, 1) if line.startswith(near)]
    if not near:
        return changed
    return min(lines, key=lambda n: (abs(n - changed), n))


@pytest.mark.parametrize("page", LESSONS, ids=lambda page: page.stem)
def test_the_book_passes(page):
    assert lesson_lint.faults(page) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_the_only_one_and_in_its_line(
    fault, tmp_path, capsys
):
    change, message, *near = FAULTS[fault]
    old = REASONING.read_text()
    new = planted(old, *change)
    page = tmp_path / "book" / "reasoning" / REASONING.name
    page.parent.mkdir(parents=True)
    (tmp_path / "src").symlink_to(ROOT / "src")
    page.write_text(new)
    assert lesson_lint.main([], tmp_path) == 1
    said = capsys.readouterr().err.splitlines()
    lines = {}
    for text in said:
        place, line, what = text.split(":", 2)
        assert place == "book/reasoning/in-context-learning.md"
        lines.setdefault(what.strip(), int(line))
    assert [what[: len(message)] for what in lines] == [message]
    assert [*lines.values()] == [line_that_changed(old, new, *near or [""])]


def test_a_wide_line_of_a_listing_is_reported(tmp_path):
    source = tmp_path / "m.py"
    source.write_text(f"def f():\n    return {'1 + ' * 30}1\n")
    page = tmp_path / "page.md"
    listing = "```{literalinclude} m.py\n:pyobject: f\n```\n"
    page.write_text(f"# Title\n\n{listing}")
    blocks = lesson_page.read(page)
    ((line, message),) = lesson_lint.wide_lines(page, blocks)
    assert line == 3
    assert message.startswith("a line of code of 132 columns")


def test_what_is_folded_removed_or_quoted_may_be_as_it_is(tmp_path):
    wide = "x = " + "1 + " * 30 + "1"
    page = tmp_path / "page.md"
    page.write_text(
        "# Title\n\n"
        f"```{{code-cell}} python\n:tags: [remove-cell]\n{wide}\n```\n\n"
        "```{code-cell} python\n---\ntags: [hide-input]\n---\n"
        f"{wide}\n```\n\n"
        'They say "Let it work!" and "a — b", $n!$, `a != b`.\n'
    )
    blocks = lesson_page.read(page)
    assert [*lesson_lint.wide_lines(page, blocks)] == []
    assert [*lesson_lint.tone(blocks)] == []


def test_a_proper_name_keeps_its_capital(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A Title\n\n## What Mamba does: Selection, in a word\n")
    assert [*lesson_lint.sentence_case(lesson_page.read(page))] == []


def test_the_instruments_count_what_a_hand_count_counts(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "---\nlesson: {number: 1, anchor: a2020b}\n---\n\n# Title\n\n"
        "One two three. Four $x^2$ six {cite:p}`c2021d`.\n\n"
        "```{note}\nThis is a box.\n```\n\n"
        "$$\nx = 1\n$$ (eq-x)\n\n"
        "## Read\n\nSeven eight.\n\n"
        "```{code-cell} python\n:tags: [remove-cell]\na = 1\n```\n\n"
        "Nine.\n\n"
        "```{code-cell} python\nb = 2\nfigures.show(fig)\n```\n\n"
        "```{exercise} Why\n:label: ex\n\nSay why.\n```\n\n"
        "```{solution} ex\n:class: dropdown\n\nMany words here.\n```\n\n"
        "WRITE WHAT COMES\n"
    )
    got = measure(page)
    assert got.keys() == MARKS.keys()
    assert got == {
        "words": 6 + 4 + 3 + 2 + 3,
        "sentence": 3,
        "1st figure": 13,
        "run": 6,
        "cells": 1,
        "cell lines": 2,
        "code": 2,
        "equations": 1,
        "papers": 2,
        "figures": 1,
        "exercises": 1,
        "to write": 1,
    }


def test_the_table_has_a_star_where_a_number_is_off_its_mark():
    head, marks, row, _ = table([REASONING, FRONTIERS]).splitlines()
    assert len({len(line) for line in (head, marks, row)}) == 1
    for name, cell in zip(MARKS, row.split()[1:], strict=True):
        least, most = MARKS[name]
        value = int(cell.rstrip("*"))
        off = value < least or (most is not None and value > most)
        assert cell.endswith("*") == off, name
