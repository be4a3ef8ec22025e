"""Hold the lessons to what can be checked of how a lesson is made.

A fault is one line, `book/module/slug.md:LINE: what is wrong: what to do`,
and fails. Then a row for each lesson says what the instruments of
`lesson_measures` show, which never fail. What needs the cells to have run,
and what Sphinx knows better (terms, citations, recaps), the build checks.

    python authoring/lesson_lint.py [PAGE ...]
"""

import re
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "book" / "_ext"))

from lesson import front_matter  # noqa: E402
from lesson_measures import table  # noqa: E402
from lesson_page import Block, read, shown  # noqa: E402

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
CHECK_CALL = re.compile(r"\bcheck_\w+\(")


def part(blocks: list[Block], heading: str) -> list[Block]:
    """The blocks under one of the fixed headings."""
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
    """A word that the prose writes small needs no capital."""
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
        elif block.makes_figure:
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
        "an order: write `Read ... in this order: ...`": (
            "in this order" in text
        ),
        "a table of 4 columns: paper, here, our code, field's code": (
            columns == 4
        ),
        f"three questions, but {len(questions)}: number them, and end each"
        " with a question mark": len(questions) == 3,
        "a misreading: say `The usual misreading is ...`": "misread" in text,
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
                f"the exercise {label or block.text} has no solution:"
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
    """As few as one remembers."""
    kept = part(blocks, "Takeaways")
    points = sum(block.kind == "item" for block in kept)
    if kept and not 3 <= points <= 6:
        yield kept[0].line, f"{points} takeaways: keep 3 to 6, as a list"


def tone(blocks: list[Block]) -> Iterator[Fault]:
    """What the book does not do in its own voice; others may be quoted."""
    for block in blocks:
        said = block.text if block.kind != "directive" else block.caption
        text = QUOTED.sub("x", said)
        for number, line in enumerate(text.split("\n"), block.line):
            if "!" in line:
                yield number, "an exclamation mark: end with a full stop"
            if "—" in line or " – " in line or " -- " in line:
                yield (
                    number,
                    "a dash: make it a comma, a colon or two sentences",
                )
            if found := ANNOUNCING.search(line):
                yield number, f'"{found[0]}": take it out, and say the thing'


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
    """Print the faults, then what the instruments show."""
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
