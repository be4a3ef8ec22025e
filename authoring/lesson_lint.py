"""Hold the lessons to what can be checked of how a lesson is made.

Gates fail: a fault is one line, `book/module/slug.md:LINE: what: what to do`.
Instruments only measure; the best pages of the field lie near their marks,
and a page may be right to differ. What needs the cells to have run, and what
Sphinx knows better (unknown terms, citations, recaps), the build checks.

    python authoring/lesson_lint.py [PAGE ...]
"""

import ast
import re
import statistics
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "book" / "_ext"))

from lesson import front_matter  # noqa: E402
from lesson_page import Block, read  # noqa: E402
from references import citations  # noqa: E402

Fault = tuple[int, str]

FIXED = (
    "Where we left off",
    "What it costs, where it breaks",
    "In practice",
    "Read the paper",
    "Check yourself",
    "Takeaways",
    "References",
)
COLUMNS = 78
QUOTED = re.compile(r"\"[^\"\n]*\"|“[^”\n]*”")
ANNOUNCING = re.compile(
    r"\b(in this (lesson|chapter|section),? (we|you|i)( will|'ll)|"
    r"this (lesson|chapter|section) will)\b",
    re.IGNORECASE,
)
MAKES_FIGURE = re.compile(r"\bfigures\.(show|slider)\(")
CHECK_CALL = re.compile(r"\bcheck_\w+\(")
# in templates, what an author has to write stands in capitals
PLACEHOLDER = re.compile(r"\b[A-Z']{2,}(?: [A-Z']+){2,}")


def part(blocks: list[Block], heading: str) -> list[Block]:
    return [block for block in blocks if block.section == heading]


def headings(blocks: list[Block]) -> Iterator[Fault]:
    """The fixed headings, each once, in their order."""
    lines = {b.text: b.line for b in blocks if b.name == "h2"}
    last = blocks[-1].line
    for heading in FIXED:
        if heading not in lines:
            later = FIXED[FIXED.index(heading) + 1 :]
            behind = next((h for h in later if h in lines), None)
            where = f"before `## {behind}`" if behind else "at the end"
            line = lines.get(behind, last)
            yield line, f"no heading `## {heading}`: write it {where}"
    found = [heading for heading in FIXED if heading in lines]
    for first, second in pairwise(found):
        if lines[first] > lines[second]:
            yield (
                lines[second],
                f"`## {second}` stands before `## {first}`: swap them",
            )


def sentence_case(blocks: list[Block]) -> Iterator[Fault]:
    """A word that the page also writes small needs no capital in a heading."""
    prose = " ".join(b.text for b in blocks if b.kind in ("text", "item"))
    small = set(re.findall(r"\b[a-z]+\b", prose))
    for block in blocks:
        if block.kind != "heading" or block.name == "h1":
            continue
        inside = re.sub(r"(^|[:.?] )\W*\w+", "", block.text)
        words = re.findall(r"\b[A-Z][a-z]+\b", inside)
        if wrong := [w for w in words if w.lower() in small]:
            yield (
                block.line,
                f"a heading with capitals ({', '.join(wrong)}): write it as"
                " a sentence",
            )


def figures(blocks: list[Block]) -> Iterator[Fault]:
    """Alt text for who can't see it, a caption to skim, a name to refer."""
    for block in blocks:
        if block.name == "figure":
            has = {
                "alt text": block.options.get("alt"),
                "caption": block.body.strip(),
                "name": block.options.get("name"),
            }
        elif block.is_cell and MAKES_FIGURE.search(block.body):
            says = block.options.get("mystnb") or {}
            figure = says.get("figure") or {}
            has = {
                "alt text": (says.get("image") or {}).get("alt"),
                "caption": figure.get("caption"),
                "name": figure.get("name"),
            }
        else:
            continue
        if lacks := ", ".join(what for what in has if not has[what]):
            yield (
                block.line,
                f"a figure without {lacks}: write mystnb: image: alt and"
                " figure: caption, name into its cell",
            )


def reading_guide(blocks: list[Block]) -> Iterator[Fault]:
    """An order, a table of names, questions, and the usual misreading."""
    guide = part(blocks, "Read the paper")
    if not guide:
        return  # its heading is missing
    text = " ".join(b.text for b in guide)
    cells = [b.line for b in guide if b.kind == "cell"]
    columns = max(map(cells.count, cells), default=0)
    questions = [
        b for b in guide if b.name == "numbered" and b.text.endswith("?")
    ]
    parts = {
        "order to read in: write `Read ... in this order: ...`": (
            "in this order" in text
        ),
        "table of 4 columns: paper, here, our code, field's code": (
            columns == 4
        ),
        f"three numbered questions, but {len(questions)}: number them, and"
        " end each with a question mark": len(questions) == 3,
        "misreading: say `The usual misreading is ...`": "misread" in text,
    }
    for what, there in parts.items():
        if not there:
            yield guide[0].line, f"a reading guide without {what}"


def exercises(blocks: list[Block]) -> Iterator[Fault]:
    """Few, each solved, of the kinds that every lesson has."""
    yours = part(blocks, "Check yourself")
    if not yours:
        return
    posed = [b for b in yours if b.name == "exercise"]
    solved = {b.text: b for b in yours if b.name == "solution"}
    start, titles = yours[0].line, [b.text for b in posed]
    if not 4 <= len(posed) <= 6:
        yield start, f"{len(posed)} exercises: make it 4 to 6"
    for block in posed:
        label = block.options.get("label", "")
        if label not in solved:
            yield (
                block.line,
                f"the exercise {label or block.text!r} has no solution:"
                f" write {{solution}} {label or 'LABEL'} below it",
            )
        elif "dropdown" not in solved[label].options.get("class", ""):
            yield (
                solved[label].line,
                f"the solution of {label} is open: add `:class: dropdown`",
            )
    if not any(title.startswith("Predict, then run") for title in titles):
        yield (
            start,
            'no exercise to predict: title one "Predict, then run: ..."',
        )
    if not any(re.match("Read .*(table|figure)", title) for title in titles):
        yield (
            start,
            "no exercise on the paper's results: title one"
            ' "Read a table" or "Read a figure"',
        )
    called = [b.body for b in yours if b.is_cell]
    called += [code for b in yours for _, code in b.roles]
    if not any(map(CHECK_CALL.search, called)):
        yield (
            start,
            "no answer that checks itself: write a function"
            " check_... in snippets and call it in an exercise",
        )


def takeaways(blocks: list[Block]) -> Iterator[Fault]:
    kept = part(blocks, "Takeaways")
    points = sum(block.kind == "item" for block in kept)
    if kept and not 3 <= points <= 6:
        yield kept[0].line, f"{points} takeaways: keep 3 to 6, as a list"


def tone(blocks: list[Block]) -> Iterator[Fault]:
    """What the book does not do in its own voice; others may be quoted."""
    for block in blocks:
        text = QUOTED.sub("x", block.text)
        for number, line in enumerate(text.split("\n"), block.line):
            if "!" in line:
                yield number, "an exclamation mark: end with a full stop"
            if "—" in line or " – " in line or " -- " in line:
                yield number, "a dash: make it a comma, a colon or two"
            if said := ANNOUNCING.search(line):
                yield number, f'"{said[0]}": take it out, and say the thing'


def listing(page: Path, block: Block) -> tuple[str, int]:
    """The source that a literalinclude shows, and its first line."""
    file = (page.parent / block.text).resolve()
    name = block.options.get("pyobject", "")
    if file.suffix != ".py" or not file.is_file():
        return "", 1  # Sphinx reports what can't be read
    source = file.read_text(encoding="utf-8")
    nodes = ast.parse(source).body
    for step in name.split("."):
        found = [n for n in nodes if getattr(n, "name", None) == step]
        if not found:
            return ("", 1) if name else (source, 1)
        nodes = getattr(found[0], "body", [])
    lines = source.splitlines()
    first, last = found[0].lineno, found[0].end_lineno
    return "\n".join(lines[first - 1 : last]), first


def shown(page: Path, blocks: list[Block]) -> Iterator[tuple[Block, str]]:
    """Code that stands open on the page and in print."""
    for block in blocks:
        if block.is_cell:
            if not {"remove-cell", "hide-input", "remove-input"} & {
                *block.tags
            }:
                yield block, block.body
        elif block.name == "literalinclude":
            yield block, listing(page, block)[0]


def wide_lines(page: Path, blocks: list[Block]) -> Iterator[Fault]:
    """What is wider does not fit the printed page, nor a phone."""
    for block, code in shown(page, blocks):
        for number, line in enumerate(code.splitlines()):
            if len(line) > COLUMNS:
                at = block.body_line + number if block.is_cell else block.line
                yield (
                    at,
                    f"a line of code of {len(line)} columns: break it at"
                    f" {COLUMNS}: {line.strip()[:30]}...",
                )


def faults(page: Path) -> list[Fault]:
    """All that is wrong on a page, by line."""
    blocks = read(page)
    found = [*wide_lines(page, blocks)]
    for gate in (
        *(headings, sentence_case, figures, reading_guide),
        *(exercises, takeaways, tone),
    ):
        found += gate(blocks)
    return sorted(found)


def longest_run(blocks: list[Block]) -> int:
    """Words between one figure, listing, formula, list or box and the next."""
    longest = run = 0
    for block in blocks:
        if block.kind == "text" and not block.within:
            run += block.words
        elif block.kind != "heading" and "remove-cell" not in block.tags:
            run = 0
        longest = max(longest, run)
    return longest


def first_figure(blocks: list[Block]) -> int:
    """The word after which the first figure stands."""
    words = 0
    for block in blocks:
        if block.name == "figure" or MAKES_FIGURE.search(block.body):
            return words
        words += block.words if block.kind in ("text", "item") else 0
    return words


def measure(page: Path) -> dict[str, int]:
    """The instruments of a page. Solutions are folded, and not counted."""
    blocks = read(page)
    open_ = [b for b in blocks if b.within != "solution"]
    told = [b for b in open_ if b.kind in ("text", "item")]
    sentences = [
        len(sentence.split())
        for block in told
        for sentence in re.split(r"(?<=[.?!:]) +(?=[A-Zx\"“])", block.text)
    ]
    cells = [b for b in open_ if b.is_cell and "remove-cell" not in b.tags]
    code = [text.splitlines() for _, text in shown(page, open_)]
    visible = [b.body for b, _ in shown(page, open_) if b.is_cell]
    text = page.read_text(encoding="utf-8")
    return {
        "words": sum(block.words for block in told),
        "sentence": round(statistics.median(sentences or [0])),
        "1st figure": first_figure(open_),
        "run": longest_run(open_),
        "cells": len(cells),
        "cell lines": max((len(b.splitlines()) for b in visible), default=0),
        "code": sum(map(len, code)),
        "equations": sum(b.kind == "math" and bool(b.name) for b in blocks),
        "papers": len({key for _, key in citations(text)}),
        "figures": sum(
            b.name == "figure" or bool(MAKES_FIGURE.search(b.body))
            for b in open_
        ),
        "exercises": sum(b.name == "exercise" for b in blocks),
        "to write": len(PLACEHOLDER.findall(text)),
    }


# where the best pages lie: at least, at most
MARKS = {
    "words": (2500, 4000),
    "sentence": (0, 16),
    "1st figure": (0, 250),
    "run": (0, 350),
    "cells": (6, 12),
    "cell lines": (0, 10),
    "code": (80, 160),
    "equations": (5, 15),
    "papers": (8, None),
    "figures": (1, None),
    "exercises": (4, 6),
    "to write": (0, 0),
}


def mark(least: int, most: int | None) -> str:
    if most is None:
        return f">={least}"
    if least and most:
        return f"{least}-{most}"
    return f"<={most}"


def table(pages: list[Path]) -> str:
    """One row a lesson; a star where a number is off its mark."""
    rows = [["", *MARKS], ["mark", *(mark(*MARKS[name]) for name in MARKS)]]
    for page in pages:
        row = [page.stem[:32]]
        for name, value in measure(page).items():
            least, most = MARKS[name]
            off = value < least or (most is not None and value > most)
            row.append(f"{value}{'*' * off}")
        rows.append(row)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0])]
            + [
                cell.rjust(width)
                for cell, width in zip(row[1:], widths[1:], strict=True)
            ]
        )
        for row in rows
    )


def lessons(book: Path) -> list[Path]:
    """The pages of lessons, in the lessons' order."""
    pages = {
        page: front_matter(page).get("lesson") for page in book.glob("*/*.md")
    }
    return sorted(
        (page for page in pages if pages[page]),
        key=lambda page: pages[page]["number"],
    )


def main(arguments: list[str], root: Path = ROOT) -> int:
    pages = [Path(name).resolve() for name in arguments]
    pages = pages or lessons(root / "book")
    count = 0
    for page in pages:
        for line, message in faults(page):
            name = page.relative_to(root).as_posix()
            print(f"{name}:{line}: {message}", file=sys.stderr)
            count += 1
    print(table(pages))
    return bool(count)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
