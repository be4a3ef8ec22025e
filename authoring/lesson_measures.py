"""What can be counted of a lesson, beside what the best pages have.

It only measures. A page that is off a mark may be right, if its author knows
why.
"""

import re
import statistics
from pathlib import Path

from lesson_page import PLACEHOLDER, Block, read, shown
from references import citations

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


def longest_run(blocks: list[Block]) -> int:
    """The most words in a row without figure, code, formula or list."""
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
        if block.makes_figure:
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
        "figures": sum(b.makes_figure for b in open_),
        "exercises": sum(b.name == "exercise" for b in blocks),
        "to write": len(PLACEHOLDER.findall(text)),
    }


def mark(least: int, most: int | None) -> str:
    """A mark as the table shows it."""
    if most is None:
        return f">={least}"
    if least and most:
        return f"{least}-{most}"
    return f"<={most}" if most else "0"


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
