"""The book on paper has the structure and the numbers of the HTML."""

import hashlib
import html
import os
import re
import runpy
import shutil
import subprocess
from pathlib import Path

import pytest

from latex_log import problems

BOOK = Path(__file__).parents[2] / "book"
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
    "0000000a49444154789c63f80f00010101001bb6ee560000000049454e44ae426082"
)

INDEX = """# Book

Only on the site.

```{toctree}
preface
first/index
second/index
notes
```
"""
REFERENCES = """
References: {numref}`three`, {numref}`left`, {numref}`dot`, {numref}`costs`,
{numref}`line`, {eq}`law`, {numref}`task`, {numref}`other`,
{numref}`late-dot`, {eq}`late-law`.
"""
MODULE = """# Module {number}: {name}

Opening.

```{{toctree}}
:numbered: 2

lesson
```

Planned lessons.
"""
LESSON = """---
file_format: mystnb
kernelspec: {name: python3, display_name: Python 3}
language_info: {name: python, pygments_lexer: python3}
lesson: {number: NUMBER}
---

(NAME)=
# Lesson NAME
"""
FIRST = """
## Opening

```{exercise} Another
:label: other

Think.
```
"""
SECOND = """
(left)=
## Where we left off

```{figure} dot.png
:name: dot
:alt: a dot

A dot.
```

```{list-table} Costs
:name: costs
:header-rows: 1

* - well-known state-of-the-art mechanism
  - cost
  - where it is used in practice today, and by whom
* - attention
  - $O(n^2)$
  - nearly everywhere, with long-range sliding-window variations in between
```

```{code-block} python
:name: line
:caption: A line of 78 columns: α ≤ β → γ ✓ × 🙂
# αβγ 3456789 123456789 123456789 123456789 123456789 123456789 123456789 1234
```

$$
\\bar{A}_t = \\exp(\\Delta A) \\in \\mathbb{R}^{N \\times N}
$$ (law)

```{margin} A note
In the margin on the site, in the text on paper.
```

### Deeper

```{code-cell} python3
:tags: [hide-input]
plot_code()
```

```{code-cell} python3
shown_code()
```

## Check yourself

```{exercise} The task
:label: task

Do it, see <https://example.org/a/very/long/path/with-many-parts/that-is-long>.
```

```{solution-start} task
:label: task-solution
:class: dropdown
```

Done, in code:

```{code-cell} python3
solution_code()
```

```{solution-end}
```

## Takeaways

Take away.
"""
NOTES = """# Notes

## On letters

```{figure} second/dot.png
:name: late-dot

Another dot.
```

$$
a = b
$$ (late-law)

```{glossary}
law
    What holds.
```
"""


@pytest.fixture
def book(tiny):
    """Two modules with a lesson each, chapters 3 and 17; set as the book."""
    settings = {
        name: setting
        for name, setting in runpy.run_path(str(BOOK / "conf.py")).items()
        if re.match("latex_|numfig|math_(numfig|eqref)", name)
    }
    files = [str(BOOK / name) for name in settings["latex_additional_files"]]
    document = ("index", "book.tex", "A Book", "Its Authors", "manual", True)
    settings |= {
        "latex_additional_files": files,
        "latex_documents": [document],
        "myst_enable_extensions": ["dollarmath"],
        "nb_execution_mode": "off",
        "release": "1.0",
    }
    tiny.configure(
        *("myst_nb", "sphinx_book_theme", "sphinx_exercise"),
        *("build_time_math", "numbering", "printed", "paper_order"),
        **settings,
    )
    tiny.write("index.md", INDEX)
    tiny.write("preface.md", f"# Preface\n{REFERENCES}")
    tiny.write("notes.md", f"{NOTES}{REFERENCES}")
    for number, name, folder, text in (
        (3, "three", "first", FIRST),
        (17, "seventeen", "second", SECOND),
    ):
        module = MODULE.format(number=f"5.{number}", name=folder.title())
        tiny.write(f"{folder}/index.md", module)
        head = LESSON.replace("NUMBER", str(number)).replace("NAME", name)
        tiny.write(f"{folder}/lesson.md", head + text + REFERENCES)
        (tiny.source / folder / "dot.png").write_bytes(PIXEL)
    return tiny


def latex(book) -> str:
    result = book.build("latex")
    assert result.code == 0, result.log
    return (result.out / "book.tex").read_text()


def references_in_html(page: str) -> str:
    text = html.unescape(re.sub(r"<[^>]+>", "", page))
    return " ".join(text[text.index("References:") :].split(".\n")[0].split())


def numbers(tex: str) -> dict[str, str]:
    """The number of each label, by LaTeX's rule: what was counted last."""
    found, chapter, current = {}, 0, ""
    for command, what, number, label in re.findall(
        r"\\(setnumber|setcounter)\{(chapter|section|\w+)\}\{([\d.]+)\}"
        r"|\\label\{(?:\\detokenize\{)?([^{}]+)\}",
        tex.replace(r"\setlabel", r"\setnumber{exercise}"),
    ):
        if command == "setnumber":
            current = number
        elif what == "chapter":
            chapter = int(number) + 1
            current = str(chapter)
        elif what == "section":
            current = f"{chapter}.{int(number) + 1}"
        elif label:
            found[label] = current
    return found


def references_in_latex(tex: str) -> list[str]:
    """Each paragraph of references as it will be printed."""
    found = numbers(tex)
    tex = re.sub(r"\\detokenize\{([^{}]+)\}", r"\1", tex)
    tex = re.sub(r"\\ref\{([^{}]+)\}", lambda ref: found[ref[1]], tex)
    tex = re.sub(r"\\hyperref\[[^]]+\]\{([^{}]+)\}", r"\1", tex)
    texts = tex.split("References:")[1:]
    return [
        " ".join(f"References:{text}".split(".\n")[0].split())
        for text in texts
    ]


def test_numbers_are_those_of_the_html(book):
    tex = latex(book)
    result = book.build("html")
    assert result.code == 0, result.log
    pages = ["preface", "first/lesson", "second/lesson", "notes"]
    in_html = [references_in_html(result.html(page)) for page in pages]
    assert references_in_latex(tex) == in_html
    assert in_html[0] == (
        "References: Section 3, Section 17.1, Figure 17.1, Table 17.1, "
        "Listing 17.1, Equation 17.1, Exercise 17.1, Exercise 3.1, "
        "Figure 1, Equation 1"
    )


def test_modules_are_parts_and_only_lessons_have_numbers(book):
    headings = re.findall(
        r"\\(part|chapter|section|subsection|unnumbered\{\w+\}|backtoroot)"
        r"(?:\{(.+)\})?\n",
        latex(book),
    )
    assert headings == [
        ("unnumbered{chapter}", "Preface"),
        ("unnumbered{part}", "Module 5.3: First"),
        ("chapter", "Lesson three"),
        ("section", "Opening"),
        ("backtoroot", ""),
        ("unnumbered{part}", "Module 5.17: Second"),
        ("chapter", "Lesson seventeen"),
        ("section", "Where we left off"),
        ("unnumbered{subsection}", "Deeper"),
        ("section", "Check yourself"),
        ("section", "Takeaways"),
        ("unnumbered{section}", "Solutions"),
        ("backtoroot", ""),
        ("unnumbered{chapter}", "Notes"),
        ("unnumbered{section}", "On letters"),
    ]


def test_the_order_is_that_of_a_book(book):
    tex = latex(book)
    in_order = [
        r"\unnumbered{part}{Module 5.17",
        "Planned lessons.",
        "shown",
        r"\solutionpage{\detokenize{second/lesson:task-solution}}",
        "Take away.",
        r"\unnumbered{section}{Solutions}",
        r"\label{\detokenize{second/lesson:task-solution}}\solution",
        "Done, in code:",
        "solution",
        r"\unnumbered{chapter}{Notes}",
    ]
    at = 0
    for text in in_order:
        assert text in tex[at:], text
        at = tex.index(text, at)
    assert r"plot\PYGZus{}code" not in tex
    assert "Only on the site." not in tex
    assert r"\label{\detokenize{second/lesson:task}}" in tex
    assert r"\hyperref[\detokenize{second/lesson:task}]{\sphinx" in tex


def outline(pdf: Path) -> str:
    """The outline of a PDF, a line an entry, indented."""
    command = ["pdftohtml", "-xml", "-i", "-stdout", str(pdf)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    entries, depth = [], -1
    for line in run.stdout.split("<outline>", 1)[1].splitlines():
        depth += line.count("<outline>") - line.count("</outline>")
        if found := re.search(r"<item page=\"\d+\">(.+)</item>", line):
            entries.append("  " * (depth + 1) + found[1])
    return "\n".join(entries)


OUTLINE = """\
Preface
Module 5.3: First
  3 Lesson three
    3.1 Opening
Module 5.17: Second
  17 Lesson seventeen
    17.1 Where we left off
      Deeper
    17.2 Check yourself
    17.3 Takeaways
    Solutions
Notes
  On letters
Index"""


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("latexmk"), reason="needs LaTeX")
def test_typeset(book, tmp_path):
    tex = latex(book)
    made = []
    for copy in ("one", "another"):
        folder = tmp_path / copy
        shutil.copytree(book.root / "latex", folder)
        environment = {**os.environ, "SOURCE_DATE_EPOCH": "1795000000"}
        run = subprocess.run(
            ["latexmk"], cwd=folder, env=environment, capture_output=True
        )
        log = (folder / "book.log").read_text()
        assert run.returncode == 0, log[-3000:]
        assert problems(log, tex) == []
        made.append((folder / "book.pdf").read_bytes())
    assert (
        hashlib.sha256(made[0]).digest() == hashlib.sha256(made[1]).digest()
    )

    pdf = tmp_path / "one" / "book.pdf"
    assert outline(pdf) == OUTLINE
    tools = {"fonts": ["pdffonts", pdf], "text": ["pdftotext", pdf, "-"]}
    said = {
        name: subprocess.run(command, capture_output=True, text=True).stdout
        for name, command in tools.items()
    }
    fonts = said["fonts"].splitlines()[2:]
    assert fonts
    assert all(re.search(r" yes (yes|no) +(yes|no) ", f) for f in fonts)
    printed = " ".join(said["text"].split())
    assert printed.count(references_in_latex(tex)[0]) == 4
    assert "6789 1234" in said["text"]  # 78 columns, unbroken
    assert "α ≤ β → γ ✓ ×" in printed
